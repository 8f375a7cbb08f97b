import { randomUUID } from "node:crypto";
import pg from "pg";
import type { AccountPrincipal } from "#core/accounts/accounts.ts";
import { UNDERSTOOD } from "#core/contracts/agent/protocol.ts";
import { beginMigration, planMigration } from "#commands/billing/plan-migration.ts";
import { followMigration } from "#commands/billing/follow-plan-migration.ts";
import type { MigrationAsked } from "#db/billing/plan-migrations.ts";
import type { Fleet } from "./bench-fleet-database.ts";
import { vmId } from "./bench-fleet-rows.ts";
import { atMost, growsAtMost, noGoal, percentile, type BenchRow } from "./bench-row.ts";

/*
 * A plan migration among all the VMs of a fleet: its dry run, and the job over them. They are VMs that staff pay for, so that the payment
 * provider, whose stand-in knows none of them, is asked for nothing; and hosts are said to have done what they were told.
 */

const VMS = 10_000;
const FEW = 1_000;
const DRY_RUN_MS = 10_000;
/** As many as one page of a dry run, and one round of the job, may have. */
const MOST_OF_A_PAGE = 250;
const MOST_OF_A_ROUND = 100;
const AT_ONCE = 50;
/** Of the job: whatever its size, the first of them are as the last. */
const ROUNDS = 12;

/** Four of five VMs of a fleet are there; of the oldest fifth of a skewed one, none. */
const PART_THERE = 0.8;
const FROM_PART = 0.25;
/** So much of a fleet at the most: what follows is another location's, one account's, or lost. */
const MOST_PART = 0.16;

export async function measurePlanMigrations(
  fleet: Fleet,
  vms: number,
): Promise<readonly BenchRow[]> {
  const most = Math.min(VMS, Math.floor(vms * MOST_PART));
  const from = Math.floor(vms * FROM_PART);
  const owner = new pg.Client({ connectionString: fleet.ownerUrl });
  // Whoever stops the benchmark stops the database first.
  owner.on("error", () => undefined);
  await owner.connect();
  try {
    const few = Math.min(FEW, Math.floor(most / 10));
    const small = await run(fleet, owner, { size: few, from });
    // Before the job over them, which makes some of them larger.
    const moving = await planMoving(fleet, owner, { size: most, from: from + few / PART_THERE });
    const large = await run(fleet, owner, { size: most, from: from + few / PART_THERE });
    return [
      atMost(DRY_RUN_MS, {
        name: `dry run of a plan migration of ${most} VMs`,
        unit: "ms",
        floor: large.readMs,
        ours: large.dryRunMs,
      }),
      atMost(MOST_OF_A_PAGE, {
        name: "VMs that one transaction of that dry run writes",
        unit: "VMs",
        floor: small.ofDryRun,
        ours: large.ofDryRun,
      }),
      growsAtMost(2, {
        name: `a round of ${AT_ONCE} VMs of the job over ${most}, median; floor: over ${few}`,
        unit: "ms",
        floor: percentile(small.roundsMs, 0.5),
        ours: percentile(large.roundsMs, 0.5),
      }),
      atMost(MOST_OF_A_ROUND, {
        name: "VMs that one transaction of the job writes",
        unit: "VMs",
        floor: small.ofJob,
        ours: large.ofJob,
      }),
      atMost(DRY_RUN_MS, {
        name: `dry run of a plan migration of ${most} VMs that must all move, among ${moving.hosts} hosts`,
        unit: "ms",
        floor: large.readMs,
        ours: moving.dryRunMs,
      }),
      noGoal({
        name: "beginning it by its hash: all are judged again",
        unit: "ms",
        floor: large.readMs,
        ours: large.beginMs,
      }),
    ];
  } finally {
    await owner.end();
  }
}

async function run(fleet: Fleet, owner: pg.Client, { size, from }: { size: number; from: number }) {
  const asked = await prepare(fleet, owner, { size, from });
  const { deps } = fleet;
  const who = staffOf(fleet);
  const readMs = await timed(() =>
    owner.query(
      `select * from services s join vms v on v.id = s.vm_id join hosts h on h.id = v.host_id where s.plan_id = $1`,
      [asked.fromPlanId],
    ),
  );
  let planned: Awaited<ReturnType<typeof planMigration>> | undefined;
  const dryRunMs = await timed(async () => (planned = await planMigration(deps, who, asked)));
  if (!planned?.ok) throw new Error(JSON.stringify(planned));
  const { id, hash } = planned.value;
  const waiting = await countOf(owner, id, "waiting");
  if (waiting !== size) throw new Error(`of ${size} VMs ${waiting} may come to the other plan`);
  const ofDryRun = await atOnce(owner, id);
  const beginMs = await timed(async () => {
    const begun = await beginMigration(deps, who, asked, hash ?? undefined);
    if (!begun.ok) throw new Error(begun.error.detail);
  });
  const roundsMs: number[] = [];
  for (let rounds = 0; rounds < ROUNDS; rounds++) {
    roundsMs.push(await timed(() => followMigration(deps, id)));
    await hostsDo(owner, id);
  }
  const done = await countOf(owner, id, "done");
  if (done !== Math.min(size, AT_ONCE * (ROUNDS - 1)))
    throw new Error(`the job brought ${done} VMs there`);
  return { readMs, dryRunMs, ofDryRun, beginMs, roundsMs, ofJob: await atOnce(owner, id, "done") };
}

const staffOf = ({ staffId }: Fleet): AccountPrincipal => ({
  accountId: staffId,
  email: "bench@example.test",
  name: "Bench",
  role: "staff",
  scopes: ["vms:write"],
  via: "token",
});

/**
 * The same VMs, whose hosts have no room for what they become: each is planned to another host, by the score of placement and as
 * if all before it were there already.
 */
async function planMoving(fleet: Fleet, owner: pg.Client, of: { size: number; from: number }) {
  const { deps } = fleet;
  const asked = await prepare(fleet, owner, of);
  await owner.query("set session_replication_role = replica");
  await owner.query(
    `update hosts set last_seen_at = $1, understands = $3, facts = facts || '{"migrationAddress": {"host": "192.0.2.1", "port": 16555}}',
       capacity_memory_mib = allocated_memory_mib + 131072, capacity_disk_gib = allocated_disk_gib + 10240,
       capacity_vcpus = allocated_vcpus + case when exists (
         select from vms v join services s on s.vm_id = v.id where v.host_id = hosts.id and s.plan_id = $2) then 0 else 1000 end`,
    [deps.clock.now(), asked.fromPlanId, [...UNDERSTOOD]],
  );
  // One that says how it is made to boot can go to either hypervisor.
  await owner.query("update images set firmware = 'uefi'");
  await owner.query("update host_kinds set understands = $1", [[...UNDERSTOOD]]);
  await owner.query("set session_replication_role = origin");
  let planned: Awaited<ReturnType<typeof planMigration>> | undefined;
  const dryRunMs = await timed(
    async () => (planned = await planMigration(deps, staffOf(fleet), asked)),
  );
  if (!planned?.ok) throw new Error(JSON.stringify(planned));
  const { rows } = await owner.query<{ moving: number; hosts: number; why: string | null }>(
    `select count(*) filter (where method = 'move' and state = 'waiting')::int as moving,
       (select count(*)::int from hosts where state = 'active') as hosts,
       min(detail) as why
     from plan_migration_vms where migration_id = $1`,
    [planned.value.id],
  );
  const { moving = 0, hosts = 0, why = null } = rows[0] ?? {};
  if (moving !== of.size) throw new Error(`of ${of.size} VMs ${moving} may move: ${why}`);
  return { dryRunMs, hosts };
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work();
  return performance.now() - began;
}

const countOf = async (owner: pg.Client, id: string, state: string): Promise<number> => {
  const { rows } = await owner.query<{ n: number }>(
    "select count(*)::int as n from plan_migration_vms where migration_id = $1 and state = $2",
    [id, state],
  );
  return rows[0]?.n ?? 0;
};

/** The most rows of it that one transaction wrote last; of those that are there alone, where a state is given. */
const atOnce = async (owner: pg.Client, id: string, state = "waiting"): Promise<number> => {
  const { rows } = await owner.query<{ n: number }>(
    `select max(n)::int as n from (select count(*) as n from plan_migration_vms
       where migration_id = $1 and state = $2 group by xmin::text) as of_one`,
    [id, state],
  );
  return rows[0]?.n ?? 0;
};

/** Two plans of their own, and so many VMs of the first, of which their hosts have shown all, and have room for more. */
async function prepare(
  fleet: Fleet,
  owner: pg.Client,
  { size, from }: { size: number; from: number },
): Promise<MigrationAsked> {
  const [fromPlanId, toPlanId] = [randomUUID(), randomUUID()];
  const range = [vmId(from), vmId(from + size / PART_THERE - 1)];
  await owner.query("set session_replication_role = replica");
  for (const [id, vcpus] of [
    [fromPlanId, 1],
    [toPlanId, 2],
  ] as const) {
    await owner.query(
      "insert into plans (id, name, available, created_at) values ($1, $2, true, now())",
      [id, `bench-${id}`],
    );
    await owner.query(
      `insert into plan_versions (plan_id, version, vcpus, memory_mib, disk_gib, traffic_gib, created_at)
       values ($1, 1, $2, 1024, 20, 1024, now())`,
      [id, vcpus],
    );
  }
  await owner.query(
    `update services set plan_id = $1, plan_version = 1, payer = 'staff', "interval" = null, amount_minor = null, currency = null,
       subscription_id = null, subscription_status = null, subscription_version = null
     where vm_id between $2 and $3`,
    [fromPlanId, ...range],
  );
  await owner.query(
    `update vms set seen_vcpus = vcpus, seen_memory_mib = memory_mib, seen_disk_gib = disk_gib, seen_limits_known = true,
       seen_hot_vcpus = 8, first_seen_at = now()
     where id between $1 and $2`,
    range,
  );
  await owner.query(
    `update hosts set state = 'active', capacity_vcpus = allocated_vcpus + 1000
     where id in (select host_id from vms where id between $1 and $2)`,
    range,
  );
  await owner.query("set session_replication_role = origin");
  await owner.query("analyze services");
  return {
    fromPlanId,
    fromVersion: null,
    toPlanId,
    locationId: null,
    hostId: null,
    accountId: null,
    interval: null,
    when: "now",
    price: "new",
    maxParallel: AT_ONCE,
    stopAfterFailures: 1,
    announceDays: 0,
    reason: "bench",
  };
}

/** All that were begun are seen, as if their changes had been followed to their ends. */
async function hostsDo(owner: pg.Client, id: string): Promise<void> {
  await owner.query("set session_replication_role = replica");
  await owner.query(
    `with ended as (
       update plan_changes set outcome = 'committed', ended_at = now(), machine = 'seen', generation = 1, seen_at = now()
       where outcome is null and id in (select plan_change_id from plan_migration_vms where migration_id = $1 and state = 'running')
       returning action_id)
     update actions set status = 'success', finished_at = now() where id in (select action_id from ended)`,
    [id],
  );
  await owner.query("set session_replication_role = origin");
}

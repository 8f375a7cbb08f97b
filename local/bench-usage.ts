import { randomUUID } from "node:crypto";
import { setTimeout } from "node:timers/promises";
import type pg from "pg";
import { addHost } from "#commands/hosts/add-host.ts";
import { recordUsage } from "#commands/usage/record-usage.ts";
import { enrollHost } from "#commands/hosts/enroll-host.ts";
import type { UsageSample } from "#core/contracts/agent/usage.ts";
import { anAgentReport, aSample, aVmReport, hostFacts } from "#test/builders.ts";
import { anAgentKey, signed, type AgentKey } from "#test/harness/agent-requests.ts";
import { EXAMPLE_SSH_KEY, StackClient } from "./client.ts";
import { atLeast, atMost, percentile, type BenchRow } from "./bench-row.ts";
import type { Stack } from "./stack.ts";

const VMS = 200;
const DAY_MINUTES = 24 * 60;
const MINUTE_MS = 60_000;
const BATCH = 1000;
/** As the floor of issue 11 was measured. */
const SMALL_BATCH = 200;
/** What an agent sends at once: five minutes, a sample a minute, of as many VMs as that makes. */
const MINUTES_A_FLUSH = 5;
const ROUNDS = 40;

type BenchHost = Readonly<{ hostId: string; key: AgentKey; vmIds: readonly string[] }>;

/** Usage: the command beside the bare statement, and the rest as a host's agent sends it, over HTTP and signed. */
export async function benchUsage(stack: Stack, pool: pg.Pool): Promise<BenchRow[]> {
  const steady = await aHost(stack, pool, VMS);
  const away = await aHost(stack, pool, VMS);
  // Warm: just-in-time compilation, connections.
  const record = (samples: UsageSample[]) => recordUsage(stack.deps, steady.hostId, { samples });
  const overHttp = (samples: UsageSample[]) => sendUsage(stack, steady, samples);
  await beside(stack, pool, steady, SMALL_BATCH, 10, 100, record);
  const small = await beside(stack, pool, steady, SMALL_BATCH, ROUNDS, 200, record);
  const large = await beside(stack, pool, steady, BATCH, 7, 500, overHttp);
  const quiet = await others(stack, away, () => setTimeout(5_000));
  const began = performance.now();
  const busy = await others(stack, away, () => sendBacklog(stack, away));
  const backlogS = (performance.now() - began) / 1000;
  return [
    atLeast(0.5, {
      name: `usage in batches of ${SMALL_BATCH}, beside the bare statement`,
      unit: "samples/s",
      floor: (SMALL_BATCH * 1000) / small.floorMs,
      ours: (SMALL_BATCH * 1000) / small.oursMs,
    }),
    atMost(0.5, {
      name: `a batch of ${BATCH} samples over HTTP, beside nothing else`,
      unit: "s",
      floor: large.floorMs / 1000,
      ours: large.oursMs / 1000,
    }),
    atMost(120, {
      name: `a day of ${VMS} VMs, a sample a minute`,
      unit: "s",
      floor: null,
      ours: backlogS,
    }),
    atMost(250, {
      name: "others' p99 while that is taken (orders, VMs, reports and usage of the same VMs)",
      unit: "ms",
      floor: percentile(quiet, 0.99),
      ours: percentile(busy, 0.99),
    }),
  ];
}

/** A host that was enrolled three days ago, with so many VMs. What it holds is written past the line: it is not what is measured. */
async function aHost(stack: Stack, pool: pg.Pool, vms: number): Promise<BenchHost> {
  const key = await anAgentKey();
  const [location] = (await pool.query<{ id: string }>("select id from locations")).rows;
  const added = await addHost(
    stack.deps,
    { kind: "system", id: "bench" },
    {
      name: randomUUID(),
      locationId: location?.id ?? "",
      testOnly: false,
      cpuOvercommit: 1,
    },
  );
  if (!added.ok) throw new Error(added.error.detail);
  const enrolled = await enrollHost(stack.deps, {
    joinToken: added.value.joinToken,
    publicKey: { kty: "OKP", crv: "Ed25519", x: key.x },
    facts: hostFacts({ memoryMib: 2048, diskGib: 1 }), // no room: nothing of the others' is placed on it
  });
  if (!enrolled.ok) throw new Error(enrolled.error.detail);
  const { hostId } = enrolled.value;
  const { rows } = await pool.query<{ id: string }>(
    `with made as (
       insert into orders (id, account_id, vm_id, state, plan_id, plan_version, image_id, location_id, hostname, ssh_keys,
         billing_interval, total_minor, currency, expires_at, paid_at, created_at)
       select gen_random_uuid(), a.id, gen_random_uuid(), 'active', p.id, 1, i.id, l.id, 'bench', '{}', 'month', 100, 'usd',
         now(), now(), now() - interval '3 days'
       from (select id from accounts limit 1) a, (select id from plans limit 1) p, (select id from images limit 1) i,
         (select id from locations limit 1) l, generate_series(1, $2)
       returning *),
     bought as (
       insert into services (vm_id, plan_id, plan_version, payer, interval, amount_minor, currency, entitled_until, updated_at)
       select vm_id, plan_id, plan_version, 'stripe', billing_interval, total_minor, currency, now(), now() from made)
     insert into vms (id, account_id, host_id, image_id, location_id, hostname, ssh_keys, created_at,
       presence, desired_power, stop_mode, vcpus, memory_mib, disk_gib, generation, owner_epoch, guest_ready_at)
     select vm_id, account_id, $1, image_id, location_id, hostname, ssh_keys, created_at, 'present', 'running',
       'graceful', 1, 1024, 20, 1, 1, now() from made
     returning id`,
    [hostId, vms],
  );
  return { hostId, key, vmIds: rows.map((row) => row.id) };
}

async function post(
  stack: Stack,
  host: BenchHost,
  target: string,
  data: unknown,
): Promise<unknown> {
  const body = JSON.stringify(data);
  const token = await signed(host, { method: "POST", target, body }, stack.clock.now());
  const answer = await fetch(`${stack.apiUrl}${target}`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${token}` },
    body,
  });
  const said: unknown = await answer.json();
  if (!answer.ok) throw new Error(`${target} answered ${answer.status}: ${JSON.stringify(said)}`);
  return said;
}

async function sendUsage(stack: Stack, host: BenchHost, samples: UsageSample[]): Promise<void> {
  const receipt = await post(stack, host, "/agent/v1/usage", { samples });
  if (
    JSON.stringify(receipt) !==
    JSON.stringify({ stored: samples.length, duplicates: 0, refused: [] })
  )
    throw new Error(`not all was stored: ${JSON.stringify(receipt).slice(0, 300)}`);
}

/** The samples of all its VMs of the minute that begins so many minutes ago. */
const minuteOf = (
  stack: Stack,
  vmIds: readonly string[],
  ago: number,
  boot: string,
): UsageSample[] => {
  // Whole minutes, so that each begins where the last one ended.
  const from = Math.floor(+stack.clock.now() / MINUTE_MS) * MINUTE_MS - ago * MINUTE_MS;
  return vmIds.map((vmId, n) =>
    aSample({
      vmId,
      bootEpoch: boot,
      seq: 3 * DAY_MINUTES - ago,
      from: new Date(from).toISOString(),
      to: new Date(from + MINUTE_MS).toISOString(),
      cpuNs: String(1_000_000_000 + n),
    }),
  );
};

/** Our way beside one bare statement that inserts the same rows into the same table, in turns: the median of each. */
async function beside(
  stack: Stack,
  pool: pg.Pool,
  host: BenchHost,
  batch: number,
  rounds: number,
  from: number,
  send: (samples: UsageSample[]) => Promise<unknown>,
): Promise<{ oursMs: number; floorMs: number }> {
  const [ours, floor]: [number[], number[]] = [[], []];
  const minutes = MINUTES_A_FLUSH;
  const vmIds = host.vmIds.slice(0, batch / minutes);
  const boot = randomUUID();
  for (let round = 0; round < rounds; round++) {
    const samples = Array.from({ length: minutes }, (_, n) =>
      minuteOf(stack, vmIds, from + (rounds - round) * minutes - n, boot),
    ).flat();
    let began = performance.now();
    await send(samples);
    ours.push(performance.now() - began);
    const strangers = new Map(vmIds.map((id) => [id, randomUUID()]));
    const rows = samples.map((s) => ({ ...s, vmId: strangers.get(s.vmId) ?? "" }));
    began = performance.now();
    await bareStatement(pool, rows);
    floor.push(performance.now() - began);
  }
  return { oursMs: percentile(ours, 0.5), floorMs: percentile(floor, 0.5) };
}

async function bareStatement(pool: pg.Pool, samples: readonly UsageSample[]): Promise<void> {
  await pool.query(
    `insert into usage_samples (vm_id, boot_epoch, seq, from_at, to_at, cpu_ns, rx_bytes, tx_bytes, read_bytes,
       write_bytes, memory_bytes, disk_bytes, bounded, received_at)
     select *, false, now() from unnest($1::uuid[], $2::text[], $3::int[], $4::timestamptz[], $5::timestamptz[],
       $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[])
     on conflict do nothing`,
    [
      samples.map((s) => s.vmId),
      samples.map((s) => s.bootEpoch),
      samples.map((s) => s.seq),
      samples.map((s) => s.from),
      samples.map((s) => s.to),
      samples.map((s) => s.cpuNs),
      samples.map((s) => s.rxBytes[0]),
      samples.map((s) => s.txBytes[0]),
      samples.map((s) => s.readBytes),
      samples.map((s) => s.writeBytes),
      samples.map((s) => s.memoryBytes),
      samples.map((s) => s.diskBytes),
    ],
  );
}

/** As an agent sends what it spooled while we were away: page by page, the oldest first, one after another. */
async function sendBacklog(stack: Stack, host: BenchHost): Promise<void> {
  const boot = randomUUID();
  const pages = BATCH / VMS;
  for (let ago = DAY_MINUTES + 10; ago > 10; ago -= pages)
    await sendUsage(
      stack,
      host,
      Array.from({ length: pages }, (_, n) => minuteOf(stack, host.vmIds, ago - n, boot)).flat(),
    );
}

/** What others wait for meanwhile, a call every tenth of a second: how long each took, in ms. */
async function others(
  stack: Stack,
  host: BenchHost,
  work: () => Promise<unknown>,
): Promise<readonly number[]> {
  const customer = new StackClient(stack.apiUrl, stack.tokens.customer);
  const took: number[] = [];
  const over = new AbortController();
  const report = () => {
    const vms = host.vmIds
      .slice(0, 20)
      .map((vmId) => aVmReport({ vmId, generation: 1, ownerEpoch: 1 }));
    return post(stack, host, "/agent/v1/reports", anAgentReport({ vms }));
  };
  const order = () =>
    customer.order({
      plan: "S",
      image: "Debian 13",
      hostname: `others-${randomUUID()}`,
      key: randomUUID(),
      sshKeys: [EXAMPLE_SSH_KEY],
    });
  const calls = [
    report,
    () => customer.request("GET", "/v1/vms"),
    () => customer.request("GET", `/v1/vms/vm_${host.vmIds[0]?.replaceAll("-", "")}/usage`),
    report,
    () => customer.request("GET", "/v1/plans"),
  ];
  const asking = (async () => {
    for (let n = 0; !over.signal.aborted; n++) {
      const call = n % 50 === 49 ? order : calls[n % calls.length];
      const began = performance.now();
      await call?.();
      took.push(performance.now() - began);
      await setTimeout(100);
    }
  })();
  await Promise.race([work(), asking]);
  over.abort();
  await asking;
  return took;
}

import { parseArgs } from "node:util";
import pg from "pg";
import { SCOPES_OF_STAFF } from "#core/accounts/accounts.ts";
import { toWireId } from "#core/ids.ts";
import { createApi } from "#functions/app.ts";
import { openFleet, type Fleet } from "./bench-fleet-database.ts";
import { fill, hostId, payerId, vmId, VMS_OF_A_HOST } from "./bench-fleet-rows.ts";
import { measurePlanMigrations } from "./bench-plan-migrations.ts";
import { atMost, noGoal, percentile, type BenchRow } from "./bench-row.ts";
import { BENCH_OPTIONS, benchOnStack } from "./bench-stack.ts";
import { PlainError, runMain } from "./main.ts";
import type { Stack } from "./stack.ts";

const USAGE = `npm run bench:staff -- [options]: what staff's lists and search take, on this machine

  --json        the figures as data, and nothing else
  --check       exit code 1 when one misses its goal
  --vms <n>     how many VMs there are (1000000)
  --help

Each list in each of its orders, its first page and its second, with and without filters, and each way to search: "ours" is the
time that 99 of 100 calls of the API do not exceed, one after the other. The floor is the same of a statement that reads one row
by its key, by turns with them: no answer of the database takes less.
`;

const CALLS = 100;
const WARM_UP = 5;
const MOST_MS = 100;

async function main(args: readonly string[]): Promise<void> {
  const values = parse(args);
  if (values.help) {
    process.stdout.write(USAGE);
    return;
  }
  const vms = Number(values.vms);
  if (!Number.isInteger(vms) || vms < 100 || vms % VMS_OF_A_HOST !== 0)
    throw new PlainError(`--vms is a number that ${VMS_OF_A_HOST} divides, 100 at the least`);
  await benchOnStack(values, { hosts: [], sweepSeconds: 24 * 3600, throwaway: true }, (stack) =>
    measure(stack, vms),
  );
}

async function measure(stack: Stack, vms: number): Promise<readonly BenchRow[]> {
  const fleet = await openFleet(stack, "bench_staff");
  try {
    await fill(fleet, { hosts: vms / VMS_OF_A_HOST, vms });
    const ask = await asOwner(fleet);
    const floor = await openFloor(fleet, vms);
    const rows: BenchRow[] = [];
    try {
      for (const { name, target } of await askedOf(fleet, vms, ask)) {
        const took = await byTurns([floor.once, () => ask(target)]);
        const [ofFloor = [], ours = []] = took;
        const typical = percentile(ours, 0.5).toFixed(1);
        rows.push(
          atMost(MOST_MS, {
            name: `${name} at ${vms} VMs, p99 (median ${typical} ms)`,
            unit: "ms",
            floor: percentile(ofFloor, 0.99),
            ours: percentile(ours, 0.99),
          }),
        );
      }
    } finally {
      await floor.close();
    }
    rows.push(...(await measurePlanMigrations(fleet, vms)));
    const mebibytes = process.memoryUsage().rss / 2 ** 20;
    return [
      ...rows,
      noGoal({ name: "memory, API and all", unit: "MiB", floor: null, ours: mebibytes }),
    ];
  } finally {
    await fleet.close();
  }
}

/** Calls of an API of this process, as an owner with a token. */
async function asOwner({ deps, staffId }: Fleet) {
  const api = createApi(deps);
  const scopes = SCOPES_OF_STAFF.owner;
  const made = await deps.accounts.createToken(
    {
      accountId: staffId,
      email: "bench@example.test",
      name: "Bench",
      role: "staff",
      staffRole: "owner",
      scopes,
      via: "session",
    },
    { name: "bench", scopes, expiresInSeconds: null },
  );
  if (!made.ok) throw new Error(made.error.detail);
  const headers = { authorization: `Bearer ${made.value.secret}` };
  return async (target: string): Promise<{ nextCursor?: string | null; items: unknown[] }> => {
    const url = `${deps.settings.publicUrl}${target}`;
    const answer = await api.fetch(new Request(url, { headers }));
    const said = await answer.json();
    if (!answer.ok) throw new Error(`${target}: ${JSON.stringify(said).slice(0, 300)}`);
    return said;
  };
}

/** What each of these calls took, in ms: by turns, so that all meet the same machine. */
async function byTurns(calls: readonly (() => Promise<unknown>)[]): Promise<readonly number[][]> {
  const took = calls.map((): number[] => []);
  for (let n = 0; n < WARM_UP + CALLS; n++)
    for (const [nth, once] of calls.entries()) {
      const began = performance.now();
      await once();
      if (n >= WARM_UP) took[nth]?.push(performance.now() - began);
    }
  return took;
}

async function openFloor({ ownerUrl }: Fleet, vms: number) {
  const client = new pg.Client({ connectionString: ownerUrl });
  // Whoever stops the benchmark stops the database first.
  client.on("error", () => undefined);
  await client.connect();
  let nth = 0;
  const next = () => vmId((nth = (nth * 7919 + 1) % vms));
  return {
    once: () => client.query("select * from vms where id = $1", [next()]),
    close: () => client.end(),
  };
}

/** What is asked: each as a person would, and what an index answers worst. */
async function askedOf(
  { locationId, customerId }: Fleet,
  vms: number,
  ask: Awaited<ReturnType<typeof asOwner>>,
): Promise<readonly { name: string; target: string }[]> {
  const middle = Math.floor(vms / 2);
  const host = toWireId("host", hostId(Math.floor(middle / VMS_OF_A_HOST)));
  const account = toWireId("account", payerId(1));
  const customer = toWireId("account", customerId);
  const location = toWireId("location", locationId);
  const vm = toWireId("vm", vmId(middle));
  const lists = [
    ...["createdAt", "-createdAt", "email", "-email"].map((s) => `/staff/v1/accounts?sort=${s}`),
    "/staff/v1/accounts?role=staff",
    "/staff/v1/accounts?role=integration",
    "/staff/v1/accounts?email=bench-4&sort=email",
    "/staff/v1/accounts?email=nobody",
    "/staff/v1/accounts?closed=true",
    ...["createdAt", "-createdAt", "hostname", "-hostname"].map((s) => `/staff/v1/vms?sort=${s}`),
    ...["hostname", "-createdAt"].flatMap((s) => [
      `/staff/v1/vms?sort=${s}&hostId=${host}`,
      `/staff/v1/vms?sort=${s}&accountId=${account}`,
      `/staff/v1/vms?sort=${s}&accountId=${customer}`,
      `/staff/v1/vms?sort=${s}&locationId=${location}`,
      `/staff/v1/vms?sort=${s}&presence=lost`,
      `/staff/v1/vms?sort=${s}&presence=gone`,
    ]),
    "/staff/v1/orders?sort=createdAt",
    "/staff/v1/orders?sort=-createdAt",
    "/staff/v1/orders?state=active",
    "/staff/v1/orders?state=refunding",
    `/staff/v1/orders?accountId=${account}`,
    "/staff/v1/actions?sort=-startedAt",
    "/staff/v1/actions?status=running",
    "/staff/v1/actions?status=error&type=reboot",
    "/staff/v1/actions?type=reboot&sort=startedAt",
    `/staff/v1/actions?vmId=${vm}`,
    ...["createdAt", "-createdAt", "name", "-name"].map((s) => `/staff/v1/hosts?sort=${s}`),
    "/staff/v1/hosts?group=nobodys&sort=name",
    "/staff/v1/hosts?state=draining",
    "/staff/v1/audit",
    `/staff/v1/audit?subject=${vm}`,
    "/staff/v1/audit?actor=bench",
    "/staff/v1/audit?actor=nobody",
  ];
  const pages = [];
  for (const list of lists) {
    const { nextCursor } = await ask(list);
    const cursor = `${list.includes("?") ? "&" : "?"}cursor=${nextCursor}`;
    if (nextCursor) pages.push({ name: `${list}, its second page`, target: `${list}${cursor}` });
  }
  const searches = [
    vm,
    vmId(middle),
    "10.0.10.2",
    `vm-${middle}`,
    "vm-",
    "v",
    `bench-${middle / 10}@`,
    "bench",
    `cs_${middle}`,
    `sub_${middle}`,
    `in_${middle}`,
    "cus_nobody",
    "nothing of the sort",
    "%",
  ].map((q) => `/staff/v1/search?q=${encodeURIComponent(q)}`);
  const first = [...lists, ...searches].map((target) => ({ name: target, target }));
  return [...first, ...pages];
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        ...BENCH_OPTIONS,
        vms: { type: "string", default: "1000000" },
      },
    }).values;
  } catch (error) {
    throw new PlainError(`${error instanceof Error ? error.message : String(error)}; see --help`);
  }
}

await runMain(main);

import { parseArgs } from "node:util";
import pg from "pg";
import { SCOPES_OF_STAFF } from "#core/accounts/accounts.ts";
import { createApi } from "#functions/app.ts";
import { openFleet, type Fleet } from "./bench-fleet-database.ts";
import { asOwner as asDatabaseOwner, fill, vmId, VMS_OF_A_HOST } from "./bench-fleet-rows.ts";
import { memoryOfPostgres } from "./bench-memory.ts";
import { measurePlanMigrations } from "./bench-plan-migrations.ts";
import { atMost, noGoal, percentile, type BenchRow } from "./bench-row.ts";
import { BENCH_OPTIONS, benchOnStack } from "./bench-stack.ts";
import { askedOf } from "./bench-staff-asks.ts";
import { skew, withoutIndexes } from "./bench-staff-rows.ts";
import { PlainError, runMain } from "./main.ts";
import type { Stack } from "./stack.ts";

const USAGE = `npm run bench:staff -- [options]: what staff's lists and search take, on this machine

  --json        the figures as data, and nothing else
  --check       exit code 1 when one misses its goal
  --vms <n>     how many VMs there are (1000000)
  --calls <n>   how often each is called (100); of fewer, "ours" is the longest
  --help

Each list in each of its orders, with each filter, each two of them and all at once, the second page of what has one, an account's
page, and each way to search, of rows that are spread as unevenly as after some years: "ours" is the time that 99 of 100 calls of
the API do not exceed, one after the other. The floor is the same of a statement that reads one row by its key, by turns with
them: no answer of the database takes less.
`;

const WARM_UP = 5;
const MOST_MS = 100;
/** With fewer, some of what is asked for is not there. */
const LEAST_VMS = 10_000;

async function main(args: readonly string[]): Promise<void> {
  const values = parse(args);
  if (values.help) {
    process.stdout.write(USAGE);
    return;
  }
  const vms = Number(values.vms);
  if (!Number.isInteger(vms) || vms < LEAST_VMS || vms % VMS_OF_A_HOST !== 0)
    throw new PlainError(
      `--vms is a number that ${VMS_OF_A_HOST} divides, ${LEAST_VMS} at the least`,
    );
  const calls = Number(values.calls);
  if (!Number.isInteger(calls) || calls < 1) throw new PlainError("--calls is a number from 1 on");
  await benchOnStack(values, { hosts: [], sweepSeconds: 24 * 3600, throwaway: true }, (stack) =>
    measure(stack, vms, calls),
  );
}

async function measure(stack: Stack, vms: number, calls: number): Promise<readonly BenchRow[]> {
  const fleet = await openFleet(stack, "bench_staff");
  try {
    const skewed = await withoutIndexes(fleet, async () => {
      await fill(fleet, { hosts: vms / VMS_OF_A_HOST, vms });
      return skew(fleet, vms);
    });
    const ask = await asOwner(fleet);
    const floor = await openFloor(fleet, vms);
    const rows: BenchRow[] = [];
    try {
      for await (const { name, target } of askedOf(skewed, vms, fleet.staffId, ask)) {
        const took = await byTurns([floor.once, () => ask(target)], calls);
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
    return [...rows, ...(await memory(fleet))];
  } finally {
    await fleet.close();
  }
}

/** What this process had at the most, which is the API and the benchmark, what Postgres has now, and what there is on its disk. */
async function memory({ ownerUrl }: Fleet): Promise<readonly BenchRow[]> {
  const size = await asDatabaseOwner({ ownerUrl }, (client) =>
    client.query<{ bytes: string }>("select pg_database_size(current_database()) as bytes"),
  );
  const postgres = await memoryOfPostgres(Number(new URL(ownerUrl).port));
  const row = (name: string, ours: number) => noGoal({ name, unit: "MB", floor: null, ours });
  return [
    row("memory of the API and the benchmark, at the most", process.resourceUsage().maxRSS / 1024),
    ...(postgres === null ? [] : [row("memory of Postgres and its processes", postgres)]),
    row("size of the database", Number(size.rows[0]?.bytes) / 2 ** 20),
  ];
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
async function byTurns(
  each: readonly (() => Promise<unknown>)[],
  calls: number,
): Promise<readonly number[][]> {
  const took = each.map((): number[] => []);
  for (let n = 0; n < WARM_UP + calls; n++)
    for (const [nth, once] of each.entries()) {
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

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        ...BENCH_OPTIONS,
        vms: { type: "string", default: "1000000" },
        calls: { type: "string", default: "100" },
      },
    }).values;
  } catch (error) {
    throw new PlainError(`${error instanceof Error ? error.message : String(error)}; see --help`);
  }
}

await runMain(main);

import { chmod, mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import pg from "pg";
import { askedToStop, whenAsked } from "./asked-to-stop.ts";
import { toText, type BenchRow } from "./bench-row.ts";
import { benchUsage } from "./bench-usage.ts";
import { benchWebhooks } from "./bench-webhooks.ts";
import { instantHosts } from "./hosts.ts";
import { createLineLog } from "./log.ts";
import { PlainError, runMain } from "./main.ts";
import { freePorts } from "./ports.ts";
import { endLeftoverPostgres } from "./postgres-leftover.ts";
import { dataFolderOf } from "./postgres-place.ts";
import { startStack, type Stack } from "./stack.ts";

const USAGE = `npm run bench:intake -- [options]: what comes in, on this machine

  --json   the figures as data, and nothing else
  --check  exit code 1 when one misses its goal
  --help

Usage samples and Stripe's deliveries, each beside the bare statement that stores the same rows, in the same run on the
same Postgres, which waits for its disk as it does where it matters; and what others wait for while a host that was away
for a day catches up.
`;

async function main(args: readonly string[]): Promise<void> {
  const values = parse(args);
  if (values.help) {
    process.stdout.write(USAGE);
    return;
  }
  const folder = await mkdtemp(path.join(os.tmpdir(), "berth-bench-"));
  await chmod(folder, 0o711);
  const asked = askedToStop();
  let stack: Stack | undefined;
  let rows: readonly BenchRow[] | undefined;
  try {
    stack = await startStack({
      folder,
      ports: await freePorts(),
      hosts: instantHosts(),
      log: (clock) => createLineLog(() => undefined, clock),
      intervals: { resyncSeconds: 60, usageSampleSeconds: 60, usageFlushSeconds: 60 },
      sweepSeconds: 60,
      throwaway: false,
    });
    rows = (await Promise.race([measure(stack), whenAsked(asked)])) ?? undefined;
  } catch (error) {
    if (!asked.aborted) throw error;
  } finally {
    await stack?.stop();
    await endLeftoverPostgres((await dataFolderOf(path.join(folder, "postgres"))).data);
    await rm(folder, { recursive: true, force: true });
  }
  if (!rows) throw new PlainError("the benchmark was interrupted");
  process.stdout.write(values.json ? `${JSON.stringify({ rows })}\n` : toText(rows));
  const missed = rows.filter((row) => row.holds === false).map((row) => row.name);
  if (values.check && missed.length > 0) throw new PlainError(`missed: ${missed.join("; ")}`);
}

async function measure(stack: Stack): Promise<readonly BenchRow[]> {
  await stack.sweep(); // the days' partitions
  const pool = new pg.Pool({ connectionString: stack.databaseUrl, max: 8 });
  try {
    const webhooks = await benchWebhooks(stack, pool);
    return [...(await benchUsage(stack, pool)), ...webhooks];
  } finally {
    await pool.end();
  }
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        json: { type: "boolean", default: false },
        check: { type: "boolean", default: false },
        help: { type: "boolean", short: "h", default: false },
      },
    }).values;
  } catch (error) {
    throw new PlainError(`${error instanceof Error ? error.message : String(error)}; see --help`);
  }
}

await runMain(main);

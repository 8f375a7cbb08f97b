import { parseArgs } from "node:util";
import pg from "pg";
import type { BenchRow } from "./bench-row.ts";
import { BENCH_OPTIONS, benchOnStack } from "./bench-stack.ts";
import { benchUsage } from "./bench-usage.ts";
import { benchWebhooks } from "./bench-webhooks.ts";
import { instantHosts } from "./hosts.ts";
import { PlainError, runMain } from "./main.ts";
import type { Stack } from "./stack.ts";

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
  await benchOnStack(
    values,
    { hosts: instantHosts(), sweepSeconds: 60, throwaway: false },
    measure,
  );
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
        ...BENCH_OPTIONS,
      },
    }).values;
  } catch (error) {
    throw new PlainError(`${error instanceof Error ? error.message : String(error)}; see --help`);
  }
}

await runMain(main);

import { parseArgs } from "node:util";
import pg from "pg";
import { benchRenewals } from "./bench-renewals.ts";
import type { BenchRow } from "./bench-row.ts";
import { BENCH_OPTIONS, benchOnStack } from "./bench-stack.ts";
import { benchWebhooks } from "./bench-webhooks.ts";
import { instantHosts } from "./hosts.ts";
import { PlainError, runMain } from "./main.ts";
import type { Stack } from "./stack.ts";

const USAGE = `npm run bench:billing -- [options]: what money's events take, on this machine

  --json   the figures as data, and nothing else
  --check  exit code 1 when one misses its goal
  --help

Stripe's deliveries taken in, beside the bare inserts of the same rows; and renewals paid at the stand-in at a steady rate, from
each delivery to the longer lease in the database, beside a bare insert and update: in the same run, on the same Postgres, which
waits for its disk as it does where it matters.
`;

async function main(args: readonly string[]): Promise<void> {
  const values = parse(args);
  if (values.help) {
    process.stdout.write(USAGE);
    return;
  }
  await benchOnStack(
    values,
    { hosts: instantHosts(), sweepSeconds: 600, throwaway: false },
    measure,
  );
}

async function measure(stack: Stack): Promise<readonly BenchRow[]> {
  const pool = new pg.Pool({ connectionString: stack.databaseUrl, max: 8 });
  try {
    // Before the others: these move the stack's clock, and what is delivered bears the machine's.
    const webhooks = await benchWebhooks(stack, pool);
    return [...webhooks, ...(await benchRenewals(stack, pool))];
  } finally {
    await pool.end();
  }
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: BENCH_OPTIONS }).values;
  } catch (error) {
    throw new PlainError(`${error instanceof Error ? error.message : String(error)}; see --help`);
  }
}

await runMain(main);

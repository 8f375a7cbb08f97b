import { chmod, mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { askedToStop, whenAsked } from "./asked-to-stop.ts";
import { toText, type BenchRow } from "./bench-row.ts";
import { createLineLog } from "./log.ts";
import { PlainError } from "./main.ts";
import { freePorts } from "./ports.ts";
import { endLeftoverPostgres } from "./postgres-leftover.ts";
import { dataFolderOf } from "./postgres-place.ts";
import { startStack, type Stack, type StackOptions } from "./stack.ts";

/** What every benchmark of a stack of its own takes: how it tells, and whether a goal that is missed is a failure. */
export const BENCH_OPTIONS = {
  json: { type: "boolean", default: false },
  check: { type: "boolean", default: false },
  help: { type: "boolean", short: "h", default: false },
} as const;

/**
 * Measures on a stack in a folder of its own, of which nothing is left however it ends, and prints the figures. Throws a
 * `PlainError` when it was interrupted, and with `check` when one misses its goal.
 */
export async function benchOnStack(
  { json, check }: { json: boolean; check: boolean },
  options: Pick<StackOptions, "hosts" | "sweepSeconds" | "throwaway">,
  measure: (stack: Stack) => Promise<readonly BenchRow[]>,
): Promise<void> {
  const folder = await mkdtemp(path.join(os.tmpdir(), "berth-bench-"));
  await chmod(folder, 0o711);
  const asked = askedToStop();
  let stack: Stack | undefined;
  let rows: readonly BenchRow[] | undefined;
  try {
    stack = await startStack({
      ...options,
      folder,
      ports: await freePorts(),
      log: (clock) => createLineLog(() => undefined, clock),
      intervals: { resyncSeconds: 60, usageSampleSeconds: 60, usageFlushSeconds: 60 },
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
  process.stdout.write(json ? `${JSON.stringify({ rows })}\n` : toText(rows));
  const missed = rows.filter((row) => row.holds === false).map((row) => row.name);
  if (check && missed.length > 0) throw new PlainError(`missed: ${missed.join("; ")}`);
}

import { CorruptState } from "#host-agent/state/saved.ts";
import { DriverError } from "#host-agent/drivers/driver.ts";
import { PostgresError } from "./postgres-error.ts";
import { CorruptFolder } from "./saved-secrets.ts";
import { CorruptStateFile } from "./stripe/state-file.ts";

/** A failure that its one line explains in full. */
export class PlainError extends Error {
  override name = "PlainError";
}

const PLAIN = [
  PlainError,
  PostgresError,
  CorruptFolder,
  CorruptStateFile,
  CorruptState,
  DriverError,
];

/** Runs a command-line program: a foreseen failure is one line on stderr and exit code 1, any other its stack. */
export async function runMain(main: (args: readonly string[]) => Promise<void>): Promise<void> {
  try {
    await main(process.argv.slice(2));
    process.exit(0);
  } catch (error) {
    const foreseen = PLAIN.some((kind) => error instanceof kind);
    const text = error instanceof Error ? (foreseen ? error.message : error.stack) : String(error);
    process.stderr.write(`berth: ${text}\n`);
    process.exit(1);
  }
}

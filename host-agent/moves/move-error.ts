import type { MoveReport } from "#core/contracts/agent/moves.ts";
import type { MoveStep } from "#core/moves/move.ts";
import type { AgentErrorCode } from "#core/contracts/agent/report.ts";
import { DriverError } from "#host-agent/drivers/driver.ts";
import { MoveStreamError, type MoveStreamFault } from "./stream-error.ts";

type MoveError = NonNullable<MoveReport["error"]>;

/** What comes to the same however often it is tried. */
const FINAL: ReadonlySet<AgentErrorCode> = new Set<AgentErrorCode>([
  "unsupported",
  "image_missing",
  "out_of_disk",
  "beyond_limits",
  "not_ours",
  "stale_epoch",
  "vm_missing",
]);
/** Of the stream, what its receiver cannot help; of a sender's part all may pass. */
const FAULTS: Partial<Record<MoveStreamFault, AgentErrorCode>> = {
  no_room: "out_of_disk",
  too_big: "unsupported",
  not_a_file: "unsupported",
};

/** The fault that a receiver has with its own host, or with what it was promised; null: its sender comes again. */
export function ownFault(error: unknown): DriverError | null {
  if (!(error instanceof MoveStreamError))
    return error instanceof DriverError
      ? error
      : new DriverError("driver_failed", String(error), { cause: error });
  const code = FAULTS[error.code];
  return code === undefined ? null : new DriverError(code, error.message, { cause: error });
}

/** In the report's words. Only before anything is given away may it be said that it is no use. */
export function moveError(error: unknown, step: MoveStep): MoveError {
  const detail = (error instanceof Error ? error.message : String(error)).slice(0, 1000);
  if (error instanceof MoveStreamError) return { code: error.code, detail, final: false };
  const code = error instanceof DriverError ? error.code : "driver_failed";
  const isEarly = step === "prepare" || step === "copy";
  return { code, detail, final: isEarly && FINAL.has(code) };
}

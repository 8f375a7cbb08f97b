import { execFile } from "node:child_process";
import { DriverError } from "../driver.ts";

/** How long a program may take, and who may end it earlier. */
export type Call = Readonly<{
  timeoutMs?: number;
  signal?: AbortSignal | undefined;
}>;

const DEFAULT_TIMEOUT_MS = 30_000;
/** `dumpxml` of a thousand guests is about 10 MB. */
const MAX_OUTPUT_BYTES = 128 * 1024 * 1024;

/** A program that ran and said no. `stderr` is for people and for `driverErrorOf`; nothing decides by its words alone. */
export class ProgramFailed extends Error {
  override name = "ProgramFailed";
  readonly stderr: string;
  constructor(what: string, stderr: string, options: ErrorOptions) {
    super(`${what} failed: ${stderr}`, options);
    this.stderr = stderr;
  }
}

/** A program that is not installed. */
export class ProgramMissing extends Error {
  override name = "ProgramMissing";
}

/**
 * Runs a program with an argument array, never through a shell, and answers its standard output.
 * Throws `ProgramMissing`, `ProgramFailed`, `DriverError("timed_out")`, or the reason of the aborted signal.
 * A killed client does not undo what a daemon already does for it: look again before going on.
 */
export async function runProgram(
  file: string,
  args: readonly string[],
  call: Call = {},
): Promise<string> {
  const timeoutMs = call.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  const deadline = AbortSignal.timeout(timeoutMs);
  const signal = call.signal ? AbortSignal.any([call.signal, deadline]) : deadline;
  signal.throwIfAborted();
  return await new Promise((resolve, reject) => {
    execFile(
      file,
      [...args],
      {
        // Messages in English, whatever the host's language is.
        env: { ...process.env, LC_ALL: "C" },
        maxBuffer: MAX_OUTPUT_BYTES,
        signal,
        encoding: "utf8",
      },
      (error, stdout, stderr) => {
        if (error === null) resolve(stdout);
        else if (call.signal?.aborted) reject(asError(call.signal.reason, error));
        else if (deadline.aborted)
          reject(
            new DriverError("timed_out", `${file} ${args[0] ?? ""} took over ${timeoutMs} ms`, {
              cause: error,
            }),
          );
        else if (error.code === "ENOENT")
          reject(new ProgramMissing(`${file} is not installed`, { cause: error }));
        else reject(new ProgramFailed(file, tidy(stderr) || error.message, { cause: error }));
      },
    );
  });
}

/** Any failure of the host's programs or files as a `DriverError`, with its cause kept. */
export function driverErrorOf(error: unknown): unknown {
  if (error instanceof DriverError) return error;
  if (error instanceof ProgramMissing)
    return new DriverError("hypervisor_unavailable", error.message, { cause: error });
  if (error instanceof ProgramFailed)
    return new DriverError(
      /No space left on device/.test(error.stderr) ? "out_of_disk" : "driver_failed",
      error.message,
      { cause: error },
    );
  if (errnoOf(error) === "ENOSPC")
    return new DriverError("out_of_disk", "the host's disk is full", { cause: error });
  return error;
}

/** The code of a failed system call (`ENOENT`, `ENOSPC`), or undefined for any other error. */
export function errnoOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string"
    ? error.code
    : undefined;
}

function asError(reason: unknown, cause: Error): Error {
  return reason instanceof Error ? reason : new Error("aborted", { cause });
}

/** One line, short enough for a report. */
function tidy(stderr: string): string {
  return stderr
    .replaceAll(/^error: /gm, "")
    .trim()
    .replaceAll(/\s+/g, " ")
    .slice(0, 600);
}

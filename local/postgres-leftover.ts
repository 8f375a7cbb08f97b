import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { promisify } from "node:util";

const run = promisify(execFile);

/** A fast shutdown of a small database takes well under a second; then it is told to drop everything. */
const FAST_MS = 15_000;
const AT_ONCE_MS = 5000;

/**
 * Ends the server that an earlier, killed run left on this data folder, if there is one: the process that the folder's
 * `postmaster.pid` names, and only when that really is a Postgres on this very folder. Returns whether there was one.
 */
export async function endLeftoverPostgres(data: string): Promise<boolean> {
  const pid = await postmasterOf(data);
  if (pid === undefined) return false;
  // Postgres' signals: SIGINT is a fast shutdown, SIGQUIT an immediate one (its manual, "Shutting Down the Server").
  for (const [signal, ms] of [
    ["SIGINT", FAST_MS],
    ["SIGQUIT", AT_ONCE_MS],
  ] as const) {
    try {
      process.kill(pid, signal);
    } catch {
      return true; // it ended by itself
    }
    for (const until = performance.now() + ms; performance.now() < until; await wait(20))
      if ((await postmasterOf(data)) !== pid) return true;
  }
  return true;
}

async function postmasterOf(data: string): Promise<number | undefined> {
  const file = await readFile(path.join(data, "postmaster.pid"), "utf8").catch(() => "");
  const pid = Number(file.split("\n", 1)[0]);
  if (!Number.isInteger(pid) || pid <= 1) return undefined;
  const args = await argumentsOf(pid);
  return args !== undefined && args.includes("postgres") && args.includes(path.resolve(data))
    ? pid
    : undefined;
}

/** The command line of a process that lives; undefined: there is none (or it is not ours to see). */
async function argumentsOf(pid: number): Promise<string | undefined> {
  if (process.platform === "linux")
    return (await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")) || undefined;
  if (process.platform === "win32") return undefined; // pg_ctl's own stop does it there
  return run("ps", ["-p", String(pid), "-o", "args="]).then(
    ({ stdout }) => stdout.trim() || undefined,
    () => undefined,
  );
}

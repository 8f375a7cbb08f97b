import { execFile, spawn } from "node:child_process";
import { chmod, mkdtemp, readFile, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { atMost, type BenchRow } from "./bench-row.ts";
import { until } from "./client.ts";
import { PlainError } from "./main.ts";
import { freePorts } from "./ports.ts";
import { endLeftoverPostgres } from "./postgres-leftover.ts";
import { dataFolderOf } from "./postgres-place.ts";

const SETTLE_MS = 60_000;
const START_LIMIT_MS = 120_000;
const STOP_LIMIT_MS = 120_000;

/**
 * What a real `npm start` takes of the machine's memory a minute after its start: the sum over all its processes, npm,
 * Node, Postgres, and PowerShell where there is one. No row where there is no /proc to read it from, and none when it was asked to stop.
 */
export async function measureMemory(asked: AbortSignal): Promise<readonly BenchRow[]> {
  if (process.platform !== "linux") return [];
  const folder = await mkdtemp(path.join(os.tmpdir(), "berth-bench-"));
  await chmod(folder, 0o711);
  const ports = await freePorts();
  const started = spawn("npm", ["start"], {
    env: { ...process.env, BERTH_LOCAL_DIR: folder, BERTH_PORT: String(ports.api) },
    stdio: ["ignore", "ignore", "inherit"],
    detached: true, // a group of its own, to which npm's child belongs
  });
  try {
    await until("npm start", START_LIMIT_MS, async () => {
      asked.throwIfAborted();
      if (started.exitCode !== null) throw new PlainError("npm start ended by itself");
      return readFile(path.join(folder, "stack.json")).catch(() => undefined);
    });
    await sleep(SETTLE_MS, undefined, { signal: asked });
    const all = await processes();
    const postgres = all.find(({ args }) => args.includes(`-p ${ports.postgres} `));
    const ours = [started.pid, postgres?.pid].flatMap((root) => withChildren(all, root));
    const name = "memory of npm start after a minute";
    return [atMost(300, { name, unit: "MB", floor: null, ours: await megabytesOf(ours) })];
  } catch (error) {
    if (!asked.aborted) throw error;
    return [];
  } finally {
    if (started.pid !== undefined) await endGroup(started.pid);
    await endLeftoverPostgres((await dataFolderOf(path.join(folder, "postgres"))).data);
    await rm(folder, { recursive: true, force: true });
  }
}

/** What the Postgres on this port takes with all its processes, in MB; null where there is no /proc to read it from. */
export async function memoryOfPostgres(port: number): Promise<number | null> {
  if (process.platform !== "linux") return null;
  const all = await processes();
  const postgres = all.find(({ args }) => args.includes(`-p ${port} `));
  return megabytesOf(withChildren(all, postgres?.pid));
}

/** npm may be gone before what it started has stopped: whoever is left of the group is waited for. */
async function endGroup(group: number): Promise<void> {
  const signal = (name: "SIGTERM" | 0): boolean => {
    try {
      return process.kill(-group, name);
    } catch {
      return false; // there is nobody
    }
  };
  if (signal("SIGTERM"))
    await until("the end of npm start", STOP_LIMIT_MS, async () => !signal(0) || undefined);
}

type Process = Readonly<{ pid: number; parent: number; args: string }>;

async function processes(): Promise<readonly Process[]> {
  const { stdout } = await promisify(execFile)("ps", ["-eo", "pid=,ppid=,args="]);
  return stdout
    .split("\n")
    .map((line) => /^\s*(\d+)\s+(\d+)\s+(.*)$/.exec(line))
    .filter((m) => m !== null)
    .map((m) => ({ pid: Number(m[1]), parent: Number(m[2]), args: m[3] ?? "" }));
}

function withChildren(all: readonly Process[], pid: number | undefined): readonly number[] {
  if (pid === undefined) return [];
  const children = all.filter(({ parent }) => parent === pid);
  return [pid, ...children.flatMap((child) => withChildren(all, child.pid))];
}

/** Proportional set sizes: a page that several processes share counts once in their sum (proc(5), smaps_rollup). */
async function megabytesOf(pids: readonly number[]): Promise<number> {
  const sizes = await Promise.all(pids.map(pssMb));
  return sizes.reduce((sum, mb) => sum + mb, 0);
}

async function pssMb(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/smaps_rollup`, "utf8").catch(() => "");
  return Number(/^Pss:\s+(\d+) kB$/m.exec(text)?.[1] ?? 0) / 1024;
}

/**
 * `npm run cpu-of -- <command…>`: runs a command and prints, on standard error, the CPU-seconds of it and of all that
 * it started, with Postgres' processes apart, and the time on the wall. Ends as the command did. Linux only: it reads
 * /proc.
 *
 * What ended and was waited for, directly or by whoever started it, the kernel adds up exactly (`cutime` and `cstime`
 * of our own /proc/self/stat), however short it lived. What lost its parent, as a Postgres that `pg_ctl` started does,
 * is known by a mark in its environment and looked at five times a second: of it the last fifth of a second is missing.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { constants } from "node:os";

/** `USER_HZ`: the unit of times in /proc is a hundredth of a second on every platform that Node runs on. */
const TICKS_PER_SECOND = 100;
const LOOK_EVERY_MS = 200;
const OF_POSTGRES = new Set(["postgres", "initdb", "pg_ctl"]);

const [command, ...args] = process.argv.slice(2);
if (command === undefined) {
  process.stderr.write("usage: npm run cpu-of -- <command…>\n");
  process.exit(2);
}

type Stat = Readonly<{
  pid: number;
  name: string;
  parent: number;
  /** Its own ticks, and those of its children that ended and were waited for. */
  own: number;
  waited: number;
  /** With the pid, who it is: pids come again. */
  started: string;
}>;

/** undefined: it is gone. The name stands in brackets and may hold any character (proc_pid_stat(5)). */
function statOf(pid: number | "self"): Stat | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    const close = text.lastIndexOf(")");
    const fields = text.slice(close + 2).split(" ");
    const ticks = (n: number) => Number(fields[n - 3]);
    return {
      pid: Number.parseInt(text, 10),
      name: text.slice(text.indexOf("(") + 1, close),
      parent: ticks(4),
      own: ticks(14) + ticks(15),
      waited: ticks(16) + ticks(17),
      started: fields[22 - 3] ?? "",
    };
  } catch {
    return undefined;
  }
}

const MARK = "BERTH_CPU_OF";
const whose = `${process.pid}-${Date.now()}`;
const isMarked = (pid: number): boolean => {
  try {
    return readFileSync(`/proc/${pid}/environ`, "latin1").includes(`${MARK}=${whose}`);
  } catch {
    return false;
  }
};

const strangers = new Set<string>();
const idOf = (stat: Stat) => `${stat.pid} ${stat.started}`;
/** The most ticks that were seen of each tree: of one whose top nobody of ours waits for, and of Postgres' among ours. */
const apart = { postgres: new Map<string, number>(), others: new Map<string, number>() };
const postgresAmongOurs = new Map<string, number>();

function look(): void {
  const now = new Map<number, Stat>();
  for (const entry of readdirSync("/proc")) {
    const pid = Number(entry);
    const stat = Number.isInteger(pid) ? statOf(pid) : undefined;
    if (stat === undefined || strangers.has(idOf(stat))) continue;
    if (isMarked(pid)) now.set(pid, stat);
    else strangers.add(idOf(stat));
  }
  const isOurs = (stat: Stat): boolean => {
    if (stat.parent === process.pid) return true;
    const parent = now.get(stat.parent);
    return parent !== undefined && isOurs(parent);
  };
  const ofTree = (top: Stat): number =>
    [...now.values()]
      .filter((stat) => stat.parent === top.pid)
      .reduce((sum, below) => sum + ofTree(below), top.own + top.waited);
  for (const stat of now.values()) {
    const parent = now.get(stat.parent);
    const ofPostgres = OF_POSTGRES.has(stat.name);
    if (!isOurs(stat)) {
      if (parent !== undefined) continue;
      const kind = ofPostgres ? apart.postgres : apart.others;
      kind.set(idOf(stat), Math.max(kind.get(idOf(stat)) ?? 0, ofTree(stat)));
    } else if (ofPostgres && !(parent && OF_POSTGRES.has(parent.name))) {
      // `pg_ctl` does not wait for the server that it starts.
      const ticks = stat.name === "pg_ctl" ? stat.own + stat.waited : ofTree(stat);
      postgresAmongOurs.set(idOf(stat), ticks);
    }
  }
}

const began = performance.now();
const child = spawn(command, args, { stdio: "inherit", env: { ...process.env, [MARK]: whose } });
// Ctrl-C reaches the command by itself; we outlive it, to tell.
for (const signal of ["SIGINT", "SIGTERM"] as const)
  process.on(signal, () => signal === "SIGTERM" && child.kill(signal));
const looking = setInterval(look, LOOK_EVERY_MS);
await once(child, "exit");
look();
clearInterval(looking);

const sum = (of: Map<string, number>) =>
  [...of.values()].reduce((total, ticks) => total + ticks, 0);
const ofPostgres = sum(postgresAmongOurs) + sum(apart.postgres);
const ofOthers = (statOf("self")?.waited ?? 0) - sum(postgresAmongOurs) + sum(apart.others);
const seconds = (ticks: number) => (ticks / TICKS_PER_SECOND).toFixed(1);
process.stderr.write(
  `cpu-of: ${seconds(ofOthers)} CPU-seconds, and ${seconds(ofPostgres)} of Postgres; ` +
    `${((performance.now() - began) / 1000).toFixed(1)} s on the wall\n`,
);
const { exitCode, signalCode } = child;
process.exitCode = exitCode ?? 128 + (signalCode === null ? 0 : constants.signals[signalCode]);

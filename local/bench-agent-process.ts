import { readFile } from "node:fs/promises";
import { setTimeout as wait } from "node:timers/promises";
import { systemIds } from "#adapters/clock.ts";
import type { Clock, Log } from "#core/ports.ts";
import { createAgent } from "#host-agent/agent.ts";
import { createHttpControlPlane } from "#host-agent/channel/control-plane.ts";
import { createSqsDoorbell } from "#host-agent/channel/doorbell.ts";
import { createSigner, enroll } from "#host-agent/channel/identity.ts";
import { createKvmDriver } from "#host-agent/drivers/kvm/driver.ts";
import { createVirsh, type Libvirt } from "#host-agent/drivers/kvm/libvirt.ts";
import { createVirtualClock } from "#test/drivers/virtual-clock.ts";
import { Given, type Taken } from "./bench-agent-words.ts";
import { fileStore } from "#host-agent/state/state-store.ts";

/*
 * The program of `npm run bench:agent` that is measured: an agent with its own driver, and an hour of its life on a clock
 * that moves only while it rests. What it took is printed as one line of JSON.
 */

/** Until caches are full and what is compiled is compiled. */
const WARM_MINUTES = 30;
const MINUTES = 60;
const TICKS_A_SECOND = 100;
const MIB = 1024 ** 2;

/** As production tells its agents, in minutes. */
const FLUSH_EVERY = 5;
const GUARD_EVERY = 5;

const clock = createVirtualClock(new Date().toISOString());
/** The driver looks again when domains of others come and go: that takes real time. */
const driverClock: Clock = {
  now: clock.now,
  sleep: async (ms, signal) => {
    await wait(ms, undefined, signal ? { signal } : {});
  },
};
const log: Log = {
  info: () => undefined,
  error: (event, fields) => process.stderr.write(`${event} ${JSON.stringify(fields)}\n`),
};

/** A paused domain is told as a running one: it is at rest without costing the machine a guest. */
function pausedAsRunning(libvirt: Libvirt): Libvirt {
  const told = (text: string) =>
    text.replaceAll(/state\.state=3\n(\s*)state\.reason=\d+/g, "state.state=1\n$1state.reason=1");
  return {
    run: (args, call) => libvirt.run(args, call),
    read: (commands, call) => libvirt.read(commands, call),
    readThen: async (commands, last, call) =>
      (await libvirt.readThen(commands, last, call)).map(told),
  };
}

/** User and system time of a process, and of its children that have ended, in seconds. */
async function cpuOf(pid: number | "self"): Promise<{ own: number; children: number }> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8");
  // proc(5): after the name in parentheses, which may hold anything, `utime` is the 12th, and the others follow.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const seconds = (from: number) =>
    (Number(fields[from]) + Number(fields[from + 1])) / TICKS_A_SECOND;
  return { own: seconds(11), children: seconds(13) };
}

async function peakMb(): Promise<number> {
  const status = await readFile("/proc/self/status", "utf8");
  return Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1]) / 1024;
}

function heapMb(): number {
  globalThis.gc?.();
  globalThis.gc?.();
  return process.memoryUsage().heapUsed / MIB;
}

const given = Given.parse(JSON.parse(process.argv[2] ?? ""));
const driver = createKvmDriver({
  ...given.folders,
  uri: given.uri,
  network: { kind: "user" },
  emulationAllowed: true,
  agentVersion: "bench",
  clock: driverClock,
  log,
  libvirt: pausedAsRunning(createVirsh(given.uri)),
});
const store = fileStore(given.stateDir, { durable: true });
const { apiUrl } = given;
const identity = await enroll(store, createHttpControlPlane({ apiUrl, fetch, clock, sign: null }), {
  joinToken: "none is asked for",
  facts: await driver.facts(),
});
const agent = createAgent({
  hostId: given.hostId,
  driver,
  controlPlane: createHttpControlPlane({
    apiUrl,
    fetch,
    clock,
    sign: await createSigner(identity, { clock, ids: systemIds }),
  }),
  // Nobody waits for it here, but its client of SQS lies in memory as on a host.
  doorbell: (session) => createSqsDoorbell({ hostId: given.hostId, session, clock, log }),
  store,
  clock,
  random: () => 0.5,
  log,
});

let samples = 0;
async function minute(n: number): Promise<void> {
  await clock.advance(60_000);
  await agent.pass();
  samples += await agent.sampleUsage();
  if (n % FLUSH_EVERY === 0) await agent.flushUsage();
  if (n % GUARD_EVERY === 0) await agent.guardNetwork();
  if (n % MINUTES === 0) await agent.emptyTrash();
}

for (let n = 1; n <= WARM_MINUTES; n++) await minute(n);
const heapBeforeMb = heapMb();
samples = 0;
const [before, daemonBefore] = [await cpuOf("self"), await cpuOf(given.libvirtd)];
for (let n = 1; n <= MINUTES; n++) await minute(n);
const [after, daemonAfter] = [await cpuOf("self"), await cpuOf(given.libvirtd)];
const taken: Taken = {
  own: after.own - before.own,
  children: after.children - before.children,
  libvirt: daemonAfter.own - daemonBefore.own,
  peakMb: await peakMb(),
  heapBeforeMb,
  heapAfterMb: heapMb(),
  samples,
};
agent.close();
await driver.close();
process.stdout.write(`${JSON.stringify(taken)}\n`);
process.exit(0);

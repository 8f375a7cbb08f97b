import { execFile } from "node:child_process";
import { randomBytes, randomUUID } from "node:crypto";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { systemClock } from "#adapters/clock.ts";
import type { DesiredVm } from "#core/contracts/agent/desired.ts";
import type { MoveRole } from "#core/moves/move.ts";
import { filesOf } from "#host-agent/drivers/kvm/files.ts";
import { liveXml } from "#host-agent/drivers/kvm/live-xml.ts";
import type { LiveCalls, MoveCalls } from "#host-agent/drivers/move-calls.ts";
import { doMoveStep } from "#host-agent/moves/do-step.ts";
import { createMoveChannel, type LiveDoor } from "#host-agent/moves/move-channel.ts";
import { type MovingVm, realMoveFolder } from "#host-agent/moves/move-files.ts";
import { createMoveNotes } from "#host-agent/moves/move-notes.ts";
import type { Doing } from "#host-agent/moves/move-worker.ts";
import type { MoveStepPorts } from "#host-agent/moves/step-ports.ts";
import { memoryStore } from "#host-agent/state/state-store.ts";
import { aDesiredVm, eventually } from "#test/drivers/builders.ts";
import { type KvmTestHost, openKvmTestHost } from "#test/kvm/host.ts";
import { openGround } from "#test/kvm/libvirt-daemon.ts";
import { type LibvirtHost, openLibvirtHost } from "#test/kvm/two-hosts.ts";
import { HOST } from "./bench-move-words.ts";
import { growsAtMost, noGoal, percentile, type BenchRow } from "./bench-row.ts";

/* A guest that runs, moved there and back between two libvirt hosts: by the agents' steps, and by `virsh migrate` beside them. */

const run = promisify(execFile);
const QUIET = { info: () => undefined, error: () => undefined };
const READY_MS = 300_000;
/** A small VM that somebody uses: of an empty one, a third of the time is that of asking libvirt this and that. */
const SIZE = { vcpus: 1, memoryMib: 256, diskGib: 4 };
const WRITTEN_GIB = 2;
/**
 * Of both, as a line between hosts limits them. Unlimited, the floor would be two hypervisors that talk by sockets in clear: twice the
 * pace of one that is encrypted and decrypted on the two cores which they need themselves.
 */
const LINE_MBIT = 1_000;
const LINE_MIB = Math.floor((LINE_MBIT * 1_000_000) / 8 / 1024 ** 2);

type End = Readonly<{
  host: KvmTestHost;
  libvirt: LibvirtHost;
  moves: MoveCalls;
  live: LiveCalls;
}>;

async function openEnd(name: string): Promise<End> {
  const libvirt = await openLibvirtHost(name);
  const host = await openKvmTestHost({ libvirt });
  if (!host.available) throw new Error(host.reason);
  const { moves } = host.driver;
  if (!moves?.live) throw new Error("KVM moves live");
  return { host, libvirt, moves, live: moves.live };
}

/** null: this machine has no libvirt for it. */
export async function measureLive(
  rounds: number,
  asked: AbortSignal,
): Promise<readonly BenchRow[] | null> {
  const ground = await openGround();
  if (!ground.available) return null;
  const ends: End[] = [];
  const folder = await mkdtemp(path.join(os.tmpdir(), "berth-bench-live-"));
  try {
    // Where both QEMUs reach each other's sockets, as users of their own.
    await chmod(folder, 0o777);
    for (const name of ["bench-a", "bench-b"]) ends.push(await openEnd(name));
    return await measure(ends, folder, rounds, asked);
  } finally {
    for (const { host } of ends) await host.close();
    await rm(folder, { recursive: true, force: true });
    await ground.close();
  }
}

async function measure(
  ends: readonly End[],
  folder: string,
  rounds: number,
  asked: AbortSignal,
): Promise<readonly BenchRow[]> {
  let [source, destination] = ends;
  if (!source || !destination) throw new Error("there are two ends");
  let vm: DesiredVm = aDesiredVm({ image: source.host.image, size: SIZE });
  await source.host.driver.create(vm);
  await write(filesOf(source.host.dirs, vm).disk);
  await source.host.driver.start(vm);
  const console = filesOf(source.host.dirs, vm).console;
  await eventually(
    "the guest has booted",
    async () => /READY/.test(await readFile(console, "utf8").catch(() => "")),
    READY_MS,
    200,
  );
  const took = { floor: [] as number[], ours: [] as number[] };
  const pauses = { floor: [] as number[], ours: [] as number[] };
  const panics = { floor: 0, ours: 0 };
  /** Whose move has brought it to where it is. */
  let cameBy: "floor" | "ours" | null = null;
  // The first of each is not counted. Each way is taken by both in turns.
  for (let n = 0; n <= rounds; n++)
    for (const by of n % 2 === 0 ? (["floor", "ours"] as const) : (["ours", "floor"] as const)) {
      asked.throwIfAborted();
      const moved = { ...vm, ownerEpoch: vm.ownerEpoch + 1 };
      const went = await (by === "floor" ? byVirsh : byAgents)(source, destination, vm, folder);
      if (n > 0) {
        took[by].push(went.seconds);
        pauses[by].push(went.pauseMs);
      }
      if (cameBy !== null) panics[cameBy] += await panicsIn(filesOf(source.host.dirs, vm).console);
      cameBy = by;
      await source.host.driver.destroy(vm);
      [source, destination, vm] = [destination, source, moved];
    }
  return [
    growsAtMost(1.1, {
      name: `live: a guest that runs, with ${WRITTEN_GIB} GiB of its own, moved to another host at ${LINE_MBIT} Mbit/s, beside virsh migrate, p50`,
      unit: "s",
      floor: percentile(took.floor, 0.5),
      ours: percentile(took.ours, 0.5),
    }),
    noGoal({
      name: "live: of it, what the guest stood still for, p50",
      unit: "ms",
      floor: percentile(pauses.floor, 0.5),
      ours: percentile(pauses.ours, 0.5),
    }),
    // Under emulation QEMU now and then misses a page that its guest wrote while it was sent (test/kvm/move-agents.test.ts).
    noGoal({ name: "live: panics of the guest's kernel after one", unit: "panics", ...panics }),
  ];
}

type Went = Readonly<{ seconds: number; pauseMs: number }>;

/** Behind what the guest uses; not zeros, which nobody would send. */
async function write(disk: string): Promise<void> {
  for (let at = SIZE.diskGib - WRITTEN_GIB; at < SIZE.diskGib; at++)
    await run("qemu-io", ["-c", `write -P 90 ${at}G 1G`, disk]);
}

const panicsIn = async (console: string): Promise<number> =>
  (await readFile(console, "utf8")).match(/Kernel panic/g)?.length ?? 0;

/** To the other libvirt's own socket, with nothing between. */
async function byVirsh(
  source: End,
  destination: End,
  vm: DesiredVm,
  folder: string,
): Promise<Went> {
  const moved = { ...vm, ownerEpoch: vm.ownerEpoch + 1 };
  const { base } = await source.moves.describe(vm);
  const { definition } = await destination.live.prepareLive(moved, base);
  const running = await source.host.virsh("dumpxml", vm.vmId, "--migratable");
  const at = (name: string) => path.join(folder, `${moved.ownerEpoch}.${name}`);
  await writeFile(at("live"), liveXml(running, definition, moved));
  await writeFile(at("lasting"), definition);
  const uri = (end: End) => `qemu+unix:///system?socket=${socketOf(end)}`;
  const options = {
    xml: at("live"),
    "persistent-xml": at("lasting"),
    migrateuri: `unix://${at("qemu")}`,
    "disks-uri": `unix://${at("nbd")}`,
    bandwidth: String(LINE_MIB),
    domain: vm.vmId,
    desturi: uri(destination),
  };
  const flags = ["--live", "--persistent", "--auto-converge", "--abort-on-error"];
  const words = [
    ...flags,
    base === null ? "--copy-storage-all" : "--copy-storage-inc",
    ...Object.entries(options).flatMap(([name, value]) => [`--${name}`, value]),
  ];
  const began = performance.now();
  await run("virsh", ["-q", "-c", uri(source), "migrate", ...words]);
  const seconds = (performance.now() - began) / 1000;
  return { seconds, pauseMs: (await source.live.pauseOf(vm)) ?? 0 };
}

const socketOf = ({ libvirt }: End): string =>
  new URL(libvirt.uri).searchParams.get("socket") ?? "";

/** Both agents' step, from the source's first look to its mark on what it has given away. */
async function byAgents(source: End, destination: End, vm: DesiredVm): Promise<Went> {
  const life = new AbortController();
  const { signal } = life;
  const doors = new Map<string, LiveDoor>();
  const key = randomBytes(32);
  const channel = createMoveChannel({
    listen: { address: HOST, port: 0 },
    clock: systemClock,
    log: QUIET,
  });
  const address = await channel.listen?.(
    { keyOf: () => key, takerOf: () => null, liveOf: (id) => doors.get(id) ?? null },
    signal,
  );
  if (!address || !channel.live) throw new Error("it listens");
  const disk = await source.moves.describe(vm);
  const id = randomUUID();
  const part = (role: MoveRole): MovingVm => ({
    ...vm,
    ownerEpoch: vm.ownerEpoch + (role === "source" ? 0 : 1),
    move: {
      id,
      role,
      step: "copy",
      method: "live",
      epoch: vm.ownerEpoch + 1,
      format: "qcow2",
      address,
      key: key.toString("base64url"),
      mbitPerSecond: null,
      disk: {
        format: "qcow2",
        virtualBytes: String(disk.virtualBytes),
        exportBytes: String(disk.exportBytes),
        base: disk.base,
      },
    },
  });
  const doing = (role: MoveRole): Doing => ({
    vm: part(role),
    signal,
    worker: { ended: async () => undefined, atRest: async () => undefined },
    waitFor: (event) => event,
    tell: () => undefined,
    say: () => undefined,
  });
  const portsOf = ({ host }: End): MoveStepPorts => ({
    driver: host.driver,
    channel,
    folder: realMoveFolder,
    notes: createMoveNotes(memoryStore()),
    observer: { look: () => Promise.reject(new Error("a live move needs no look at all VMs")) },
    facts: () => null,
    address: async () => address,
    promised: () => 0,
    takers: new Map(),
    doors,
    sending: (work) => work(),
    taking: (work) => work(),
    mbitPerSecond: LINE_MBIT,
    stepLimitMs: 300_000,
    clock: systemClock,
  });
  const taking = doMoveStep(portsOf(destination), doing("destination"));
  taking.catch(() => undefined);
  try {
    const { live } = channel;
    const end = { to: address, moveId: id, key };
    await eventually("the destination is ready", async () => {
      const answer = await live.ask(end, "target", signal).catch(() => null);
      return answer !== null && "target" in answer && answer.target !== null;
    });
    const began = performance.now();
    const done = await doMoveStep(portsOf(source), doing("source"));
    return { seconds: (performance.now() - began) / 1000, pauseMs: done?.pauseMs ?? 0 };
  } finally {
    life.abort(new Error("it is measured"));
    await taking.catch(() => undefined);
  }
}

import type { Duplex } from "node:stream";
import { DriverError } from "#host-agent/drivers/driver.ts";
import type { Forwarded, LiveEnd, LiveTarget } from "#host-agent/drivers/move-calls.ts";
import { connectForwarded, joinStreams } from "./forward-sockets.ts";
import type { LiveAnswer, LiveQuestion } from "./live-questions.ts";
import type { LiveDoor } from "./move-channel.ts";
import type { Doing } from "./move-worker.ts";
import { briefly, limited, liveOf, untilAborted, type MoveStepPorts } from "./step-ports.ts";
import { MoveStreamError } from "./stream-error.ts";

/**
 * The destination's part of a live move: makes what the guest arrives in, joins the two hypervisors, and answers the source's agent,
 * which decides. It says `arrived` when the guest is here and runs. It ends when it is aborted alone. Given up (`hold`), it opens nothing
 * more, and still answers: the guest may have arrived before.
 */
export async function takeLive(ports: MoveStepPorts, doing: Doing): Promise<never> {
  const { vm, signal, waitFor } = doing;
  const live = liveOf(ports);
  const moved = { vmId: vm.vmId, ownerEpoch: vm.ownerEpoch };
  if ((await ports.address()) === null)
    throw new DriverError("driver_failed", "this host cannot listen for moves now");
  const see = async (): Promise<LiveEnd> => {
    const seen = await briefly(ports, "a look", signal, (inner) => live.seen(moved, inner));
    if (seen === "running") doing.say({ done: "arrived" });
    return seen;
  };
  let target: LiveTarget | null = null;
  /** One at a time; null: nothing is being made. */
  const under: { way: Promise<void> | null } = { way: null };
  const fault = Promise.withResolvers<never>();
  // Heard by whoever waits for it, if anybody does.
  fault.promise.catch(() => undefined);
  const canPrepare = vm.move.step === "copy";

  /** What is under way, or has come, is made already; what it leaves when it fails goes by itself, and then it is made. */
  async function makeReady(): Promise<void> {
    if (!canPrepare || target !== null || (await see()) !== "none") return;
    target = await prepare(ports, doing);
  }
  const ready = () => (under.way ??= makeReady().finally(() => (under.way = null)));

  async function answer(question: LiveQuestion): Promise<LiveAnswer> {
    try {
      switch (question) {
        case "seen":
          return { seen: await see() };
        case "target":
          // Asked again in a moment. Why it cannot be made is this end's to tell.
          if (target === null) ready().catch((error: unknown) => fault.reject(error));
          return { target };
        case "take":
          await briefly(ports, "take", signal, (inner) => live.takeLive(moved, inner));
          return { taken: true };
      }
    } catch (error) {
      const code = error instanceof DriverError ? error.code : "driver_failed";
      const detail = (error instanceof Error ? error.message : String(error)).slice(0, 1000);
      return { error: { code, detail } };
    }
  }

  const joined = canPrepare ? await openSockets(ports, doing, () => target) : null;
  const door: LiveDoor = { answer, join: joined && joined.join };
  ports.doors.set(vm.move.id, door);
  try {
    await ready();
    // An agent that begins anew finds what has come.
    if (!canPrepare) await see();
    return await waitFor(Promise.race([untilAborted(signal), fault.promise]));
  } finally {
    if (ports.doors.get(vm.move.id) === door) ports.doors.delete(vm.move.id);
    await under.way?.catch(() => undefined);
    await joined?.close();
  }
}

async function prepare(ports: MoveStepPorts, { vm, signal }: Doing): Promise<LiveTarget> {
  const { disk } = vm.move;
  if (disk === null) throw new DriverError("driver_failed", "nobody has said what comes");
  const live = liveOf(ports);
  const what = { what: "the preparation", bytes: BigInt(disk.exportBytes), signal };
  return await ports.taking(
    () => limited(ports, what, (inner) => live.prepareLive(vm, disk.base, inner)),
    signal,
  );
}

/** Where the source's hypervisor comes in; null: this driver's need no help of ours. */
async function openSockets(
  ports: MoveStepPorts,
  { vm, signal }: Doing,
  target: () => LiveTarget | null,
) {
  const { forwarded } = liveOf(ports);
  if (forwarded === null) return null;
  const moved = { vmId: vm.vmId, ownerEpoch: vm.ownerEpoch };
  const sockets = await briefly(ports, "sockets", signal, (inner) =>
    forwarded.sockets("destination", moved, inner),
  );
  const open = new Set<Duplex>();
  const joins = new Set<Promise<void>>();

  async function join(kind: Forwarded, channel: Duplex): Promise<void> {
    const prepared = target();
    if (prepared === null) throw new MoveStreamError("refused", "nothing is prepared for it");
    const guard = forwarded?.guard(kind, moved, prepared) ?? null;
    const local = await connectForwarded(sockets, kind);
    let refused: DriverError | null = null;
    open.add(local);
    open.add(channel);
    // What the two say to each other, and that it broke, is theirs; what was refused is for people to read.
    const joining = joinStreams(channel, local, guard).catch((error: unknown) => {
      if (error instanceof DriverError) refused = error;
    });
    joins.add(joining);
    if (signal.aborted) channel.destroy();
    await joining;
    joins.delete(joining);
    open.delete(local);
    open.delete(channel);
    if (refused !== null) throw refused;
  }

  return {
    join,
    async close() {
      for (const stream of open) stream.destroy();
      await Promise.all(joins);
      await forwarded.drop(moved);
    },
  };
}

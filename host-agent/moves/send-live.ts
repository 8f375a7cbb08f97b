import { DriverError } from "#host-agent/drivers/driver.ts";
import type { LiveEnd, LiveTarget } from "#host-agent/drivers/move-calls.ts";
import { pause } from "#host-agent/time-limit.ts";
import { listenForwarded } from "./forward-sockets.ts";
import { judgeLive, type LiveVerdict } from "./judge-live.ts";
import type { LiveAnswer, LiveQuestion } from "./live-questions.ts";
import type { FarEnd } from "./move-channel.ts";
import { fileOf } from "./move-files.ts";
import type { Doing, Done } from "./move-worker.ts";
import { briefly, limited, liveOf, movesOf, type MoveStepPorts } from "./step-ports.ts";
import { MoveStreamError } from "./stream-error.ts";

/*
 * The source's part of a live move. It begins with a look at both ends, as one does whose agent was killed at any moment, and goes by
 * looks alone: what a call answered says at most that there is something new to see.
 */

const LOOK_AGAIN_MS = 500;
/** For so long hypervisors that are not through are looked at before that is told. */
const PATIENCE_MS = 60_000;

/** Moves the guest. Ends with its being the destination's, and this copy marked; else throws, and the guest is where it was. */
export async function sendLive(ports: MoveStepPorts, doing: Doing): Promise<Done> {
  const { vm } = doing;
  /** When the hypervisor had said that it had handed the guest over, and when the destination had taken it. */
  let left: number | null = null;
  let taken: number | null = null;
  let failed: unknown = null;
  await doing.waitFor(doing.worker.ended());
  return untilDecided(ports, doing, {
    handedOver: () => (taken = ports.clock.now().getTime()),
    moved: () => released(ports, doing, left === null || taken === null ? null : taken - left),
    rolledBack: async ({ here, there }) => {
      await bringBack(ports, doing, here);
      // Said now: it is known by now that nothing came of it.
      if (failed !== null) throw failed;
      if (here === "off" && vm.power === "off")
        throw new DriverError("unsupported", `${vm.vmId} is off`);
      if (there === "moving")
        throw new DriverError(
          "driver_failed",
          "the destination has not let go of the last attempt",
        );
      if (there !== "none" && there !== null)
        throw new DriverError("unsupported", "the destination holds a copy of a failed attempt");
      try {
        await ports.sending(() => migrate(ports, doing), doing.signal);
        left = ports.clock.now().getTime();
      } catch (error) {
        doing.signal.throwIfAborted();
        failed = error;
      }
      return null;
    },
  });
}

/**
 * The move is called off, and whatever was under way for it here has ended before this begins. It is held when its guest is the
 * source's; when that has gone over nevertheless, it is released.
 */
export async function holdLive(ports: MoveStepPorts, doing: Doing): Promise<Done> {
  const { vm, signal, worker } = doing;
  const { moves } = ports.driver;
  await doing.waitFor(worker.ended());
  // Without these calls nothing was ever given away.
  if (!moves?.live) return { done: "held" };
  await ports.folder.remove(fileOf(moves.folder, vm));
  return untilDecided(ports, doing, {
    handedOver: () => undefined,
    moved: () => released(ports, doing, null),
    rolledBack: async ({ here }) => {
      await bringBack(ports, doing, here);
      await briefly(ports, "hold", signal, (inner) => moves.hold(vm, inner));
      return { done: "held" };
    },
  });
}

/** `there`: null where it was not asked, as nothing that it shows would change the verdict. */
type Ends = Readonly<{ here: LiveEnd; there: LiveEnd | null }>;
type Ways = Readonly<{
  /** The destination has taken it. */
  handedOver: () => void;
  moved: () => Promise<Done>;
  /** null: look again. */
  rolledBack: (ends: Ends) => Promise<Done | null>;
}>;

async function untilDecided(ports: MoveStepPorts, doing: Doing, ways: Ways): Promise<Done> {
  const { clock } = ports;
  const { signal } = doing;
  let since = clock.now().getTime();
  for (;;) {
    signal.throwIfAborted();
    const { verdict, ...ends } = await look(ports, doing);
    const shown = `the source shows it ${ends.here}, the destination ${ends.there}`;
    switch (verdict) {
      case "moved":
        return ways.moved();
      case "handed_over":
        await take(ports, doing);
        ways.handedOver();
        break;
      case "rolled_back": {
        const done = await ways.rolledBack(ends);
        if (done !== null) return done;
        since = clock.now().getTime();
        break;
      }
      case "going_on":
        if (clock.now().getTime() - since >= PATIENCE_MS)
          throw new DriverError("timed_out", `the hypervisors are not through with it: ${shown}`);
        await doing.waitFor(pause(clock, LOOK_AGAIN_MS, signal));
        break;
      case "unclear":
        throw new DriverError("driver_failed", `nothing is started, people are to look: ${shown}`);
    }
  }
}

async function look(
  ports: MoveStepPorts,
  doing: Doing,
): Promise<Ends & Readonly<{ verdict: LiveVerdict }>> {
  const { vm, signal } = doing;
  const live = liveOf(ports);
  const here = await briefly(ports, "a look", signal, (inner) => live.seen(vm, inner));
  // Given up, its guest runs here, and its hypervisor is not about to move it: the other host may be gone for good.
  if (vm.move.step === "hold" && here === "running")
    return { here, there: null, verdict: "rolled_back" };
  const there = await seenThere(ports, doing);
  return { here, there, verdict: judgeLive(here, there) };
}

/** Its guest is the source's, and runs if it is to. */
async function bringBack(
  { driver, ...ports }: MoveStepPorts,
  { vm, signal }: Doing,
  here: LiveEnd,
): Promise<void> {
  if (here === "running" || (here !== "paused" && vm.power === "off")) return;
  await briefly(ports, "start", signal, (inner) => driver.start(vm, inner));
}

/** `takenMs`: it stood still for so long after its hypervisor's part; null: it did not, or nobody knows. */
async function released(
  ports: MoveStepPorts,
  { vm, signal }: Doing,
  takenMs: number | null,
): Promise<Done> {
  const { driver } = ports;
  const moves = movesOf(ports);
  const live = liveOf(ports);
  const measured = await briefly(ports, "pause", signal, (inner) => live.pauseOf(vm, inner));
  const here = await briefly(ports, "a look", signal, (inner) => live.seen(vm, inner));
  // What was handed over and not cleaned up stands still here.
  if (here === "paused")
    await briefly(ports, "stop", signal, (inner) => driver.stop(vm, "firm", inner));
  // Some hypervisors leave nothing that could be marked.
  if (here !== "none") await briefly(ports, "release", signal, (inner) => moves.release(vm, inner));
  return { done: "released", ...(measured !== null && { pauseMs: measured + (takenMs ?? 0) }) };
}

async function migrate(ports: MoveStepPorts, doing: Doing): Promise<void> {
  const { vm, signal, tell } = doing;
  const { disk, mbitPerSecond } = vm.move;
  const live = liveOf(ports);
  if (disk === null) throw new DriverError("driver_failed", "nobody has said what is to be moved");
  const moved = { vmId: vm.vmId, ownerEpoch: vm.move.epoch };
  const to = { moved, target: await target(ports, doing), base: disk.base };
  const limits = [mbitPerSecond, ports.mbitPerSecond].filter((limit) => limit !== null);
  const mbit = limits.length === 0 ? null : Math.min(...limits);
  const forwarded = await forward(ports, doing);
  try {
    const what = { what: "the move", bytes: BigInt(disk.exportBytes), signal };
    await limited(ports, what, (inner) =>
      live.migrateLive(vm, { ...to, mbitPerSecond: mbit, tell }, inner),
    );
  } finally {
    await forwarded.close();
  }
}

/** Makes the hypervisors reach each other while it lasts. */
async function forward(
  ports: MoveStepPorts,
  { vm, signal }: Doing,
): Promise<{ close: () => Promise<void> }> {
  const { forwarded } = liveOf(ports);
  if (forwarded === null) return { close: async () => undefined };
  const moved = { vmId: vm.vmId, ownerEpoch: vm.move.epoch };
  const channel = channelOf(ports);
  const sockets = await forwarded.sockets("source", moved, signal);
  const over = new AbortController();
  const listening = await listenForwarded(
    sockets,
    (kind) => channel.open(farEnd(vm), kind, over.signal),
    // Its hypervisor says so, too.
    () => undefined,
  );
  return {
    async close() {
      over.abort(new Error("the move is over"));
      await listening.close();
      await forwarded.drop(moved);
    },
  };
}

const farEnd = ({ move }: Doing["vm"]): FarEnd => ({
  to: move.address,
  moveId: move.id,
  key: Buffer.from(move.key, "base64url"),
});

function channelOf({ channel }: MoveStepPorts) {
  if (!channel.live) throw new DriverError("unsupported", "this host moves no VM that runs");
  return channel.live;
}

async function answerOf(
  ports: MoveStepPorts,
  { vm, signal }: Doing,
  question: LiveQuestion,
): Promise<Exclude<LiveAnswer, { error: unknown }>> {
  const answer = await channelOf(ports).ask(farEnd(vm), question, signal);
  // Its own fault it tells by itself; here that is one that may pass.
  if ("error" in answer)
    throw new DriverError("driver_failed", `the destination: ${answer.error.detail}`);
  return answer;
}

const otherwise = () => new MoveStreamError("bad_frame", "it answers something else");

async function seenThere(ports: MoveStepPorts, doing: Doing): Promise<LiveEnd> {
  const answer = await answerOf(ports, doing, "seen");
  if (!("seen" in answer)) throw otherwise();
  return answer.seen;
}

async function take(ports: MoveStepPorts, doing: Doing): Promise<void> {
  if (!("taken" in (await answerOf(ports, doing, "take")))) throw otherwise();
}

/** Its disk there may take a while to be made. */
async function target(ports: MoveStepPorts, doing: Doing): Promise<LiveTarget> {
  for (;;) {
    const answer = await answerOf(ports, doing, "target");
    if (!("target" in answer)) throw otherwise();
    if (answer.target !== null) return answer.target;
    await doing.waitFor(pause(ports.clock, LOOK_AGAIN_MS, doing.signal));
    doing.signal.throwIfAborted();
  }
}

import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { DriverError } from "#host-agent/drivers/driver.ts";
import { LIVE_ENDS, type LiveCalls, type LiveEnd } from "#host-agent/drivers/move-calls.ts";
import { aDesiredVm } from "#test/drivers/builders.ts";
import { createMemoryDisk } from "#test/drivers/move-line.ts";
import { createVirtualClock, type VirtualClock } from "#test/drivers/virtual-clock.ts";
import { memoryStore } from "#host-agent/state/state-store.ts";
import { doMoveStep } from "./do-step.ts";
import { judgeLive } from "./judge-live.ts";
import type { LiveDoor } from "./move-channel.ts";
import type { MovingVm } from "./move-files.ts";
import { createMoveNotes } from "./move-notes.ts";
import type { Doing, Done } from "./move-worker.ts";
import { moveError } from "./move-error.ts";
import type { MoveStepPorts } from "./step-ports.ts";
import { MoveStreamError } from "./stream-error.ts";

/* Two ends of a live move whose hypervisors do what the test says, and the two agents' steps between them. */

const MOVE = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff";
const SOURCE_EPOCH = 3;
const EPOCH = 7;

let clock: VirtualClock;
let life: AbortController;
/** What was done to the hypervisors, in order. */
let done: string[];
let ends: { source: LiveEnd; destination: LiveEnd };
let doors: Map<string, LiveDoor>;
let isDown: boolean;
/** What libvirt does when it is told to migrate. */
let migrates: () => Promise<void>;
let prepares: () => Promise<void>;
beforeEach(() => {
  clock = createVirtualClock();
  life = new AbortController();
  done = [];
  ends = { source: "running", destination: "none" };
  doors = new Map();
  isDown = false;
  migrates = async () => void Object.assign(ends, { source: "left", destination: "paused" });
  prepares = async () => undefined;
});
afterEach(() => life.abort());

const live = (role: "source" | "destination"): LiveCalls => ({
  forwarded: null,
  prepareLive: async () => {
    done.push("prepare");
    await prepares();
    return { definition: "<domain/>" };
  },
  migrateLive: async (_, { target, moved }) => {
    done.push(`migrate ${target.definition} ${moved.ownerEpoch}`);
    await migrates();
  },
  pauseOf: async () => 100,
  seen: async () => ends[role],
  takeLive: async () => {
    done.push("take");
    ends.destination = "running";
  },
});

function portsOf(role: "source" | "destination"): MoveStepPorts {
  const disk = createMemoryDisk();
  const call = (name: string) => async () => void done.push(name);
  return {
    driver: {
      imageFolder: null,
      start: async () => {
        done.push("start");
        ends[role] = "running";
      },
      stop: async (_, mode) => {
        done.push(`stop ${mode}`);
        ends[role] = "off";
      },
      moves: {
        folder: "/moves",
        ownFormat: "qcow2",
        describe: () => Promise.reject(new Error("not asked")),
        exportDisk: () => Promise.reject(new Error("not asked")),
        importDisk: () => Promise.reject(new Error("not asked")),
        release: call("release"),
        hold: call("hold"),
        live: live(role),
      },
    },
    channel: {
      listen: null,
      send: () => Promise.reject(new Error("not asked")),
      live: {
        ask: async ({ moveId }, question) => {
          const door = doors.get(moveId);
          if (isDown || !door) throw new MoveStreamError("unreachable", "nobody listens there");
          return door.answer(question);
        },
        open: () => Promise.reject(new Error("nothing is forwarded")),
      },
    },
    folder: disk,
    notes: createMoveNotes(memoryStore()),
    observer: { look: () => Promise.reject(new Error("not asked")) },
    facts: () => null,
    address: async () => ({ host: "here", port: 1 }),
    promised: () => 0,
    takers: new Map(),
    doors,
    sending: (work) => work(),
    taking: (work) => work(),
    mbitPerSecond: null,
    stepLimitMs: 300_000,
    clock,
  };
}

type Asked = { step?: "copy" | "hold"; power?: "running" | "off" };
const vmOf = (role: "source" | "destination", { step = "copy", power = "running" }: Asked) =>
  ({
    ...aDesiredVm({ ownerEpoch: role === "source" ? SOURCE_EPOCH : EPOCH, power }),
    move: {
      id: MOVE,
      role,
      step,
      method: "live",
      epoch: EPOCH,
      format: "qcow2",
      address: { host: "there", port: 1 },
      key: Buffer.alloc(32).toString("base64url"),
      mbitPerSecond: null,
      disk: { format: "qcow2", virtualBytes: "1024", exportBytes: "1024", base: null },
    },
  }) satisfies MovingVm;

/** One attempt at an end's step, with what it said. */
function begin(role: "source" | "destination", asked: Asked = {}) {
  const said: Done["done"][] = [];
  const stop = new AbortController();
  const doing: Doing = {
    vm: vmOf(role, asked),
    signal: AbortSignal.any([stop.signal, life.signal]),
    worker: { ended: async () => undefined, atRest: async () => undefined },
    waitFor: (event) => event,
    tell: () => undefined,
    say: (what) => void said.push(what.done),
  };
  const ended = doMoveStep(portsOf(role), doing);
  ended.catch(() => undefined);
  return { said, ended, stop: () => stop.abort(new Error("another step")) };
}
const send = async (asked: Asked = {}, ms = 2_000) => {
  const { ended } = begin("source", asked);
  const result = ended.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );
  await clock.advance(ms);
  return Promise.race([result, clock.advance(0).then(() => ({ value: "at work" }))]);
};
async function take(asked: Asked = {}) {
  const end = begin("destination", asked);
  await clock.advance(0);
  return end;
}
const failed = (text: RegExp) => ({
  error: expect.objectContaining({ message: expect.stringMatching(text) }),
});

describe("a live move", () => {
  test("is released by its source once the guest runs there, which the destination says by itself", async () => {
    const { said } = await take();
    expect(await send()).toEqual({ value: { done: "released", pauseMs: 100 } });
    expect(done).toEqual(["prepare", "migrate <domain/> 7", "take", "release"]);
    expect(said).toContain("arrived");
  });

  test("waits for a destination that is not ready, and for one that nobody reaches says so", async () => {
    let ready = (): void => undefined;
    prepares = () => new Promise((resolve) => (ready = resolve));
    await take();
    const { ended } = begin("source");
    await clock.advance(10_000);
    expect(done).toEqual(["prepare"]);
    ready();
    await clock.advance(2_000);
    expect(await ended).toMatchObject({ done: "released" });
    isDown = true;
    Object.assign(ends, { source: "running", destination: "none" });
    const { error } = { error: null, ...(await send()) };
    expect(moveError(error, "copy")).toMatchObject({ code: "unreachable", final: false });
  });

  test("that an agent finds in its midst is looked at, and not begun a second time", async () => {
    ends = { source: "moving", destination: "moving" };
    await take();
    const { ended } = begin("source");
    await clock.advance(30_000);
    expect(done).toEqual([]);
    ends = { source: "left", destination: "paused" };
    await clock.advance(2_000);
    expect(await ended).toMatchObject({ done: "released" });
    expect(done).toEqual(["take", "release"]);
  });

  test("whose hypervisors are not through for long is told of, and looked at again", async () => {
    ends = { source: "moving", destination: "paused" };
    await take();
    expect(await send({}, 61_000)).toEqual(failed(/not through.*moving.*paused/));
    expect(done).toEqual([]);
  });

  test.each(["paused", "off"] as const)(
    "that failed and left the guest %s has it run where it was, says why, and is tried again",
    async (left) => {
      migrates = async () => {
        ends.source = left;
        throw new DriverError("driver_failed", "the line was cut");
      };
      await take();
      expect(await send()).toEqual(failed(/the line was cut/));
      expect(done).toEqual(["prepare", "migrate <domain/> 7", "start"]);
      migrates = async () => void Object.assign(ends, { source: "left", destination: "paused" });
      expect(await send()).toMatchObject({ value: { done: "released" } });
    },
  );

  test("of a guest that ended, and that is to be off, is no move of a guest that runs", async () => {
    ends.source = "off";
    await take();
    const { error } = { error: null, ...(await send({ power: "off" })) };
    expect(moveError(error, "copy")).toMatchObject({ code: "unsupported", final: true });
    expect(done).toEqual(["prepare"]);
  });

  test.each(["off", "paused"] as const)(
    "that failed and left a copy %s at its destination is given up: that one is not to be gone on with",
    async (left) => {
      ends.destination = left;
      await take();
      const { error } = { error: null, ...(await send()) };
      expect(moveError(error, "copy")).toMatchObject({ code: "unsupported", final: true });
      expect(done).toEqual([]);
    },
  );

  const unclear = LIVE_ENDS.flatMap((source) =>
    LIVE_ENDS.filter((destination) => judgeLive(source, destination) === "unclear").map(
      (destination) => ({ source, destination }),
    ),
  );
  test.each(unclear)(
    "starts, stops, marks and moves nothing with $source at its source and $destination at the other end",
    async (shown) => {
      ends = { ...shown };
      await take({ step: "hold" });
      for (const step of ["copy", "hold"] as const) {
        if (step === "hold" && shown.source === "running") continue;
        const { error } = { error: null, ...(await send({ step })) };
        expect(moveError(error, "copy")).toMatchObject({ code: "driver_failed", final: false });
      }
      expect(done).toEqual([]);
      expect(ends).toEqual(shown);
    },
  );

  test("of hypervisors that leave nothing at the source has nothing marked there", async () => {
    migrates = async () => void Object.assign(ends, { source: "none", destination: "running" });
    await take();
    expect(await send()).toMatchObject({ value: { done: "released" } });
    expect(done).toEqual(["prepare", "migrate <domain/> 7"]);
  });

  test("whose copy at the source was not cleaned up ends that before it marks it", async () => {
    ends = { source: "paused", destination: "running" };
    await take();
    expect(await send()).toMatchObject({ value: { done: "released" } });
    expect(done).toEqual(["stop firm", "release"]);
  });
});

describe("a live move that is given up", () => {
  test("is held where its guest runs, also when nobody is at the other end", async () => {
    isDown = true;
    expect(await send({ step: "hold" })).toEqual({ value: { done: "held" } });
    expect(done).toEqual(["hold"]);
  });

  test("has a guest that stands still run again, when the other end does not have it", async () => {
    ends = { source: "paused", destination: "moving" };
    await take({ step: "hold" });
    expect(await send({ step: "hold" })).toEqual({ value: { done: "held" } });
    expect(done).toEqual(["start", "hold"]);
  });

  test("waits as long as hypervisors are at it", async () => {
    ends = { source: "moving", destination: "moving" };
    await take({ step: "hold" });
    const { ended } = begin("source", { step: "hold" });
    await clock.advance(10_000);
    expect(done).toEqual([]);
    ends = { source: "running", destination: "none" };
    await clock.advance(2_000);
    expect(await ended).toEqual({ done: "held" });
  });

  test.each([
    { source: "left", destination: "paused" },
    { source: "left", destination: "off" },
    { source: "left", destination: "running" },
  ] as const)(
    "is released all the same when its guest has gone over: $source, $destination",
    async (shown) => {
      ends = { ...shown };
      const { said } = await take({ step: "hold" });
      expect(await send({ step: "hold" })).toMatchObject({ value: { done: "released" } });
      expect(ends.destination).toBe("running");
      expect(said).toContain("arrived");
      expect(done).not.toContain("start");
    },
  );

  test("prepares nothing, and lets nobody in but the source's agent with its questions", async () => {
    await take({ step: "hold" });
    expect(done).toEqual([]);
    expect(doors.get(MOVE)?.join).toBeNull();
    expect(await doors.get(MOVE)?.answer("target")).toEqual({ target: null });
  });
});

describe("its destination", () => {
  test("says that the guest has come also when its agent begins anew after that", async () => {
    ends = { source: "left", destination: "running" };
    const { said } = await take();
    expect(said).toEqual(["arrived"]);
    expect(done).toEqual([]);
  });

  test("makes nothing where something is on its way, and what is needed once that has gone", async () => {
    ends.destination = "moving";
    await take();
    const door = doors.get(MOVE);
    expect(await door?.answer("target")).toEqual({ target: null });
    await clock.advance(0);
    expect(done).toEqual([]);
    ends.destination = "none";
    // Whoever asks twice has it made once.
    await Promise.all([door?.answer("target"), door?.answer("target")]);
    await clock.advance(1_000);
    expect(await door?.answer("target")).toEqual({ target: { definition: "<domain/>" } });
    expect(done).toEqual(["prepare"]);
  });

  test("tells of what it cannot make, also when it was asked for it later", async () => {
    ends.destination = "moving";
    const { ended } = await take();
    ends.destination = "none";
    prepares = () => Promise.reject(new DriverError("out_of_disk", "it is full"));
    expect(await doors.get(MOVE)?.answer("target")).toEqual({ target: null });
    await expect(ended).rejects.toMatchObject({ code: "out_of_disk" });
    expect(doors.size).toBe(0);
  });

  test("says what is amiss to who asks, and answers nobody once it is at another step", async () => {
    const { ended, stop } = await take();
    const door = doors.get(MOVE);
    Object.defineProperty(ends, "destination", {
      get: () => {
        throw new DriverError("hypervisor_unavailable", "libvirt does not answer");
      },
    });
    expect(await door?.answer("seen")).toEqual({
      error: { code: "hypervisor_unavailable", detail: "libvirt does not answer" },
    });
    stop();
    await expect(ended).rejects.toThrow("another step");
    expect(doors.size).toBe(0);
  });
});

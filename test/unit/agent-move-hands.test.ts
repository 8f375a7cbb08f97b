import { expect, test } from "vitest";
import type { DesiredMove } from "#core/contracts/agent/moves.ts";
import { MOVE_STEPS } from "#core/moves/move.ts";
import { isInMovesHands } from "#core/moves/part.ts";
import type { VmDriver } from "#host-agent/drivers/driver.ts";
import { diceFor } from "#test/harness/extent.ts";
import { aDesiredVm } from "#test/drivers/builders.ts";
import { createMoveHost } from "#test/drivers/move-kit.ts";
import { createMoveLine } from "#test/drivers/move-line.ts";
import { createVirtualClock } from "#test/drivers/virtual-clock.ts";

const STORIES = 12;
const DOCUMENTS = 20;
const dice = diceFor("documents of a move");

/** Each call takes some time, and what must not be at once is told. */
function watched(driver: VmDriver, takes: () => Promise<void>, clashes: string[]): VmDriver {
  const { moves } = driver;
  if (moves === null) throw new Error("this host takes part in moves");
  const underWay: string[] = [];
  const mayNot = (one: string, other: string) =>
    (one.startsWith("move") !== other.startsWith("move") && !`${one}${other}`.includes("read")) ||
    (one === "move read export" && other === "start");
  const during = async <T>(name: string, work: () => Promise<T>): Promise<T> => {
    for (const other of underWay)
      if (mayNot(name, other) || mayNot(other, name)) clashes.push(`${name} during ${other}`);
    underWay.push(name);
    try {
      await takes();
      return await work();
    } finally {
      underWay.splice(underWay.indexOf(name), 1);
    }
  };
  return {
    ...driver,
    start: (vm, signal) => during("start", () => driver.start(vm, signal)),
    stop: (vm, mode, signal) => during("stop", () => driver.stop(vm, mode, signal)),
    eraseSeed: (vm, signal) => during("erase", () => driver.eraseSeed(vm, signal)),
    moves: {
      ...moves,
      describe: (vm, signal) => during("move read", () => moves.describe(vm, signal)),
      exportDisk: (vm, to, signal) =>
        during("move read export", () => moves.exportDisk(vm, to, signal)),
      release: (vm, signal) => during("move release", () => moves.release(vm, signal)),
      hold: (vm, signal) => during("move hold", () => moves.hold(vm, signal)),
    },
  };
}

test("a VM in its move's hands is neither started nor touched by its worker, whatever documents come, in whatever order", async () => {
  let handed = 0;
  for (let story = 0; story < STORIES; story++) {
    const clock = createVirtualClock();
    const clashes: string[] = [];
    const takes = () => clock.sleep(dice.int(1, 1500));
    const host = createMoveHost(
      "source",
      { clock, line: createMoveLine(clock) },
      { wrap: (driver) => watched(driver, takes, clashes) },
    );
    const vm = aDesiredVm({ ownerEpoch: 3 });
    const { plane, agent, world } = host;
    plane.want([vm]);
    void agent.pass();
    await clock.advance(10_000);
    expect(await host.powerOf(vm.vmId)).toBe("on");
    const key = Buffer.alloc(32).toString("base64url");
    const move = (step: DesiredMove["step"]): DesiredMove => ({
      id: "6f9619ff-8b86-4d01-b42d-00cf4fc964ff",
      role: "source",
      step,
      method: "cold",
      epoch: 7,
      format: "simulated",
      address: { host: "nobody", port: 1 },
      key,
      mbitPerSecond: null,
      disk: { format: "simulated", virtualBytes: "1", exportBytes: "4096", base: null },
    });
    const want = (step: DesiredMove["step"] | null, power: "off" | "running") => {
      plane.want([{ ...vm, mayCreate: false, power, ...(step && { move: move(step) }) }]);
      void agent.pass({ full: dice.int(1, 2) === 1 });
    };
    for (let document = 0; document < DOCUMENTS; document++) {
      // That of a VM which goes is another matter.
      const steps = MOVE_STEPS.filter((each) => each !== "clean" && each !== "drop");
      const step = dice.int(1, 4) === 1 ? null : dice.pick(steps);
      // In its move's hands, what is wanted of its power is not for its worker to bring about.
      want(step, step === "copy" ? "off" : dice.pick(["off", "running"]));
      await clock.advance(dice.int(0, 4_000));
      if (step === null || !isInMovesHands(move(step))) continue;
      // What was under way has ended by then.
      await clock.advance(4_000);
      handed += 1;
      const before = await world.vm(vm.vmId);
      void agent.pass();
      await clock.advance(20_000);
      expect((await world.vm(vm.vmId))?.starts).toBe(before?.starts);
      expect((await world.vm(vm.vmId))?.run).toEqual(before?.run);
    }
    want("hold", "off");
    await clock.advance(20_000);
    expect(host.words().at(-1)).toMatchObject({ step: "hold", done: "held" });
    want(null, "running");
    await clock.advance(20_000);
    expect(await host.powerOf(vm.vmId)).toBe("on");
    expect(clashes).toEqual([]);
    agent.close();
  }
  expect(handed).toBeGreaterThan(STORIES);
});

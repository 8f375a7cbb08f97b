import { describe, expect, test } from "vitest";
import { createTestHost } from "#test/drivers/agent-harness.ts";
import { unreachable } from "#test/drivers/fake-control-plane.ts";
import { sampled } from "#test/harness/extent.ts";
import { createMoveStory, type MoveStory } from "#test/drivers/move-kit.ts";

const hasEnded = (story: MoveStory) => () => story.step() === "ended";

/** Nothing of a move is left on the way, in files or notes. */
async function expectTidy({ source, destination }: MoveStory): Promise<void> {
  for (const host of [source, destination]) {
    expect(host.files()).toEqual([]);
    expect(await host.store.list("moves")).toEqual([]);
  }
}

/** It runs at its destination alone, on the disk that it had, which was never written by two. */
async function expectMoved(story: MoveStory, serial: string | undefined): Promise<void> {
  const { source, destination, vm } = story;
  expect(story.move()).toMatchObject({ outcome: "moved", failure: null });
  await story.until("it runs", async () => (await destination.powerOf(vm.vmId)) === "on");
  expect(await story.disks()).toMatchObject({ source: null, destination: { serial } });
  expect((await source.world.trash()).map((each) => each.serial)).toEqual([serial]);
  expect((await destination.world.vm(vm.vmId))?.ownerEpoch).toBe(7);
  await story.until("nothing is left", async () => {
    const notes = [await source.store.list("moves"), await destination.store.list("moves")];
    return [...source.files(), ...destination.files(), ...notes.flat()].length === 0;
  });
}

/** It runs at its source as before, and nothing of it is anywhere else. */
async function expectBack(story: MoveStory, serial: string | undefined): Promise<void> {
  const { source, destination, vm } = story;
  await story.until("it runs", async () => (await source.powerOf(vm.vmId)) === "on");
  expect(await story.disks()).toMatchObject({ source: { serial }, destination: null });
  expect(await destination.powerOf(vm.vmId)).toBe("gone");
  await expectTidy(story);
}

async function begun(story: MoveStory, power: "running" | "off" = "running") {
  await story.begin(power);
  return (await story.disks()).source?.serial;
}

describe("a cold move", () => {
  test("of a VM that runs ends with it running at its destination, and nothing of it left on the way", async () => {
    // What a move leaves over is no VM that a control plane gone wrong destroys.
    const none = { destroysPerHour: 0 };
    const story = createMoveStory({ source: none, destination: none });
    const serial = await begun(story);
    await story.until("it has ended", hasEnded(story));
    await expectMoved(story, serial);
    expect((await story.destination.world.vm(story.vm.vmId))?.starts).toBe(1);
  });

  test("of a VM that is off never starts it", async () => {
    const story = createMoveStory();
    const serial = await begun(story, "off");
    await story.until("it has ended", hasEnded(story));
    expect(await story.destination.world.vm(story.vm.vmId)).toMatchObject({
      starts: 0,
      disk: { serial },
    });
  });

  test("takes the last sample of a VM's usage before it stops it", async () => {
    const story = createMoveStory();
    await begun(story);
    await story.clock.advance(30_000);
    await story.until("it is copied", () => story.step() === "copy");
    await story.until("it is released", () => story.step() === "release");
    await story.source.agent.flushUsage();
    const [sample, ...more] = story.source.plane.samples.values();
    expect(more).toEqual([]);
    // Of all the time that it ran.
    expect(+new Date(sample?.to ?? 0) - +new Date(sample?.from ?? 0)).toBeGreaterThan(30_000);
  });

  test("that is cut off goes on from where it was", async () => {
    const story = createMoveStory();
    const serial = await begun(story);
    let cuts = 0;
    await story.until("it has ended", hasEnded(story), () => {
      if (story.step() !== "copy" || story.line.bytes < 32 * (cuts + 1) || cuts === 2) return;
      cuts += 1;
      story.line.cut();
    });
    await expectMoved(story, serial);
    expect(cuts).toBe(2);
    expect(story.line.bytes).toBe(Number(story.move()?.copiedBytes));
    expect(story.source.words().map(({ error }) => error)).toContainEqual(
      expect.objectContaining({ code: "cut_off", final: false }),
    );
  });

  test("waits for a destination that nobody reaches, tells of it, and tries again", async () => {
    const story = createMoveStory();
    const serial = await begun(story);
    story.line.isDown = true;
    await story.until("that is told", () =>
      story.source.words().some(({ error }) => error?.code === "unreachable" && !error.final),
    );
    expect(story.source.files()).toHaveLength(1);
    story.line.isDown = false;
    await story.until("it has ended", hasEnded(story));
    await expectMoved(story, serial);
  });

  test("that is turned back in its copy leaves the VM where it was, running, and nothing anywhere else", async () => {
    const story = createMoveStory({ destination: { destroysPerHour: 0 } });
    const serial = await begun(story);
    await story.until("half is there", () => story.line.bytes > 40);
    expect(await story.source.powerOf(story.vm.vmId)).toBe("off");
    expect(story.source.files()).toHaveLength(1);
    story.turnBack();
    await story.until("it has ended", hasEnded(story));
    expect(story.move()).toMatchObject({ outcome: "turned_back" });
    await expectBack(story, serial);
  });

  test("that is turned back when all is copied has the destination's VM destroyed, whatever the limit of destroys", async () => {
    const story = createMoveStory({ destination: { destroysPerHour: 0 } });
    const serial = await begun(story);
    const word = () => story.destination.words().some(({ done }) => done === "copied");
    await story.until("it is there", word);
    // It was not heard by the control plane that turns back.
    story.turnBack();
    await story.until("it has ended", hasEnded(story));
    expect(await story.destination.world.trash()).toMatchObject([{ serial }]);
    await expectBack(story, serial);
  });

  test("is refused for good by a destination without room, before anything has stopped", async () => {
    const story = createMoveStory();
    const serial = await begun(story);
    story.destination.disk.free = 1024 ** 3 + 4095;
    await story.until("it has ended", hasEnded(story));
    expect(story.move()?.failure).toMatchObject({ code: "destination_refused" });
    expect(story.move()?.failure?.detail).toContain("out_of_disk");
    await expectBack(story, serial);
    expect((await story.source.world.vm(story.vm.vmId))?.starts).toBe(1);
  });

  test("needs room at its destination for the disk once, where that takes it as it comes", async () => {
    const story = createMoveStory();
    await begun(story);
    // Of what is simulated, and the reserve.
    story.destination.disk.free = 1024 ** 3 + 4096;
    await story.until("it has ended", hasEnded(story));
    expect(story.move()).toMatchObject({ outcome: "moved" });
  });

  test("is refused for good by a destination without the image that the disk stands on", async () => {
    const story = createMoveStory({ destination: { driver: { images: ["other"] } } });
    const serial = await begun(story);
    await story.until("it has ended", hasEnded(story));
    expect(story.move()?.failure?.detail).toContain("image_missing");
    await expectBack(story, serial);
  });

  test("goes on when both agents are restarted again and again, and every step is asked for twice", async () => {
    const story = createMoveStory();
    const serial = await begun(story);
    let step: string | null = null;
    let restarts = 0;
    await story.until("it has ended", hasEnded(story), () => {
      if (story.step() === step) return;
      step = story.step();
      restarts += 1;
      story.source.begin();
      story.destination.begin();
    });
    await expectMoved(story, serial);
    expect(restarts).toBeGreaterThanOrEqual(5);
  });

  test("is not undone by a document of before that comes again", async () => {
    const story = createMoveStory();
    const serial = await begun(story);
    await story.until("it is copied", () => story.step() === "copy");
    const { source } = story;
    const old = source.plane.document();
    await story.until("it is released", () => story.step() === "take_over");
    source.plane.sendInstead = old;
    await source.agent.pass();
    expect(await source.powerOf(story.vm.vmId)).toBe("off");
    expect(source.plane.reports.at(-1)?.refusedDesired).toMatchObject({
      reason: "older_generation",
    });
    source.plane.sendInstead = null;
    await story.until("it has ended", hasEnded(story));
    await expectMoved(story, serial);
  });
});

test("a host says that it moves VMs, and where those of others come to it", async () => {
  const { source } = createMoveStory();
  await source.agent.pass();
  expect(source.plane.reports.at(0)?.facts).toMatchObject({
    capabilities: { moveCold: true },
    migrationAddress: { host: "source", port: 7000 },
  });
  const closed = createTestHost();
  await closed.agent.pass();
  const facts = closed.plane.reports.at(0)?.facts;
  expect(facts?.capabilities.moveCold).toBe(false);
  expect(facts).not.toHaveProperty("migrationAddress");
});

test("files and notes of moves that nobody names any more are removed, and nothing else", async () => {
  const { source } = createMoveStory();
  const attempt = `${crypto.randomUUID()}-4`;
  const others = ["disk.qcow2", `move-${attempt}.bak`, `${attempt}.taken.qcow2`, "move-x-1.in"];
  const left = [`move-${attempt}.in`, `move-${attempt}.in.received`, `move-${attempt}.out.part`];
  for (const name of [...others, ...left]) await source.disk.write(`${source.folder}/${name}`, "");
  await source.store.write(`moves/${attempt}.json`, `{"exported":true,"moved":null}`);
  // Before it knows what is wanted it leaves everything.
  source.plane.outage = unreachable();
  await source.agent.pass();
  expect(source.files()).toHaveLength(others.length + left.length);
  source.plane.outage = null;
  source.plane.want([]);
  await source.agent.pass();
  expect(source.files()).toEqual(others.map((name) => `${source.folder}/${name}`));
  expect(await source.store.list("moves")).toEqual([]);
});

test("while a VM of the document cannot be read, its files stay", async () => {
  const { source, vm } = createMoveStory();
  await source.disk.write(`${source.folder}/move-${vm.vmId}-7.out`, "");
  source.plane.want([{ ...vm, needs: ["a-word-of-tomorrow"] }]);
  await source.agent.pass();
  expect(source.files()).toHaveLength(1);
});

describe("an agent that dies in a move", () => {
  /** So many of the places where it may die. */
  const MOST = 8;
  const whole = async () => {
    const story = createMoveStory();
    await begun(story);
    story.source.begin();
    story.destination.begin();
    await story.until("it has ended", hasEnded(story));
    return { source: story.source.steps, destination: story.destination.steps };
  };

  test.each(["source", "destination"] as const)(
    "as its %s goes on with it when it begins anew, wherever it died",
    async (role) => {
      const steps = (await whole())[role];
      expect(steps).toBeGreaterThan(20);
      const places = Array.from({ length: steps }, (_, n) => n);
      for (const lives of sampled(`deaths of a ${role}`, places, MOST)) {
        const story = createMoveStory();
        const serial = await begun(story);
        const host = story[role];
        host.begin(lives);
        const revive = () => {
          if (host.isDead) host.begin();
        };
        await story.until(`it has ended, after ${lives} steps`, hasEnded(story), revive);
        await expectMoved(story, serial);
      }
    },
  );
});

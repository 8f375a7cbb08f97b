import { describe, expect, test } from "vitest";
import { createMoveStory } from "#test/drivers/move-kit.ts";

const ended = (story: ReturnType<typeof createMoveStory>) => () => story.step() === "ended";

describe("a cold move", () => {
  test("of a VM that runs ends with it running at its destination, with its disk, and nothing of it left on the way", async () => {
    const story = createMoveStory();
    await story.begin();
    const { serial } = (await story.disks()).source ?? {};
    await story.until("it has ended", ended(story));
    expect(story.move()).toMatchObject({ outcome: "moved", failure: null });
    await story.until(
      "it runs",
      async () => (await story.destination.powerOf(story.vm.vmId)) === "on",
    );
    expect((await story.disks()).destination?.serial).toBe(serial);
    expect(await story.source.powerOf(story.vm.vmId)).toBe("gone");
    expect((await story.source.world.trash()).map((each) => each.serial)).toEqual([serial]);
    expect([...story.source.files(), ...story.destination.files()]).toEqual([]);
    expect([
      ...(await story.source.store.list("moves")),
      ...(await story.destination.store.list("moves")),
    ]).toEqual([]);
  });
});

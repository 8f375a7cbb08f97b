import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { realFiles } from "#host-agent/drivers/simulated/moves.ts";
import { createMoveChannel } from "#host-agent/moves/move-channel.ts";
import { realMoveFolder } from "#host-agent/moves/move-files.ts";
import { realClock } from "./builders.ts";
import { createMoveStory } from "./move-kit.ts";

let root: string;
beforeEach(async () => {
  root = await mkdtemp(path.join(tmpdir(), "berth-moves-"));
});
afterEach(() => rm(root, { recursive: true, force: true }));

/** A host's end of the real stream, and its files on a real disk. */
function realHost(name: string, isOpen: boolean) {
  const folder = path.join(root, name);
  const log = { info: () => undefined, error: () => undefined };
  const listen = isOpen ? { address: "127.0.0.1", port: 0 } : null;
  return {
    driver: { moves: { folder, files: realFiles } },
    moves: {
      channel: createMoveChannel({ listen, clock: realClock, log }),
      folder: realMoveFolder,
    },
  };
}
/** Real time, in which a story goes on as fast as its sockets do. */
const clock = { ...realClock, advance: () => wait(10) };

test("a VM moves cold over TLS on real files, from a host that takes no VMs itself", async () => {
  const story = createMoveStory({
    clock,
    source: realHost("source", false),
    destination: realHost("destination", true),
  });
  await story.begin();
  const { serial } = (await story.disks()).source ?? {};
  await story.until("it has ended", () => story.step() === "ended");
  const { source, destination, vm } = story;
  expect(story.move()).toMatchObject({ outcome: "moved", failure: null });
  await story.until("it runs", async () => (await destination.powerOf(vm.vmId)) === "on");
  expect(await story.disks()).toMatchObject({ source: null, destination: { serial } });
  for (const host of [source, destination]) host.agent.close();
  expect(await readdir(path.join(root, "source"))).toEqual([]);
  expect(await readdir(path.join(root, "destination"))).toEqual([]);
});

test("a host that takes no VMs refuses them before anything is stopped", async () => {
  const story = createMoveStory({
    clock,
    source: realHost("source", false),
    destination: realHost("destination", false),
  });
  await story.begin();
  await story.until("it has ended", () => story.step() === "ended");
  expect(story.move()?.failure).toMatchObject({ code: "destination_refused" });
  expect(await story.source.world.vm(story.vm.vmId)).toMatchObject({ starts: 1 });
  for (const { agent } of [story.source, story.destination]) agent.close();
});

import { expect, test } from "vitest";
import { randomIds } from "#test/drivers/builders.ts";
import { createVirtualClock } from "#test/drivers/virtual-clock.ts";
import { memoryStore } from "../state/state-store.ts";
import { createDestroyLimit } from "./destroy-limit.ts";

const refused = { code: "destroy_limit" };

test("a VM is counted once, however often its destruction is tried, and others once each", async () => {
  const clock = createVirtualClock();
  const store = memoryStore();
  const limit = createDestroyLimit({ store, clock, perHour: () => 2 });
  const [one, two, three] = [randomIds.newId(), randomIds.newId(), randomIds.newId()] as const;
  for (const vmId of [one, one, two, two, one]) await limit.admit(vmId);
  await expect(limit.admit(three)).rejects.toMatchObject(refused);
  const after = createDestroyLimit({ store, clock, perHour: () => 2 });
  await after.load();
  await after.admit(one);
  await expect(after.admit(three)).rejects.toMatchObject(refused);
  await clock.advance(3_599_999);
  await expect(after.admit(three)).rejects.toMatchObject(refused);
  await clock.advance(1);
  await after.admit(three);
});

test("many that are asked for at once are counted one by one, and a refusal keeps none back", async () => {
  const limit = createDestroyLimit({
    store: memoryStore(),
    clock: createVirtualClock(),
    perHour: () => 2,
  });
  const known = randomIds.newId();
  const asked = [known, randomIds.newId(), randomIds.newId(), randomIds.newId(), known];
  const ends = await Promise.allSettled(asked.map((vmId) => limit.admit(vmId)));
  expect(ends.map(({ status }) => status)).toEqual([
    "fulfilled",
    "fulfilled",
    "rejected",
    "rejected",
    "fulfilled",
  ]);
});

test("what cannot be written down is not destroyed", async () => {
  const store = memoryStore();
  const full = { ...store, write: () => Promise.reject(new Error("disk full")) };
  const limit = createDestroyLimit({ store: full, clock: createVirtualClock(), perHour: () => 2 });
  await expect(limit.admit(randomIds.newId())).rejects.toThrow("disk full");
});

test("item 4: a limit that is raised while the agent runs holds for the next one", async () => {
  let perHour = 0;
  const limit = createDestroyLimit({
    store: memoryStore(),
    clock: createVirtualClock(),
    perHour: () => perHour,
  });
  const vmId = randomIds.newId();
  await expect(limit.admit(vmId)).rejects.toMatchObject(refused);
  perHour = 1;
  await limit.admit(vmId);
});

import { expect, test } from "vitest";
import { createInstallation } from "./installation.ts";
import { memoryStore } from "./state-store.ts";

const HOST = "01980000-0000-7000-8000-000000000001";
const OTHER_HOST = "01980000-0000-7000-8000-000000000002";
const BERTH = "01980000-0000-7000-8000-00000000000a";
const OTHER_BERTH = "01980000-0000-7000-8000-00000000000b";

function on(store = memoryStore(), hostId = HOST) {
  const errors: string[] = [];
  const log = { info: () => undefined, error: (event: string) => void errors.push(event) };
  return { installation: createInstallation({ hostId, store, log }), errors, store };
}

// 12.7
test("what was told once is known after a restart", async () => {
  const { installation, store } = on();
  await installation.load();
  expect(installation.current()).toBeNull();
  await installation.told(undefined);
  expect(installation.current()).toBeNull();
  await installation.told(BERTH);
  const again = on(store).installation;
  await again.load();
  expect([installation.current(), again.current()]).toEqual([BERTH, BERTH]);
});

test("another one is not taken for the same host, as all its VMs would be strangers; it is told", async () => {
  const { installation, errors, store } = on();
  await installation.told(BERTH);
  await installation.told(OTHER_BERTH);
  await installation.told(BERTH);
  expect(installation.current()).toBe(BERTH);
  expect(errors).toEqual(["installation_differs"]);
  const again = on(store).installation;
  await again.load();
  expect(again.current()).toBe(BERTH);
});

test("a host that was enrolled elsewhere belongs there", async () => {
  const { installation, store } = on();
  await installation.told(BERTH);
  const moved = on(store, OTHER_HOST).installation;
  await moved.load();
  expect(moved.current()).toBeNull();
  await moved.told(OTHER_BERTH);
  expect(moved.current()).toBe(OTHER_BERTH);
});

test("one that cannot be saved is not gone by, and is asked for again", async () => {
  let full = true;
  const store = memoryStore();
  const { installation, errors } = on({
    ...store,
    write: (name, text) => (full ? Promise.reject(new Error("no space")) : store.write(name, text)),
  });
  await installation.told(BERTH);
  expect([installation.current(), errors]).toEqual([null, ["installation_not_saved"]]);
  full = false;
  await installation.told(BERTH);
  expect(installation.current()).toBe(BERTH);
});

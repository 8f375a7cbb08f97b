import { describe, expect, test } from "vitest";
import { aDesiredVm } from "#test/drivers/builders.ts";
import { createFakeControlPlane } from "#test/drivers/fake-control-plane.ts";
import { memoryStore } from "../state/state-store.ts";
import { createDesiredState } from "./desired.ts";

/** A host's desired state, and every question that it asked the control plane. */
function aHost(store = memoryStore()) {
  const plane = createFakeControlPlane();
  const asked: unknown[] = [];
  const { signal } = new AbortController();
  const desired = createDesiredState({
    hostId: plane.hostId,
    store,
    controlPlane: {
      ...plane,
      desired: (have, inner) => {
        asked.push(have);
        return plane.desired(have, inner);
      },
    },
    log: { info: () => undefined, error: () => undefined },
  });
  const pull = (atLeast: number | null = null) => desired.pull(atLeast, signal);
  return { plane, store, asked, desired, pull };
}

describe("a pull of what is desired", () => {
  test("says what is held, and asks for at least what a doorbell named only where that is newer", async () => {
    const { plane, asked, pull } = aHost();
    plane.want([]);
    plane.want([aDesiredVm()]);
    await pull(2);
    const etag = `2-${plane.document().hash}`;
    await pull(1);
    await pull(2);
    await pull(3);
    expect(asked).toEqual([
      { etag: null, atLeast: null },
      { etag, atLeast: null },
      { etag, atLeast: null },
      { etag, atLeast: 3 },
    ]);
  });

  test("has the truth when it took what was sent, and when that is what it holds; not when it would not take it", async () => {
    const { plane, desired, pull } = aHost();
    plane.want([aDesiredVm()]);
    plane.want([aDesiredVm()]);
    expect(await pull()).toBe(true);
    expect(await pull()).toBe(true);
    plane.sendInstead = { ...plane.document(), generation: 1 };
    expect(await pull()).toBe(false);
    expect(desired.refused()).toMatchObject({ generation: 1, reason: "older_generation" });
    expect(desired.current()?.generation).toBe(2);
    plane.sendInstead = null;
    expect(await pull()).toBe(true);
    expect(desired.refused()).toBeNull();
  });

  test("that brings the same again is no news: what is held stays the same object", async () => {
    const { plane, desired, pull } = aHost();
    plane.want([aDesiredVm()]);
    await pull();
    const held = desired.current();
    // As a control plane does that does not know the etag any more.
    const same = plane.document();
    plane.desired = async () => same;
    await pull();
    expect(desired.current()).toBe(held);
    plane.desired = async () => ({ ...same, entitlementGraceSeconds: 7 });
    await pull();
    expect(desired.current()).toEqual({ ...held, entitlementGraceSeconds: 7 });
  });

  test("that brings a newer generation of the same VMs is of that generation", async () => {
    const { plane, desired, pull } = aHost();
    const vm = aDesiredVm();
    plane.want([vm]);
    await pull();
    plane.want([vm]);
    expect(await pull()).toBe(true);
    expect(desired.current()?.generation).toBe(2);
  });
});

test("the newer document, which an agent that was rolled back left, holds over every start until there is another", async () => {
  const { plane, store, desired, pull } = aHost();
  plane.want([]);
  await pull();
  plane.want([aDesiredVm()]);
  await store.write("desired.json", JSON.stringify(plane.document()));
  for (let start = 0; start < 3; start++) {
    const { desired: again } = aHost(store);
    await again.load();
    expect(again.current()?.generation).toBe(2);
  }
  await desired.load();
  plane.want([]);
  await pull();
  expect(await store.read("desired.json")).toBeNull();
});

test("the older document of before the upgrade, which a crash left, is neither gone by nor kept", async () => {
  const { plane, store, pull } = aHost();
  plane.want([]);
  const before = JSON.stringify(plane.document());
  plane.want([aDesiredVm()]);
  await pull();
  await store.write("desired.json", before);
  const { desired: again } = aHost(store);
  await again.load();
  expect(again.current()?.generation).toBe(2);
  expect(await store.read("desired.json")).toBeNull();
});

import { v7 } from "uuid";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { addImage, addLocation, addPlan } from "#commands/catalogue/add-catalogue.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { SYSTEM, valueOf } from "#test/harness/world.ts";

let cp: ControlPlane;
beforeAll(async () => {
  cp = await startControlPlane();
});
afterAll(() => cp.drop());

const aPlan = (over: object = {}) => ({
  name: v7(),
  vcpus: 3,
  memoryMib: 4096,
  diskGib: 80,
  trafficGib: 2000,
  bandwidthMbit: 300,
  diskIops: 700,
  downgrade: "renewal" as const,
  prices: [
    { interval: "month" as const, amountMinor: "1299", currency: "eur" as const },
    { interval: "year" as const, amountMinor: "12990", currency: "eur" as const },
  ],
  ...over,
});
const anImage = (over: object = {}) => ({
  name: v7(),
  os: "freebsd" as const,
  file: "freebsd-15",
  hypervisors: ["hyperv" as const],
  minMemoryMib: 512,
  minDiskGib: 7,
  sha256: { hyperv: "e".repeat(64) },
  speaks: false,
  firmware: "uefi" as const,
  secureBoot: "off" as const,
  diskBus: "sata" as const,
  ...over,
});
const aLocation = (over: object = {}) => ({
  name: v7(),
  city: "Nuremberg",
  country: "DE",
  nameservers: ["192.0.2.53", "198.51.100.53"],
  ...over,
});
const audited = (id: string) =>
  cp.rows(
    "select actor_kind, actor_id, action, subject_kind from audit_log where subject_id = $1",
    id,
  );

describe("what staff put on sale", () => {
  test("a plan is on sale with its size, its limits and each of its prices", async () => {
    const plan = aPlan();
    const { id } = valueOf(await addPlan(cp.deps, SYSTEM, plan));
    expect(
      await cp.rows(
        "select * from plans p join plan_versions v on v.plan_id = p.id where p.id = $1",
        id,
      ),
    ).toMatchObject([
      {
        name: plan.name,
        version: 1,
        vcpus: 3,
        memory_mib: 4096,
        disk_gib: 80,
        traffic_gib: 2000,
        bandwidth_mbit: 300,
        disk_iops: 700,
        available: true,
      },
    ]);
    const prices = await cp.rows(
      `select "interval", amount_minor::int as minor, currency, stripe_price_id from plan_prices
       where plan_id = $1 order by 2`,
      id,
    );
    expect(prices).toEqual([
      { interval: "month", minor: 1299, currency: "eur", stripe_price_id: null },
      { interval: "year", minor: 12_990, currency: "eur", stripe_price_id: null },
    ]);
    expect(await audited(id)).toEqual([
      { actor_kind: "system", actor_id: "test", action: "plan.add", subject_kind: "plan" },
    ]);
  });

  test("a plan of a size that no hypervisor supports is refused", async () => {
    expect(await addPlan(cp.deps, SYSTEM, aPlan({ vcpus: 100_000 }))).toEqual({
      ok: false,
      error: {
        code: "plan_beyond_limits",
        detail: "no hypervisor supports a VM of this size",
      },
    });
  });

  test("an image is on sale with what it needs", async () => {
    const image = anImage();
    const { id } = valueOf(await addImage(cp.deps, SYSTEM, image));
    expect(await cp.rows("select * from images where id = $1", id)).toMatchObject([
      {
        name: image.name,
        os: "freebsd",
        file: "freebsd-15",
        hypervisors: "{hyperv}",
        min_memory_mib: 512,
        min_disk_gib: 7,
        sha256: { hyperv: "e".repeat(64) },
        speaks: false,
        firmware: "uefi",
        secure_boot: "off",
        disk_bus: "sata",
        available: true,
      },
    ]);
  });

  test("a location is there with its nameservers", async () => {
    const location = aLocation();
    const { id } = valueOf(await addLocation(cp.deps, SYSTEM, location));
    expect(await cp.rows("select * from locations where id = $1", id)).toMatchObject([
      { ...location },
    ]);
  });
});

test("a name is given once in its kind, and again in another", async () => {
  const name = v7();
  const taken = { ok: false, error: { code: "name_taken" } };
  for (const add of [
    () => addPlan(cp.deps, SYSTEM, aPlan({ name })),
    () => addImage(cp.deps, SYSTEM, anImage({ name })),
    () => addLocation(cp.deps, SYSTEM, aLocation({ name })),
  ]) {
    expect(await add()).toMatchObject({ ok: true });
    expect(await add()).toMatchObject(taken);
  }
});

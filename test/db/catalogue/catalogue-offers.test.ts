import { PLAIN_HARDWARE } from "#core/vms/image-hardware.ts";
import { v7 } from "uuid";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { HostFacts } from "#core/contracts/agent/report.ts";
import { showImages, showPlans } from "#commands/catalogue/show-catalogue.ts";
import { insertImage, insertPlan } from "#db/catalogue/catalogue.ts";
import { inTransaction } from "#db/transaction.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { anEnrolledHost, aPlacedOrder, aWorld, SIZE, type World } from "#test/harness/world.ts";

let cp: ControlPlane;
beforeAll(async () => {
  cp = await startControlPlane();
});
afterAll(() => cp.drop());

const HYPERV: Partial<HostFacts> = {
  hypervisor: "hyperv",
  hypervisorVersion: "Microsoft Windows Server 2022 Standard 10.0.20348",
};
const anImage = (hypervisors: readonly ("kvm" | "hyperv")[], minMemoryMib = 256) => {
  const id = v7();
  const image = {
    id,
    name: id,
    file: "debian-13",
    os: "linux",
    available: true,
    minDiskGib: 3,
    sha256: {},
    speaks: true,
    hardware: PLAIN_HARDWARE,
  } as const;
  return inTransaction(cp.deps.db, (tx) =>
    insertImage(tx, { ...image, hypervisors: [...hypervisors], minMemoryMib }, cp.deps.clock.now()),
  ).then(() => id);
};
const aPlan = async (size: typeof SIZE) => {
  const id = v7();
  const plan = {
    id,
    name: id,
    size,
    trafficGib: 1,
    bandwidthMbit: null,
    diskIops: null,
    downgrade: "renewal",
  } as const;
  await inTransaction(cp.deps.db, (tx) =>
    insertPlan(tx, { ...plan, available: true, prices: [] }, cp.deps.clock.now()),
  );
  return id;
};
const offer = async (world: World, planId: string) => {
  const plan = (await showPlans(cp.deps)).find((one) => one.plan.id === planId);
  return plan?.locations.find((one) => one.locationId === world.locationId);
};
const placesOf = async (imageId: string) =>
  (await showImages(cp.deps)).find((one) => one.image.id === imageId)?.locationIds;

describe("what is on sale where", () => {
  test("an image is where a host runs its hypervisor, and so is it with each plan", async () => {
    const [kvm, hyperv] = [await aWorld(cp), await aWorld(cp, { facts: HYPERV })];
    const [onKvm, onHyperv] = [await anImage(["kvm"]), await anImage(["hyperv"])];
    const both = await anImage(["kvm", "hyperv"]);
    const here = [kvm.locationId, hyperv.locationId];
    const ofThese = async (image: string) =>
      (await placesOf(image))?.filter((id) => here.includes(id)).sort();
    expect(await ofThese(onKvm)).toEqual([kvm.locationId]);
    expect(await ofThese(onHyperv)).toEqual([hyperv.locationId]);
    expect(await ofThese(both)).toEqual(here.sort());
    const kvmOffer = await offer(kvm, kvm.planId);
    expect(kvmOffer).toMatchObject({ available: true });
    expect(kvmOffer?.imageIds).toEqual(expect.arrayContaining([onKvm, both]));
    expect(kvmOffer?.imageIds).not.toContain(onHyperv);
    const hypervOffer = await offer(hyperv, kvm.planId);
    expect(hypervOffer?.imageIds).toEqual(expect.arrayContaining([onHyperv, both]));
    expect(hypervOffer?.imageIds).not.toContain(onKvm);
  });

  test("a plan is not offered for an image that it is too small for", async () => {
    const world = await aWorld(cp);
    const hungry = await anImage(["kvm"], SIZE.memoryMib + 1);
    expect((await offer(world, world.planId))?.imageIds).not.toContain(hungry);
    expect(await placesOf(hungry)).toContain(world.locationId);
  });

  test.each([
    { what: "more vCPUs than the host has threads", size: { ...SIZE, vcpus: 8 } },
    { what: "memory between Hyper-V's steps", size: { ...SIZE, memoryMib: 1025 } },
  ])("a plan of $what is offered on KVM and not on Hyper-V", async ({ size }) => {
    const planId = await aPlan(size);
    const facts = { cpuThreads: 4 };
    const world = await aWorld(cp, { places: 8, facts: { ...HYPERV, ...facts } });
    expect(await offer(world, planId)).toMatchObject({ available: false, imageIds: [] });
    expect(await offer(world, world.planId)).toMatchObject({ available: true });
    await anEnrolledHost(cp, { locationId: world.locationId, places: 8, facts });
    expect(await offer(world, planId)).toMatchObject({ available: true });
  });

  test("a plan is no more available when the last place is taken, and its images stay shown", async () => {
    const world = await aWorld(cp, { places: 1 });
    expect(await offer(world, world.planId)).toMatchObject({ available: true });
    await aPlacedOrder(cp, world);
    expect(await offer(world, world.planId)).toMatchObject({ available: false, imageIds: [] });
    expect(await placesOf(world.imageId)).toContain(world.locationId);
  });

  test("nor when the last address is", async () => {
    const world = await aWorld(cp, { places: 3, addresses: 1 });
    await aPlacedOrder(cp, world);
    expect(await offer(world, world.planId)).toMatchObject({ available: false });
  });
});

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { vmsInProtocol1 } from "#core/contracts/agent/protocol-1.ts";
import { desiredVmsOf } from "#db/vms/vms.ts";
import { ALL_CAPABILITIES } from "#test/builders.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { aPaidOrder, anActiveVm, anEnrolledHost, aWorld, sendOrder } from "#test/harness/world.ts";

let cp: ControlPlane;
beforeAll(async () => {
  cp = await startControlPlane();
});
afterAll(() => cp.drop());

const WINDOWS = { firmware: "uefi", secureBoot: "microsoft", diskBus: "sata" } as const;

describe("4b A4: an image that asks for a firmware, for secure boot and for a bus", () => {
  test("is no order's where no agent says that it gives them, and that is said before it is taken", async () => {
    const { bios: _b, uefi: _u, secureBoot: _s, diskBus: _d, ...older } = ALL_CAPABILITIES;
    const world = await aWorld(cp, { hardware: WINDOWS, facts: { capabilities: older } });
    expect(await sendOrder(cp, world)).toMatchObject({
      ok: false,
      error: { code: "image_unavailable_here" },
    });
    const able = await anEnrolledHost(cp, { locationId: world.locationId, places: 1 });
    const { orderId } = await aPaidOrder(cp, world);
    expect(
      await cp.rows(
        "select host_id from reservations where vm_id = (select vm_id from orders where id = $1)",
        orderId,
      ),
    ).toEqual([{ host_id: able }]);
  });

  test("reaches its host with a word that no older agent passes over, for as long as the VM lives", async () => {
    const world = await aWorld(cp, { hardware: WINDOWS });
    const { vmId } = await anActiveVm(cp, world);
    const desired = await desiredVmsOf(cp.deps.db, world.hostId);
    expect(desired).toMatchObject([
      { vmId, mayCreate: false, image: WINDOWS, needs: ["image-hardware"] },
    ]);
    expect(vmsInProtocol1(desired)).toEqual([]);
  });

  test("is every other one as before: nothing more is said of it", async () => {
    const world = await aWorld(cp);
    await anActiveVm(cp, world);
    const [vm] = await desiredVmsOf(cp.deps.db, world.hostId);
    expect(Object.keys(vm?.image ?? {}).toSorted()).toEqual(["file", "id", "minMemoryMib", "os"]);
    expect(vm).not.toHaveProperty("needs");
  });

  test("of signatures without UEFI is refused by the database too", async () => {
    const world = await aWorld(cp);
    const bad = "update images set secure_boot = 'microsoft' where id = $1";
    await expect(cp.rows(bad, world.imageId)).rejects.toThrow(/images_secure_boot_is_of_uefi/);
  });
});

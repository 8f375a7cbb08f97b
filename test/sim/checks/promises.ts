import type { SimHost } from "../host.ts";
import { asksFirmware, IMAGES } from "../fixture.ts";
import { isBeingProvenAgain } from "./lost-hour.ts";
import { first, nowOf, type MakeCheck, type Scene } from "./scene.ts";

/** Between two reports of a host that is well: its resync, a tenth more, and what a bad network makes of it. */
const TOLD_WITHIN_MS = 2 * 300_000 * 1.1 + 150_000;

/** Whether what was ordered of the host since its agent became an older one, and said so, is nothing that it does not know. */
function askedOfOldAgent(scene: Scene, host: SimHost, imageId: string | undefined): boolean {
  const { oldSince, alive, cut, troubledAt } = host;
  if (oldSince === null || !alive || cut || !asksFirmware(imageId)) return false;
  return Math.max(oldSince, troubledAt ?? 0) + TOLD_WITHIN_MS < nowOf(scene);
}

const hostOf = (scene: Scene, hostId: string): SimHost | undefined =>
  scene.hosts.find((host) => host.hostId === hostId);

/**
 * 26. No guest earns its money back: of a VM that was seen running, on a host that nothing has kept from its work since
 * the VM was ordered, the order is not paid back, whatever its guest says or does.
 */
export const guestsEarnNothing: MakeCheck = (scene) => ({
  invariant: 26,
  onCommit: () =>
    first(scene.mirror.orders.changed, ({ before, after }) => {
      if (after?.state !== "refunding" || before?.state === "refunding") return undefined;
      const vm = scene.mirror.vms.get(after.vm_id);
      // Whoever deletes it before its host has told of it again is paid back as for one that never ran.
      if (isBeingProvenAgain(scene, after) && vm?.presence !== "absent")
        return `order ${after.id} was delivered before the database went back, and is paid back`;
      if (vm === undefined || vm.first_running_at === null) return undefined;
      const troubled = hostOf(scene, vm.host_id)?.troubledAt ?? null;
      return troubled === null || troubled < (after.paid_at ?? Infinity)
        ? `VM ${vm.id} ran on a host that did all that it was asked, and its order is paid back`
        : undefined;
    }),
});

/**
 * 27. What is sold can be made: an order is taken for a host that has had its image until lately, whose agent understands what
 * it holds, and that is no larger in the books than it is.
 */
export const soldIsMakeable: MakeCheck = (scene) => ({
  invariant: 27,
  onCommit: () =>
    first(scene.mirror.reservations.changed, ({ before, after }) => {
      if (before !== null || after === null) return undefined;
      const host = hostOf(scene, after.host_id);
      const order = scene.mirror.orderOf(after.vm_id);
      const image = IMAGES.find(({ id }) => id === order?.image_id);
      if (host === undefined || image === undefined) return undefined;
      const goneAt = host.imagesGone.get(image.name) ?? Infinity;
      const told = host.upSince !== null && Math.max(goneAt, host.upSince) + TOLD_WITHIN_MS;
      if (askedOfOldAgent(scene, host, order?.image_id))
        return `order ${order?.id} was taken for ${host.name}, whose agent does not understand its image`;
      return told !== false && told < nowOf(scene) && !host.cut && !host.hasBoasted
        ? `order ${order?.id} was taken, and ${host.name} has told that it lacks its image`
        : undefined;
    }) ??
    first(scene.mirror.hosts.changed, ({ after }) => {
      const host = after && hostOf(scene, after.id);
      if (!host) return undefined;
      return after.capacity_memory_mib > host.size.memoryMib ||
        after.capacity_disk_gib > host.size.diskGib ||
        after.capacity_vcpus > host.size.vcpus
        ? `${host.name} may give away more than it is, by its own word`
        : undefined;
    }),
});

import { z } from "@hono/zod-openapi";

/** What a customer may ask a VM to be. */
export const DESIRED_POWER = ["running", "off"] as const;
export type DesiredPower = (typeof DESIRED_POWER)[number];

/** What a hypervisor may say that a VM is. `failed` needs staff (crashed, or a "critical" state). */
export const OBSERVED_POWER = [
  "running",
  "off",
  "starting",
  "stopping",
  "paused",
  "failed",
] as const;
export type ObservedPower = (typeof OBSERVED_POWER)[number];

/** Whether the VM should exist. `absent` destroys it, through the host's trash. */
export const PRESENCE = ["present", "absent"] as const;
export type Presence = (typeof PRESENCE)[number];

/** `graceful` asks the guest first and cuts the power after a grace; `firm` cuts it at once. */
export const STOP_MODES = ["graceful", "firm"] as const;
export type StopMode = (typeof STOP_MODES)[number];

/** Work that happens once, and is not a state: the agent records its id before it acts. */
export const ONE_SHOT_ACTIONS = ["reboot", "reset"] as const;
export type OneShotAction = (typeof ONE_SHOT_ACTIONS)[number];

/**
 * How staff bring a VM back that its host has lost: on its disk as it lies there, on the one that lies in the host's trash, or made
 * anew, without what was on it.
 */
export const REPAIRS = ["adopt_disk", "restore_trash", "recreate"] as const;
export type Repair = (typeof REPAIRS)[number];

export const OS_FAMILIES = ["linux", "freebsd", "windows"] as const;
export type OsFamily = (typeof OS_FAMILIES)[number];

/** The size of a VM. Limits by hypervisor are data in `core/hosts/limits.ts`. */
export const VmSize = z
  .strictObject({
    vcpus: z.int().positive().max(2048),
    memoryMib: z.int().positive(),
    diskGib: z.int().positive(),
  })
  .openapi("VmSize");
export type VmSize = z.infer<typeof VmSize>;

/** Of each resource the larger: what is held for a VM that has the one size and is to have the other. */
export const largerOf = (a: VmSize, b: VmSize): VmSize => ({
  vcpus: Math.max(a.vcpus, b.vcpus),
  memoryMib: Math.max(a.memoryMib, b.memoryMib),
  diskGib: Math.max(a.diskGib, b.diskGib),
});

export const sameSize = (a: VmSize, b: VmSize): boolean =>
  a.vcpus === b.vcpus && a.memoryMib === b.memoryMib && a.diskGib === b.diskGib;

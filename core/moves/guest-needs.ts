import { HYPERVISOR_NAMES, type Hypervisor } from "#core/hosts/limits.ts";
import type { ImageHardware } from "#core/vms/image-hardware.ts";
import type { OsFamily } from "#core/vms/vm.ts";

/** What stands against a guest, or that nothing does and why. */
export type Verdict = Readonly<{ ok: boolean; detail: string }>;

/**
 * What each asks of a guest. `bootsBy`: what one boots by whose image says nothing of it, the drivers' own choice (`domain-xml.ts`,
 * `lifecycle.ps1`). `signed`: under UEFI it checks a Linux loader's signature unless the image says otherwise. `inWindows`: Windows has its
 * drivers of itself.
 */
const ASKS = {
  kvm: { bootsBy: "BIOS", signed: false, drivers: "virtio's", inWindows: false },
  hyperv: { bootsBy: "UEFI", signed: true, drivers: "Hyper-V's", inWindows: true },
} as const satisfies Record<
  Hypervisor,
  { bootsBy: "BIOS" | "UEFI"; signed: boolean; drivers: string; inWindows: boolean }
>;

type Guest = Readonly<{ os: OsFamily; hardware: ImageHardware }>;

/**
 * Whether a guest that was installed for one hypervisor's machine boots by the other's firmware. Its disk comes as it is, with the loader
 * that its machine had, so that what is not known of it is not taken for good: it would be off, and its customer would find out.
 */
export function firmwareAfter({ os, hardware }: Guest, from: Hypervisor, to: Hypervisor): Verdict {
  const { firmware, secureBoot } = hardware;
  const there = HYPERVISOR_NAMES[to];
  if (firmware === null)
    return {
      ok: false,
      detail:
        `its image says no firmware: it was made to boot by ${ASKS[from].bootsBy}, and on ${there} it would be ` +
        `booted by ${ASKS[to].bootsBy}`,
    };
  if (ASKS[to].signed && os === "linux" && firmware === "uefi" && secureBoot === null)
    return {
      ok: false,
      detail: `its image does not say whether its loader is signed, and ${there} would start no other`,
    };
  return { ok: true, detail: `it boots by ${firmware === "bios" ? "BIOS" : "UEFI"} on both` };
}

/** Whether it finds its disk and its network there. By its system alone: nobody looks into a customer's disk. */
export function driversAfter({ os, hardware }: Guest, to: Hypervisor): Verdict {
  const { drivers, inWindows } = ASKS[to];
  const own = `${drivers} drivers`;
  switch (os) {
    case "linux":
      // https://docs.kernel.org/virt/hyperv/overview.html; an initrd that was made for one machine alone may leave them out.
      return { ok: true, detail: `its kernel has ${own}, unless its customer built one without` };
    case "freebsd":
      return { ok: true, detail: `its kernel has ${own}` };
    case "windows":
      if (inWindows) return { ok: true, detail: `Windows has ${own}` };
      return hardware.diskBus === "sata"
        ? { ok: true, detail: "its disk and its NICs there are such as Windows knows" }
        : {
            ok: false,
            detail: `Windows has no ${own} of itself: its image would have to ask for a disk on SATA`,
          };
  }
}

/**
 * What of its firmware a guest loses when it is copied to another host; null: nothing. The disk alone goes: at its destination the firmware
 * begins with the settings that it begins with on any VM of the image, which is how this one booted for the first time.
 */
export function firmwareLeft({ hardware }: Guest, from: Hypervisor): string | null {
  const by = hardware.firmware ?? (ASKS[from].bootsBy === "UEFI" ? "uefi" : "bios");
  if (by === "bios") return null;
  return "what its UEFI has stored stays behind: it boots by the disk's default loader, and keys that were enrolled in it are gone";
}

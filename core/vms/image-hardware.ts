export const FIRMWARES = ["bios", "uefi"] as const;
export type Firmware = (typeof FIRMWARES)[number];

/** Whose signatures the firmware takes: `microsoft` are Windows' own, `uefi-ca` those that Microsoft gives to others (Linux). */
export const SECURE_BOOTS = ["off", "microsoft", "uefi-ca"] as const;
export type SecureBoot = (typeof SECURE_BOOTS)[number];

/** How a KVM guest finds its disk. `sata` is for images without drivers of virtio: its NICs are such as those know, too. */
export const DISK_BUSES = ["virtio", "sata", "scsi"] as const;
export type DiskBus = (typeof DISK_BUSES)[number];

/** What an image asks of the machine around it; null: what its hypervisor gives of itself. */
export type ImageHardware = Readonly<{
  firmware: Firmware | null;
  secureBoot: SecureBoot | null;
  diskBus: DiskBus | null;
}>;

export const PLAIN_HARDWARE: ImageHardware = { firmware: null, secureBoot: null, diskBus: null };

/** Only UEFI checks signatures, so an image that says something of them says UEFI. */
export const isSoundHardware = ({ firmware, secureBoot }: Omit<ImageHardware, "diskBus">) =>
  secureBoot === null || firmware === "uefi";

/** Its fields that are asked for, for the wire. */
export const askedHardware = ({ firmware, secureBoot, diskBus }: ImageHardware) => ({
  ...(firmware !== null && { firmware }),
  ...(secureBoot !== null && { secureBoot }),
  ...(diskBus !== null && { diskBus }),
});

export const asksForHardware = (image: ImageHardware): boolean =>
  Object.keys(askedHardware(image)).length > 0;

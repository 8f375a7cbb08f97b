import { access, readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { z } from "zod";

/** Where a host's packages and its people describe the firmware that libvirt may choose from. */
export const FIRMWARE_FOLDERS = ["/usr/share/qemu/firmware", "/etc/qemu/firmware"];

/** QEMU's firmware descriptors, as far as they are read here (qemu/docs/interop/firmware.json). */
const Descriptor = z.object({
  "interface-types": z.array(z.string()),
  mapping: z.object({
    executable: z.object({ filename: z.string() }),
  }),
  targets: z.array(z.object({ architecture: z.string(), machines: z.array(z.string()) })),
  features: z.array(z.string()),
});

export type HostFirmware = Readonly<{
  /** One that checks nothing. */
  uefi: boolean;
  /** One that holds Microsoft's keys, its own and those that it signs others with. */
  secureBoot: boolean;
}>;

/** What UEFI this host has for machines of ours. A descriptor that cannot be read, or whose file is not there, is none. */
export async function readFirmware(
  folders: readonly string[] = FIRMWARE_FOLDERS,
): Promise<HostFirmware> {
  const found = await Promise.all(folders.map(descriptorsIn));
  const features = found.flat();
  return {
    uefi: features.some((all) => !all.includes("secure-boot") && !all.includes("enrolled-keys")),
    secureBoot: features.some((all) =>
      ["secure-boot", "enrolled-keys", "requires-smm"].every((one) => all.includes(one)),
    ),
  };
}

/** The features of each one that is usable. */
async function descriptorsIn(folder: string): Promise<(readonly string[])[]> {
  const names = await readdir(folder).catch(() => []);
  const found = await Promise.all(
    names.map(async (name) => {
      try {
        const text = await readFile(path.join(folder, name), "utf8");
        const descriptor = Descriptor.parse(JSON.parse(text));
        const { mapping, targets, features } = descriptor;
        await access(mapping.executable.filename);
        const isOurs =
          descriptor["interface-types"].includes("uefi") &&
          targets.some(
            ({ architecture, machines }) =>
              architecture === "x86_64" && machines.some((one) => one.startsWith("pc-q35")),
          );
        return isOurs ? [features] : [];
      } catch {
        return [];
      }
    }),
  );
  return found.flat();
}

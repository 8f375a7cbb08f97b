import { chmod, constants, copyFile, mkdir } from "node:fs/promises";
import path from "node:path";
import { openGround, URI } from "#test/kvm/libvirt-daemon.ts";
import { openDriver } from "#host-agent/drivers/open-driver.ts";
import type { LocalHost } from "./agents.ts";
import { PlainError } from "./main.ts";

/** The image that the local catalogue calls "Tiny Linux". */
const IMAGE = "tiny.qcow2";

/**
 * This machine's libvirt as a host of the local stack, with the project's own tiny guest as its image. Throws a
 * `PlainError` that says what is missing. `close` ends only the daemons that were started here.
 */
export async function openKvmHost(
  name: string,
  folder: string,
  atStop: "power_off" | "destroy",
): Promise<{ host: LocalHost; close: () => Promise<void> }> {
  const ground = await openGround();
  if (!ground.available) throw new PlainError(`--driver kvm cannot be used here: ${ground.reason}`);
  const dir = async (part: string) => {
    const at = path.join(folder, part);
    // QEMU runs as a user of its own, which must be able to pass through.
    await mkdir(at, { recursive: true, mode: 0o711 });
    return at;
  };
  const options = {
    imageDir: await dir("images"),
    diskDir: await dir("disks"),
    seedDir: await dir("seeds"),
    consoleDir: await dir("consoles"),
    trashDir: await dir("trash"),
    uri: URI,
    network: { kind: "user" },
    emulationAllowed: true,
  };
  const image = path.join(options.imageDir, IMAGE);
  await copyFile(ground.image, image, constants.COPYFILE_FICLONE).catch(() => undefined);
  await chmod(image, 0o444);
  return {
    host: { name, open: (_, ports) => openDriver("kvm", options, ports), atStop },
    close: ground.close,
  };
}

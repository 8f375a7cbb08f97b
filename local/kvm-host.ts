import { chmod, constants, copyFile, mkdir, readFile, rm } from "node:fs/promises";
import path from "node:path";
import { z } from "zod";
import { openGround, URI } from "#test/kvm/libvirt-daemon.ts";
import { taggedFiles } from "#host-agent/drivers/kvm/files.ts";
import { openDriver } from "#host-agent/drivers/open-driver.ts";
import type { LocalHost } from "./agents.ts";
import { PlainError } from "./main.ts";
import { writeWhole } from "./write-whole.ts";

/** The image that the local catalogue calls "Tiny Linux". */
const IMAGE = "tiny.qcow2";

/**
 * This machine's libvirt as a host of the local stack, with the project's own tiny guest as its image. Throws a
 * `PlainError` that says what is missing. `close` ends only the daemons that were started here,
 * those of a killed run on the same folder among them. At its stop the VMs of this folder, and no others on this
 * machine, are powered off, to be brought back by the next start, or destroyed.
 */
export async function openKvmHost(
  name: string,
  folder: string,
  atStop: "power_off" | "destroy",
): Promise<{ host: LocalHost; close: () => Promise<void> }> {
  const daemons = path.join(folder, "daemons.json");
  const ground = await openGround(await pidsIn(daemons));
  if (!ground.available) throw new PlainError(`--driver kvm cannot be used here: ${ground.reason}`);
  const dir = async (part: string) => {
    const at = path.join(folder, part);
    // QEMU runs as a user of its own, which must be able to pass through.
    await mkdir(at, { recursive: true, mode: 0o711 });
    return at;
  };
  await mkdir(folder, { recursive: true, mode: 0o711 });
  await writeWhole(daemons, JSON.stringify(ground.daemons));
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
    host: {
      name,
      open: (_, ports) => openDriver("kvm", options, ports),
      atStop: async (driver) => {
        const own = new Set((await taggedFiles(options)).map(({ tag }) => tag.vmId));
        for (const vm of (await driver.list()).filter(({ vmId }) => own.has(vmId)))
          if (atStop === "destroy") await driver.destroy(vm);
          else if (vm.power !== "off") await driver.stop(vm, "firm");
      },
    },
    close: async () => {
      await ground.close();
      await rm(daemons, { force: true });
    },
  };
}

async function pidsIn(file: string): Promise<number[]> {
  const text = await readFile(file, "utf8").catch(() => "[]");
  const pids = z.array(z.int().positive()).safeParse(jsonOf(text));
  return pids.success ? pids.data : [];
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

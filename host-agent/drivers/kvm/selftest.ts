import type { HostImage } from "#core/contracts/agent/desired.ts";
import type { IdSource } from "#core/ports.ts";
import type { SelftestStep } from "../driver.ts";
import { eraseSeedStep, factsStep, lifeOf, takeSteps, tinyVm } from "../selftest.ts";
import { createKvmDriver } from "./driver.ts";
import { looseFiles } from "./file-rights.ts";
import { kernelHasSfq, type KvmOptions } from "./host.ts";
import { emptyTrashOf } from "./trash.ts";

export type SelftestOptions = KvmOptions & Readonly<{ ids: IdSource }>;

/**
 * Tries the driver on this host with the life of one tiny VM of `image`, which is removed again with its disks whatever
 * happened. Stops at the first step that fails, and in the middle of one when the signal says so. Sends nothing on the
 * network but what the guest itself sends.
 */
export async function selftest(
  options: SelftestOptions,
  image: HostImage,
  signal?: AbortSignal,
): Promise<readonly SelftestStep[]> {
  const driver = createKvmDriver(options);
  // QEMU's own network limits and counts nothing.
  const isPlugged = options.network.kind !== "user";
  const bandwidthMbit = isPlugged && (await kernelHasSfq()) ? 10 : null;
  const vm = tinyVm(options, image, { bandwidthMbit });
  try {
    return await takeSteps(
      [
        factsStep(driver, signal),
        ...lifeOf(driver, vm, isPlugged ? vm.nics.length : 0, signal),
        ["file rights", () => checkRights(options)],
        eraseSeedStep(driver, vm, signal),
      ],
      options.clock,
      async () => {
        await driver.destroy(vm);
        await emptyTrashOf(options.trashDir, vm.vmId);
      },
    );
  } finally {
    await driver.close();
  }
}

/** Also after the VM ran: libvirt hands files over and takes them back. */
async function checkRights(options: KvmOptions): Promise<string> {
  const loose = await looseFiles(options);
  if (loose.length > 0) throw new Error(`everybody may open ${loose.join(", ")}`);
  return "nobody else may open its files";
}

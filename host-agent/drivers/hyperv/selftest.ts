import path from "node:path";
import type { HostImage } from "#core/contracts/agent/desired.ts";
import type { IdSource } from "#core/ports.ts";
import { createHypervDriver, type HypervDriver } from "./driver.ts";
import type { SelftestStep } from "../driver.ts";
import { eraseSeedStep, factsStep, lifeOf, takeSteps, tinyVm } from "../selftest.ts";
import type { HypervOptions } from "./options.ts";
import { emptyTrashOf } from "./trash.ts";

export type SelftestOptions = HypervOptions & Readonly<{ ids: IdSource }>;

/**
 * Tries the driver on this host: what its Hyper-V module offers against what the script calls, and then the life of
 * one tiny VM of `image`, which is removed again with its disks whatever happened. Stops at the first step that
 * fails, and in the middle of one when the signal says so. Needs an image and a switch; sends nothing on the network but
 * what the guest itself sends.
 */
export async function selftest(
  options: SelftestOptions,
  image: HostImage,
  signal?: AbortSignal,
): Promise<readonly SelftestStep[]> {
  const driver = createHypervDriver(options);
  const vm = tinyVm(options, image, { bandwidthMbit: 10 });
  const checkpointId = options.ids.newId();
  try {
    return await takeSteps(
      [
        factsStep(driver, signal),
        ["cmdlets", () => checkCmdlets(driver, signal)],
        ...lifeOf(driver, vm, vm.nics.length, signal),
        ["checkpoint", () => driver.checkpoint(vm, checkpointId, signal).then(() => "made")],
        ["revert", () => driver.revert(vm, checkpointId, signal).then(() => "brought back")],
        [
          "delete checkpoint",
          () => driver.deleteCheckpoint(vm, checkpointId, signal).then(() => "deleted"),
        ],
        eraseSeedStep(driver, vm, signal),
      ],
      options.clock,
      async () => {
        await driver.destroy(vm);
        await emptyTrashOf(path.join(options.root, "trash"), vm.vmId);
      },
    );
  } finally {
    await driver.close();
  }
}

/** The contract with the module: every cmdlet that the script calls is there, with every parameter it gives. */
export async function checkCmdlets(driver: HypervDriver, signal?: AbortSignal): Promise<string> {
  const calls = await driver.cmdletCalls(signal);
  const missing = calls.flatMap((call) => call.missing.map((name) => `${call.cmdlet} ${name}`));
  if (missing.length > 0) throw new Error(`this host lacks ${missing.join(", ")}`);
  return `${calls.length} calls of ${new Set(calls.map((call) => call.cmdlet)).size} cmdlets`;
}

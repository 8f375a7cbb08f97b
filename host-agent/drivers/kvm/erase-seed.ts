import { rm } from "node:fs/promises";
import { DriverError, type VmRef } from "../driver.ts";
import { filesOf } from "./files.ts";
import type { KvmHost } from "./host.ts";
import { isActive } from "./parse-domain.ts";

/**
 * Takes the first-boot seed out of the drive and deletes it. The definition goes on naming the file, as one that may
 * be missing: what is cut short here is done again by the same call.
 */
export async function eraseSeed(host: KvmHost, ref: VmRef, signal?: AbortSignal): Promise<void> {
  const domain = await host.owned(ref, signal);
  if (domain === null) throw new DriverError("driver_failed", `there is no VM ${ref.vmId}`);
  // Forced: a guest that never unmounted it holds the tray.
  if (isActive(domain.power))
    await host.libvirt.run(
      ["change-media", ref.vmId, domain.own.seedDevice, "--eject", "--live", "--force"],
      { signal },
    );
  await rm(filesOf(host.folders, ref).seed, { force: true });
}

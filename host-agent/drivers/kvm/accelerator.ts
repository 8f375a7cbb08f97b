import { readFile } from "node:fs/promises";
import { DriverError } from "../driver.ts";
import type { Libvirt } from "./libvirt.ts";

/**
 * Whether guests of this host run on hardware. `/dev/kvm` proves nothing: where the CPU shows neither VT-x nor
 * AMD-V, guests started with it hang, although libvirt offers it. So the CPU's flags are asked first, then libvirt.
 */
export async function detectAccelerator(
  libvirt: Libvirt,
  signal?: AbortSignal,
  cpuinfo: () => Promise<string> = () => readFile("/proc/cpuinfo", "utf8"),
): Promise<"hardware" | "tcg"> {
  if (!/^flags\s*:.*\b(vmx|svm)\b/m.test(await cpuinfo())) return "tcg";
  try {
    await libvirt.run(["domcapabilities", "--virttype", "kvm"], { signal });
    return "hardware";
  } catch (error) {
    // Refused by libvirt: no module, or no access to /dev/kvm. Silence, an abort or a time-out decides nothing.
    if (error instanceof DriverError || signal?.aborted) throw error;
    return "tcg";
  }
}

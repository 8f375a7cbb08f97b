import { whyBeyondLimits, type PlatformLimits } from "#core/hosts/limits.ts";
import type { VmSize } from "#core/vms/vm.ts";
import { DriverError } from "./driver.ts";

/** The planner asks first; this holds for whoever else calls a driver. */
export function refuseBeyondLimits(size: VmSize, limits: PlatformLimits): void {
  const why = whyBeyondLimits(size, limits);
  if (why !== null) throw new DriverError("beyond_limits", why);
}

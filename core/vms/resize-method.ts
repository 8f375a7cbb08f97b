import type { DriverCapabilities } from "#core/contracts/agent/report.ts";
import { whyBeyondLimits, type PlatformLimits } from "#core/hosts/limits.ts";
import { sizeIsSeen, type VmLimits, type WholeSize } from "./seen-size.ts";
import type { ObservedPower, VmSize } from "./vm.ts";

/** Why a VM cannot be given a size on its host. Stable; in the order in which they are told. */
export const RESIZE_REFUSALS = [
  // More, or otherwise, than the host's hypervisor gives a VM.
  "beyond_limits",
  // Its end may hold data.
  "disk_shrinks",
  // Less memory than its image boots with.
  "memory_below_image",
  // A limit of bandwidth or of IOPS that the host cannot hold it to.
  "limit_unsupported",
] as const;
export type ResizeRefusal = Readonly<{ code: (typeof RESIZE_REFUSALS)[number]; detail: string }>;

export type ResizeHow = Readonly<{
  /**
   * `live`: its guest runs on. `restart`: it is shut down, changed and started. `none`: nothing is done to a guest: the VM is
   * off, is so already, or is refused.
   */
  method: "live" | "restart" | "none";
  /** Empty: it can be done. */
  refusals: readonly ResizeRefusal[];
}>;

/** What the VM is, as its host showed it. */
export type ResizedFrom = Readonly<{
  size: VmSize;
  /** null: its agent does not say. */
  limits: VmLimits | null;
  /** So many vCPUs it may have at most without a restart; null: its agent does not say. */
  hotVcpus: number | null;
}>;

/** What its host can do, and for what image. */
export type ResizeMeans = Readonly<{
  capabilities: DriverCapabilities;
  limits: PlatformLimits;
  imageMinMemoryMib: number;
}>;

/**
 * How a VM would be given a size where it is: the rules by which its agent will do it (`plan-vm-step.ts`), so that they can be told
 * beforehand. A driver may still ask for a restart where its guest takes no change.
 */
export function howToResize(
  from: ResizedFrom,
  to: WholeSize,
  can: ResizeMeans,
  power: ObservedPower,
): ResizeHow {
  if (sizeIsSeen(to, from) !== "differs") return { method: "none", refusals: [] };
  const refusals = whyNot(from, to, can);
  if (refusals.length > 0 || power === "off") return { method: "none", refusals };
  return { method: power !== "paused" && isLive(from, to, can) ? "live" : "restart", refusals };
}

function whyNot(from: ResizedFrom, to: WholeSize, can: ResizeMeans): ResizeRefusal[] {
  const { size } = from;
  const limits = from.limits ?? to;
  const beyond = whyBeyondLimits(to, can.limits);
  const lacks = (limit: keyof VmLimits, capability: "bandwidthLimit" | "iopsLimit") =>
    to[limit] !== null && to[limit] !== limits[limit] && !can.capabilities[capability];
  const unlimited = [
    ...(lacks("bandwidthMbit", "bandwidthLimit") ? ["bandwidth"] : []),
    ...(lacks("diskIops", "iopsLimit") ? ["IOPS"] : []),
  ];
  const because = (code: ResizeRefusal["code"], detail: string | null | false): ResizeRefusal[] =>
    detail === null || detail === false ? [] : [{ code, detail }];
  return [
    ...because("beyond_limits", beyond),
    ...because(
      "disk_shrinks",
      to.diskGib < size.diskGib && `a disk never shrinks: ${size.diskGib} to ${to.diskGib} GiB`,
    ),
    ...because(
      "memory_below_image",
      to.memoryMib !== size.memoryMib &&
        to.memoryMib < can.imageMinMemoryMib &&
        `its image needs ${can.imageMinMemoryMib} MiB of memory`,
    ),
    ...because(
      "limit_unsupported",
      unlimited.length > 0 && `this host cannot limit ${unlimited.join(" and ")}`,
    ),
  ];
}

/** Limits are always live. vCPUs and memory go up, where the driver says so, and never down. */
function isLive({ size, hotVcpus }: ResizedFrom, to: WholeSize, can: ResizeMeans): boolean {
  const { hotResize, hotVcpus: addsVcpus = true, hotMemory = true, hotDiskGrow } = can.capabilities;
  const growsVcpus = hotResize && addsVcpus && to.vcpus <= (hotVcpus ?? to.vcpus);
  const growsMemory = hotResize && hotMemory;
  return (
    (to.vcpus === size.vcpus || (to.vcpus > size.vcpus && growsVcpus)) &&
    (to.memoryMib === size.memoryMib || (to.memoryMib > size.memoryMib && growsMemory)) &&
    (to.diskGib === size.diskGib || hotDiskGrow)
  );
}

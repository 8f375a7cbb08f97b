import type {
  DriverCapabilities,
  HostFacts,
  MissingCapability,
} from "#core/contracts/agent/report.ts";

/**
 * What the driver of each hypervisor can do, on a host with nothing amiss. The drivers take these and say less where
 * their host does less (an old kernel, an old Windows); a simulated host of that hypervisor says just these. The
 * deterministic simulator has such a one, as a PowerShell has its own clock (`docs/adr`).
 */
export const CAPABILITIES = {
  kvm: {
    // See domainXml: a VM is defined with room for vCPUs, and with exactly the memory that was ordered.
    hotResize: true,
    hotVcpus: true,
    hotMemory: false,
    hotDiskGrow: true,
    gracefulStop: true,
    // The driver has no call for snapshots yet.
    liveSnapshot: false,
    rootPassword: true,
    bios: true,
    uefi: true,
    secureBoot: true,
    secureBootUefiCa: true,
    diskBus: true,
    adoptDisk: true,
    restoreTrash: true,
    moveCold: true,
    moveLive: true,
    bandwidthLimit: true,
    iopsLimit: true,
  },
  hyperv: {
    // Static memory grows from 2016 on. For all else its driver says `must_be_off`, and says what no stop helps against
    // before anything is stopped.
    hotResize: true,
    hotVcpus: false,
    hotMemory: true,
    hotDiskGrow: true,
    gracefulStop: true,
    liveSnapshot: true,
    rootPassword: true,
    bios: true,
    uefi: true,
    secureBoot: true,
    secureBootUefiCa: true,
    diskBus: true,
    // The driver has no calls for these yet.
    adoptDisk: false,
    restoreTrash: false,
    moveCold: true,
    bandwidthLimit: true,
    iopsLimit: true,
  },
} as const satisfies Record<HostFacts["hypervisor"], DriverCapabilities>;

type Why = Partial<Record<keyof DriverCapabilities, string>>;

/** What the drivers themselves cannot do, on whatever host. */
const NEVER = {
  kvm: {
    hotMemory: "a guest takes back what memory a balloon hides from it: it grows with a restart",
    liveSnapshot: "its driver has no call for snapshots yet",
  },
  hyperv: {
    hotVcpus: "Hyper-V gives no virtual processor to a VM that runs",
    adoptDisk: "its driver has no call for it yet",
  },
} as const satisfies Record<HostFacts["hypervisor"], Why>;

/**
 * Why each capability is missing that is; `here` is what is amiss on this host, and goes before what its driver cannot. Whether
 * it may emulate is nothing that it lacks.
 */
export function missingOf(
  hypervisor: HostFacts["hypervisor"],
  capabilities: DriverCapabilities,
  here: Why = {},
): MissingCapability[] {
  const whys = new Map(Object.entries({ ...NEVER[hypervisor], ...here }));
  return Object.entries(capabilities)
    .filter(([capability, can]) => !can && capability !== "emulation")
    .map(([capability]) => ({
      capability,
      why: whys.get(capability) ?? "it was told to be without",
    }));
}

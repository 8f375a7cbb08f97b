import path from "node:path";
import { z } from "zod";
import { HostImage } from "#core/contracts/agent/desired.ts";
import { type DriverCapabilities } from "#core/contracts/agent/report.ts";
import type { Clock, IdSource, Log } from "#core/ports.ts";
import type { InstallationId, SelftestStep, VmDriver } from "./driver.ts";

export type DriverPorts = {
  clock: Clock;
  ids: IdSource;
  log: Log;
  agentVersion: string;
  /** Left out: it knows none, as for what makes no customer's VM. */
  installation?: InstallationId;
};

const folder = z.string().min(1);

export const KvmConfig = z.strictObject({
  imageDir: folder,
  diskDir: folder,
  seedDir: folder,
  consoleDir: folder,
  trashDir: folder,
  uri: z.string().default("qemu:///system"),
  network: z.discriminatedUnion("kind", [
    z.strictObject({ kind: z.literal("network"), name: z.string() }),
    z.strictObject({
      kind: z.literal("bridge"),
      name: z.string(),
      /** The bridge of each VLAN id. */
      vlans: z.record(z.coerce.number<string>(), z.string()).default({}),
    }),
    z.strictObject({ kind: z.literal("user") }),
  ]),
  emulationAllowed: z.boolean().default(false),
  runDir: folder.exactOptional(),
  reserveDiskMib: z.int().nonnegative().exactOptional(),
});

export const HypervConfig = z.strictObject({
  root: folder,
  images: folder,
  switch: z.string().min(1),
  dynamicMemoryMinimumPercent: z.int().min(1).max(100).nullable().exactOptional(),
  /** Hyper-V's own live migration works between this host and the others. */
  liveMoves: z.boolean().exactOptional(),
  /** In the place of Windows PowerShell 5.1 and Microsoft's module: PowerShell 7, say, or a module to try with. */
  powershell: z
    .strictObject({ executable: folder.exactOptional(), module: folder.exactOptional() })
    .exactOptional(),
});

const millis = z.int().nonnegative();
const SimulatedConfig = z.strictObject({
  /** Folder of the simulated host. */
  world: folder,
  delays: z
    .union([
      z.enum(["realistic", "off"]),
      z.strictObject({
        list: millis,
        disk: millis,
        seed: millis,
        define: millis,
        start: millis,
        firmStop: millis,
        undefine: millis,
        resize: millis,
        guestReady: millis,
        gracefulStop: millis.nullable(),
      }),
    ])
    .default("realistic"),
  hypervisor: z.enum(["kvm", "hyperv"]).default("kvm"),
  capabilities: z
    .strictObject({
      hotResize: z.boolean().exactOptional(),
      hotVcpus: z.boolean().exactOptional(),
      hotMemory: z.boolean().exactOptional(),
      hotDiskGrow: z.boolean().exactOptional(),
      gracefulStop: z.boolean().exactOptional(),
      liveSnapshot: z.boolean().exactOptional(),
      rootPassword: z.boolean().exactOptional(),
      bios: z.boolean().exactOptional(),
      uefi: z.boolean().exactOptional(),
      secureBoot: z.boolean().exactOptional(),
      secureBootUefiCa: z.boolean().exactOptional(),
      diskBus: z.boolean().exactOptional(),
      emulation: z.boolean().exactOptional(),
      adoptDisk: z.boolean().exactOptional(),
      restoreTrash: z.boolean().exactOptional(),
      moveCold: z.boolean().exactOptional(),
      moveLive: z.boolean().exactOptional(),
      bandwidthLimit: z.boolean().exactOptional(),
      iopsLimit: z.boolean().exactOptional(),
    } satisfies Record<keyof DriverCapabilities, unknown>)
    .default({}),
  host: z
    .strictObject({
      cpuThreads: z.int().positive().exactOptional(),
      memoryMib: z.int().positive().exactOptional(),
      diskGib: z.int().positive().exactOptional(),
    })
    .default({}),
  images: z.array(z.string()).exactOptional(),
});

/** By name: checks the options of one driver and opens it. Only the driver that is asked for is loaded. */
const OPENERS = {
  async kvm(options, ports) {
    const config = checkOptions(KvmConfig, options);
    const { createKvmDriver } = await import("./kvm/driver.ts");
    return createKvmDriver({ ...config, ...ports });
  },
  async hyperv(options, ports) {
    const config = checkOptions(HypervConfig, options);
    const { createHypervDriver } = await import("./hyperv/driver.ts");
    return createHypervDriver({ ...config, ...ports });
  },
  async simulated(options, ports) {
    const config = checkOptions(SimulatedConfig, options);
    const [{ createSimulatedDriver }, { folderWorld }, { NO_DELAYS, REALISTIC_DELAYS }] =
      await Promise.all([
        import("./simulated/driver.ts"),
        import("./simulated/world.ts"),
        import("./simulated/delays.ts"),
      ]);
    const named = { realistic: REALISTIC_DELAYS, off: NO_DELAYS };
    const delays = typeof config.delays === "string" ? named[config.delays] : config.delays;
    return createSimulatedDriver({
      ...config,
      ...ports,
      world: folderWorld(config.world),
      moves: { folder: path.join(config.world, "moves") },
      delays,
    });
  },
} satisfies Record<string, (options: unknown, ports: DriverPorts) => Promise<VmDriver>>;

export type DriverName = keyof typeof OPENERS;
export const DRIVER_NAMES = ["kvm", "hyperv", "simulated"] as const satisfies readonly DriverName[];

/** An option of the driver is missing or wrong. The message names it. */
export class DriverOptionsError extends Error {
  override name = "DriverOptionsError";
}

/** Throws `DriverOptionsError`. */
export const openDriver = (
  name: DriverName,
  options: unknown,
  ports: DriverPorts,
): Promise<VmDriver> => OPENERS[name](options, ports);

/** Throws `DriverOptionsError`. */
export function checkOptions<T>(schema: z.ZodType<T>, options: unknown): T {
  const checked = schema.safeParse(options);
  if (checked.success) return checked.data;
  const faults = checked.error.issues.map(
    (issue) => `${issue.path.join(".") || "options"}: ${issue.message}`,
  );
  throw new DriverOptionsError(`driver options: ${faults.join("; ")}`);
}

const SCHEMAS = {
  kvm: KvmConfig,
  hyperv: HypervConfig,
  simulated: SimulatedConfig,
} satisfies Record<DriverName, z.ZodType>;

/** What is wrong with a driver's options, and where in them. */
export const optionIssues = (name: DriverName, options: unknown): readonly z.core.$ZodIssue[] =>
  SCHEMAS[name].safeParse(options).error?.issues ?? [];

type SelftestRun = (
  options: unknown,
  image: HostImage,
  ports: DriverPorts,
  signal?: AbortSignal,
) => Promise<readonly SelftestStep[]>;

/** Of the drivers that run something. */
const SELFTESTS: Partial<Record<DriverName, SelftestRun>> = {
  async kvm(options, image, ports, signal) {
    const config = checkOptions(KvmConfig, options);
    const { selftest } = await import("./kvm/selftest.ts");
    return selftest({ ...config, ...ports }, image, signal);
  },
  async hyperv(options, image, ports, signal) {
    const config = checkOptions(HypervConfig, options);
    const { selftest } = await import("./hyperv/selftest.ts");
    return selftest({ ...config, ...ports }, image, signal);
  },
};

/**
 * Tries a driver on this host with the life of one tiny VM, cleaned up whatever happened, also when the signal ends it
 * in the middle. Throws `DriverOptionsError`, also for a driver that has no self-test.
 */
export async function runSelftest(
  name: DriverName,
  options: unknown,
  imageFile: string,
  ports: DriverPorts,
  signal?: AbortSignal,
): Promise<readonly SelftestStep[]> {
  const run = SELFTESTS[name];
  if (run === undefined) throw new DriverOptionsError(`the driver ${name} has no self-test`);
  const file = HostImage.shape.file.safeParse(imageFile);
  if (!file.success) throw new DriverOptionsError(`--image is a bare file name, not ${imageFile}`);
  const image = { id: ports.ids.newId(), file: file.data, os: "linux", minMemoryMib: 96 } as const;
  return run(options, image, ports, signal);
}

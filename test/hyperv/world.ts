import { accessSync, constants, existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, readdir, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import type { HostImage } from "#core/contracts/agent/desired.ts";
import { createHypervDriver, type HypervDriver } from "#host-agent/drivers/hyperv/driver.ts";
import { workerOptions, type HypervOptions } from "#host-agent/drivers/hyperv/options.ts";
import { createWorker, type Worker } from "#host-agent/drivers/hyperv/powershell.ts";
import { anImage, realClock } from "../drivers/builders.ts";

export const WINDOWS = ["2012r2", "2016", "2019", "2022", "2025"] as const;
export type Windows = (typeof WINDOWS)[number];

const repository = path.resolve(import.meta.dirname, "../..");
/** PowerShell 7 in `.cache/pwsh`, or on the PATH; undefined where there is none. */
export const pwsh: string | undefined = [
  path.join(repository, ".cache/pwsh/pwsh"),
  ...onPath("pwsh"),
].find(isExecutable);
export const noPwsh = pwsh === undefined ? "no PowerShell 7: npm run pwsh:install" : null;
/** The stand-in's disks become real ones by it, where something else reads them. */
export const noQemuImg = onPath("qemu-img").some(isExecutable) ? null : "no qemu-img on the PATH";

function onPath(program: string): string[] {
  const folders = (process.env["PATH"] ?? "").split(path.delimiter);
  return folders.map((folder) => path.join(folder, program));
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** What the test says of the stand-in host; see StandinHost in standin/types.ps1. */
export type StandinHost = {
  Windows: Windows;
  Switch: string;
  LogicalProcessors: number;
  MemoryBytes: number;
  GuestBootMs: number;
  GuestShutdownMs: number;
  DelayMs: Record<string, number>;
  /** The error id with which a cmdlet fails. */
  FailWith?: Record<string, string>;
  /** Win32_Volume: names end in a separator; a capacity of 0 is none. */
  Volumes?: { Name: string; Capacity: number }[];
  /** For moves of VMs that run: its name, the states of the hosts that it reaches by name, and whether it takes part in them. */
  Computer?: string;
  Peers?: Record<string, string>;
  MigrationEnabled?: boolean;
  /** Its kind of processor. */
  Processor?: string;
  /** How long such a move takes. */
  MigrationMs?: number;
  /** What VMs have done, by their names; the others count by the age of their processes. */
  Counted?: Record<string, StandinCounted>;
};

/** In the units of Windows' raw counters. */
type StandinCounted = {
  /** 100 ns, by virtual processor. */
  RunTime: number[];
  /** Bytes, by adapter. */
  Received: number[];
  Sent: number[];
  /** Bytes, of the disk. */
  Read: number;
  Written: number;
};

/** A VM as the stand-in holds it: Microsoft's names, as far as a test reads them. */
export type StandinVm = {
  Id: string;
  Name: string;
  Notes: string;
  Path: string;
  State: number;
  ProcessorCount: number;
  MemoryStartup: number;
  MemoryMinimum: number;
  DynamicMemoryEnabled: boolean;
  AutomaticStartAction: number;
  HardDrives: { Path: string; MaximumIOPS: number }[];
  DVDDrives: { Path: string | null }[];
  NetworkAdapters: {
    Name: string;
    SwitchName: string;
    MacAddress: string;
    MacAddressSpoofing: number;
    BandwidthSetting: { MaximumBandwidth: number } | null;
    StandinVlanId: number;
    AclList: { Action: number; Direction: number; LocalAddress: string }[];
  }[];
  StandinSecureBoot: number;
  StandinSecureBootTemplate: string | null;
  StandinAppears: number;
  /** When its guest began to boot, in UTC ticks. */
  StandinBoot: number;
  /** `Until`: when its guest is handed over, in .NET's ticks. */
  StandinMigration?: { Until: number } | null;
  Generation: number;
};

export type World = {
  folder: string;
  root: string;
  image: HostImage;
  env: Record<string, string>;
  options: HypervOptions;
  /** Another driver on this host. All are closed with the world. */
  open: (over?: Partial<HypervOptions>) => HypervDriver;
  configure: (over: Partial<StandinHost>) => Promise<void>;
  /** The wire itself, to say what the driver never says. */
  worker: () => Worker;
  /** Begins to write down which cmdlets run. */
  record: () => Promise<void>;
  /** Names and milliseconds of the cmdlets that ran since. */
  recorded: () => Promise<{ cmdlet: string; ms: number }[]>;
  /** The process that runs a cmdlet dies at the nth edge of a call: before its first change, after its last, ... */
  killAt: (edge: number) => Promise<void>;
  /** How many such edges the calls of `run` have. */
  countEdges: (run: () => Promise<unknown>) => Promise<number>;
  /** The process dies in this cmdlet, and Hyper-V's service finishes it by itself so many milliseconds later. Once. */
  finishLate: (cmdlet: "New-VM" | "Checkpoint-VM", ms: number) => Promise<void>;
  /** What was to come late is there now. */
  finishNow: () => Promise<void>;
  /** Whether that edge was not reached; and then it is taken away. */
  outlived: () => Promise<boolean>;
  vms: () => Promise<StandinVm[]>;
  close: () => Promise<void>;
};

/** A stand-in Hyper-V host in a temporary folder, and the real script in a real PowerShell over it. */
export async function aWorld(over: Partial<StandinHost> = {}): Promise<World> {
  const folder = await mkdtemp(path.join(tmpdir(), "berth-hyperv-"));
  const state = path.join(folder, "state");
  const images = path.join(folder, "images");
  const root = path.join(folder, "berth");
  await mkdir(path.join(state, "vms"), { recursive: true });
  await mkdir(images);
  let host: StandinHost = {
    Windows: "2022",
    Switch: "Public",
    LogicalProcessors: 64,
    MemoryBytes: 512 * 2 ** 30,
    GuestBootMs: 30,
    GuestShutdownMs: 20,
    DelayMs: {},
    ...over,
  };
  const configure = async (change: Partial<StandinHost>) => {
    host = { ...host, ...change };
    // Whole or not at all: a cmdlet may read it now.
    const file = path.join(state, "host.json");
    await writeFile(`${file}.new`, JSON.stringify(host));
    await rename(`${file}.new`, file);
  };
  await configure({});
  await writeFile(
    path.join(images, "tiny.vhdx"),
    JSON.stringify({ Type: "Dynamic", Size: 2 ** 30, Parent: null }),
  );
  const env = { BERTH_HYPERV_STATE: state };
  const open: { close: () => Promise<void> }[] = [];
  const log = path.join(state, "calls.log");
  const kill = path.join(state, "kill-at");
  const vms = async () => {
    const files = await readdir(path.join(state, "vms"));
    const found = files.filter((name) => name.endsWith(".json"));
    const read = found.map(async (name): Promise<StandinVm[]> => {
      const file = path.join(state, "vms", name);
      const text = await readFile(file, "utf8").catch((error: unknown) => {
        // Removed since its folder was read: it is not there.
        if (!existsSync(file)) return null;
        throw error;
      });
      return text === null ? [] : [JSON.parse(text)];
    });
    return (await Promise.all(read)).flat();
  };
  const driverOptions = {
    root,
    images,
    switch: host.Switch,
    clock: realClock,
    log: { info: () => undefined, error: () => undefined },
    agentVersion: "test",
    accelerator: "simulated",
    powershell: { executable: pwsh ?? "pwsh", module: standinModule, env },
  } satisfies HypervOptions;
  return {
    folder,
    root,
    env,
    options: driverOptions,
    image: anImage({ file: "tiny" }),
    configure,
    open(options = {}) {
      const driver = createHypervDriver({ ...driverOptions, ...options });
      open.push(driver);
      return driver;
    },
    worker() {
      const worker = createWorker(workerOptions(driverOptions));
      open.push(worker);
      return worker;
    },
    record: () => writeFile(log, ""),
    async recorded() {
      const lines = (await readFile(log, "utf8")).trim().split("\n");
      return lines.flatMap((line) => {
        const [cmdlet, ms] = line.split(" ");
        return cmdlet && ms ? [{ cmdlet, ms: Number(ms) }] : [];
      });
    },
    killAt: (edge) => writeFile(kill, String(edge)),
    async countEdges(run) {
      const beyond = 1_000_000;
      await writeFile(kill, String(beyond));
      await run();
      const left = Number(await readFile(kill, "utf8"));
      await rm(kill);
      return beyond - left;
    },
    finishLate: (cmdlet, ms) => writeFile(path.join(state, `late-${cmdlet}`), String(ms)),
    async finishNow() {
      for (const vm of await vms()) {
        if (vm.StandinAppears === 0) continue;
        const file = path.join(state, "vms", `${vm.Id}.json`);
        await writeFile(file, JSON.stringify({ ...vm, StandinAppears: 0 }));
      }
    },
    async outlived() {
      const there = existsSync(kill);
      await rm(kill, { force: true });
      return there;
    },
    vms,
    async close() {
      await Promise.all(open.map((one) => one.close()));
      await rm(folder, { recursive: true, force: true });
    },
  };
}

export const standinModule = path.join(import.meta.dirname, "Hyper-V.psm1");

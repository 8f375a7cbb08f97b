import { execFileSync } from "node:child_process";
import { copyFile, readdir, readFile } from "node:fs/promises";
import path from "node:path";
import type { VmDriver } from "#host-agent/drivers/driver.ts";
import { taggedFiles } from "#host-agent/drivers/kvm/files.ts";
import type { KvmTestHost } from "#test/kvm/host.ts";
import { anAgentProcess, type AgentProcess } from "#test/harness/agent-process.ts";
import type { TestStack } from "#test/harness/stack.ts";
import { qemuImg, realFormat, sumOfContent, writeTo } from "./moved-disks.ts";
import { aWorld, pwsh, standinModule, type StandinVm, type World } from "./world.ts";

/** A host of a stack, with its agent in a process of its own, as whoever stands beside it sees it. */
export type MovingHost = Readonly<{
  name: string;
  agent: AgentProcess;
  /** Another on the same host: what this copy is to anybody there. */
  driver: VmDriver;
  /** By the hypervisor alone. */
  isRunning: (vmId: string) => Promise<boolean>;
  /** Of the VM's disk here. */
  contentOf: (vmId: string) => Promise<string>;
  /** Of the one that was put away here last. */
  trashedContent: (vmId: string) => Promise<string>;
  /** As its guest would: a mark of its own, so far into the disk. */
  write: (vmId: string, offset: number, mark: string) => Promise<void>;
  /** Its PowerShell dies at the so manieth edge of a cmdlet from now on. Nothing where it has none. */
  killPowerShellAt: (edge: number) => Promise<void>;
  /** Whether it still lived; from now on it does. */
  spare: () => Promise<boolean>;
  close: () => Promise<void>;
}>;

/** The stand-in's number of a VM that runs. */
const RUNNING = 2;

/** .NET's ticks, of 100 ns, since the year 1. */
const ticksNow = (): number => Date.now() * 10_000 + 621_355_968_000_000_000;

/** As the stand-in reads its own file: one whose time of moving is over is the other host's, whoever puts the file away. */
const doesRun = (vm: StandinVm | undefined): boolean =>
  vm?.State === RUNNING && !(vm.StandinMigration && vm.StandinMigration.Until <= ticksNow());

/** How long Hyper-V's own move of a VM that runs takes here: long enough for something to be killed in it. */
const MIGRATION_MS = 2_000;

/**
 * `image`: a VHDX that is its image "tiny"; left out: an empty one of a gibibyte. It takes part in moves of VMs that run, with those that
 * `joinHosts` makes known to it.
 */
export async function aHypervHost(
  stack: TestStack,
  name: string,
  image?: string,
): Promise<MovingHost & { world: World }> {
  const world = await aWorld({
    Computer: name,
    MigrationEnabled: true,
    Processor: "one",
    MigrationMs: MIGRATION_MS,
  });
  const { root, images, switch: onto } = world.options;
  if (image !== undefined) await copyFile(image, path.join(images, "tiny.vhdx"));
  const agent = await anAgentProcess(stack, {
    name,
    driver: "hyperv",
    driverOptions: {
      root,
      images,
      switch: onto,
      liveMoves: true,
      powershell: { executable: pwsh, module: standinModule },
    },
    env: world.env,
  });
  const vmOf = async (vmId: string) => (await world.vms()).find(({ Name }) => Name === vmId);
  const diskOf = async (vmId: string): Promise<string> => {
    const disk = (await vmOf(vmId))?.HardDrives[0]?.Path;
    if (disk === undefined) throw new Error(`${name} has no disk of ${vmId}`);
    return disk;
  };
  return {
    name,
    world,
    agent,
    driver: world.open(),
    isRunning: async (vmId) => doesRun(await vmOf(vmId)),
    contentOf: async (vmId) => sumOfContent(await diskOf(vmId)),
    trashedContent: async (vmId) =>
      sumOfContent(await trashed(path.join(root, "trash"), vmId, ".vhdx")),
    async write(vmId, offset, mark) {
      const disk = await diskOf(vmId);
      if ((await realFormat(disk)) === null) await writeTo(disk, offset, mark);
      else writeReal(disk, "vhdx", offset, mark);
    },
    killPowerShellAt: (edge) => world.killAt(edge),
    spare: () => world.outlived(),
    close: async () => {
      await agent.kill();
      await world.close();
    },
  };
}

/** By name, as hosts of one domain know each other. */
export async function joinHosts(hosts: readonly { name: string; world: World }[]): Promise<void> {
  const Peers = Object.fromEntries(
    hosts.map(({ name, world }) => [name, world.env["BERTH_HYPERV_STATE"] ?? ""]),
  );
  for (const { world } of hosts) await world.configure({ Peers });
}

/** The real libvirt of this machine. */
export async function aKvmHost(
  stack: TestStack,
  name: string,
  host: KvmTestHost,
): Promise<MovingHost> {
  const { agentVersion: _, clock: _c, log: _l, ...driverOptions } = host.options;
  const agent = await anAgentProcess(stack, { name, driver: "kvm", driverOptions });
  const diskOf = async (vmId: string): Promise<string> => {
    const disk = (await taggedFiles(host.dirs, vmId)).find(({ kind }) => kind === "disk");
    if (disk === undefined) throw new Error(`${name} has no disk of ${vmId}`);
    return disk.path;
  };
  return {
    name,
    agent,
    driver: host.driver,
    isRunning: async (vmId) =>
      (await host.virsh("list", "--state-running", "--uuid")).includes(vmId),
    contentOf: async (vmId) => sumOfContent(await diskOf(vmId)),
    trashedContent: async (vmId) => sumOfContent(await trashed(host.dirs.trashDir, vmId, ".qcow2")),
    write: async (vmId, offset, mark) => writeReal(await diskOf(vmId), "qcow2", offset, mark),
    killPowerShellAt: async () => undefined,
    spare: async () => true,
    close: async () => {
      await agent.kill();
      await host.close();
    },
  };
}

/** The disk that was put there last: entries of both trashes begin with their instant. */
async function trashed(trash: string, vmId: string, ending: string): Promise<string> {
  const all = await readdir(trash, { recursive: true });
  const disks = all.filter((each) => each.includes(vmId) && each.endsWith(ending));
  const disk = disks.toSorted().at(-1);
  if (disk === undefined) throw new Error(`${trash} has no disk of ${vmId}`);
  return path.join(trash, disk);
}

function writeReal(disk: string, format: "vhdx" | "qcow2", offset: number, mark: string): void {
  const byte = Math.max(
    1,
    Buffer.from(mark).reduce((sum, each) => (sum + each) % 256, 0),
  );
  const command = `write -P ${byte} ${offset - (offset % 512)} 64k`;
  execFileSync("qemu-io", ["-f", format, "-c", command, disk], { stdio: "ignore" });
}

/** The project's tiny guest, as Hyper-V would have it. */
export function asVhdx(qcow2: string, vhdx: string): void {
  qemuImg("convert", "-f", "qcow2", "-O", "vhdx", "-o", "subformat=dynamic", qcow2, vhdx);
}

/** Of its guest's last process. */
export async function consoleOf(host: KvmTestHost, vmId: string): Promise<string> {
  const { consoleDir } = host.dirs;
  const logs = (await readdir(consoleDir)).filter(
    (each) => each.startsWith(vmId) && each.endsWith(".log"),
  );
  const all = await Promise.all(
    logs.map((each) => readFile(path.join(consoleDir, each), "utf8").catch(() => "")),
  );
  return all.join("");
}

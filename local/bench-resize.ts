import { execFile } from "node:child_process";
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { parseArgs, promisify } from "node:util";
import type { DesiredVm } from "#core/contracts/agent/desired.ts";
import { createAgent } from "#host-agent/agent.ts";
import { createMemoryDoorbell } from "#host-agent/channel/rings.ts";
import { fileStore } from "#host-agent/state/state-store.ts";
import { aDesiredVm, eventually, realClock } from "#test/drivers/builders.ts";
import { createFakeControlPlane } from "#test/drivers/fake-control-plane.ts";
import { openKvmTestHost, type KvmTestHost } from "#test/kvm/host.ts";
import { URI } from "#test/kvm/libvirt-daemon.ts";
import { askedToStop } from "./asked-to-stop.ts";
import { growsAtMost, percentile, toText, type BenchRow } from "./bench-row.ts";
import { PlainError, runMain } from "./main.ts";

const USAGE = `npm run bench:resize -- [options]: what a resize of a running VM takes beside its own virsh calls

  --json        the figures as data, and nothing else
  --check       exit code 1 when it misses its goal
  --rounds <n>  so many of each, in turns; 20 unless given, and 23 at most
  --help

A vCPU and a GiB of disk more, and another limit of IOPS: by an agent, from the doorbell's pass to the report that the VM is as
desired; and by the same virsh calls and looks one after the other, on another VM of the same host. Needs root and libvirt, as
npm run test:kvm does.
`;

const run = promisify(execFile);
const MOST_ROUNDS = 23;
/** Four times as many is its room. */
const FIRST_VCPUS = 8;
const BOOT_MS = 120_000;

async function main(args: readonly string[]): Promise<void> {
  const values = parse(args);
  if (values.help) {
    process.stdout.write(USAGE);
    return;
  }
  const rounds = Number(values.rounds);
  if (!Number.isInteger(rounds) || rounds < 1 || rounds > MOST_ROUNDS)
    throw new PlainError(`--rounds is a number from 1 to ${MOST_ROUNDS}; see --help`);
  const asked = askedToStop();
  const host = await openKvmTestHost();
  if (!host.available) throw new PlainError(`this machine cannot run it: ${host.reason}`);
  let rows: readonly BenchRow[] | undefined;
  try {
    rows = [await measure(host, rounds, asked)];
  } catch (error) {
    if (!asked.aborted) throw error;
  } finally {
    await host.close();
  }
  if (!rows) throw new PlainError("the benchmark was interrupted");
  process.stdout.write(values.json ? `${JSON.stringify({ rows })}\n` : toText(rows));
  if (values.check && rows.some((row) => row.holds === false)) throw new PlainError("missed");
}

async function measure(host: KvmTestHost, rounds: number, asked: AbortSignal): Promise<BenchRow> {
  const [ours, bare] = [await aGuest(host), await aGuest(host)];
  const agent = await anAgent(host, ours);
  const times = { ours: [] as number[], floor: [] as number[] };
  try {
    // The first of each is not counted: what it loads is there for the next ones.
    for (let n = 0; n <= rounds; n++) {
      asked.throwIfAborted();
      const took = { floor: await bareResize(bare, n + 1), ours: await agent.resize(n + 1) };
      if (n === 0) continue;
      times.floor.push(took.floor);
      times.ours.push(took.ours);
    }
  } finally {
    agent.close();
  }
  return growsAtMost(1.2, {
    name: "a resize of a running VM, beside its virsh calls and looks, p50",
    unit: "ms",
    floor: percentile(times.floor, 0.5),
    ours: percentile(times.ours, 0.5),
  });
}

/** A guest that is up, and idle. */
async function aGuest(host: KvmTestHost): Promise<DesiredVm> {
  const size = { vcpus: FIRST_VCPUS, memoryMib: 128, diskGib: 1 };
  const vm = aDesiredVm({ image: host.image, size, diskIops: 1000, mayCreate: false });
  await host.driver.create(vm);
  await host.driver.start(vm);
  await eventually(
    "the guest is up",
    async () => (await host.driver.list()).find(({ vmId }) => vmId === vm.vmId)?.guest,
    BOOT_MS,
    250,
  );
  return vm;
}

/** Larger by so much than it began. */
const grown = (vm: DesiredVm, by: number) => ({
  size: { ...vm.size, vcpus: vm.size.vcpus + by, diskGib: vm.size.diskGib + by },
  diskIops: 1000 + by,
});

async function anAgent(host: KvmTestHost, vm: DesiredVm) {
  const plane = createFakeControlPlane();
  const stateDir = path.join(path.dirname(host.dirs.diskDir), "agent");
  await mkdir(stateDir, { mode: 0o700 });
  const agent = createAgent({
    hostId: plane.hostId,
    driver: host.driver,
    controlPlane: plane,
    doorbell: createMemoryDoorbell,
    store: fileStore(stateDir, { durable: true }),
    clock: realClock,
    random: () => 0.5,
    log: { info: () => undefined, error: () => undefined },
  });
  plane.want([vm]);
  await agent.pass();
  return {
    async resize(by: number): Promise<number> {
      const wanted = grown(vm, by);
      plane.change(vm.vmId, wanted);
      const began = performance.now();
      await agent.pass();
      const took = performance.now() - began;
      const last = plane.last(vm.vmId);
      const isSo =
        last?.settled === true &&
        last.observed?.size.vcpus === wanted.size.vcpus &&
        last.observed.limits?.diskIops === wanted.diskIops;
      if (!isSo) throw new PlainError(`it was not resized: ${JSON.stringify(last)}`);
      return took;
    },
    close: () => agent.close(),
  };
}

/** What the agent asks of libvirt for it, by bare processes: a look, the VM alone, three changes, and a look. */
async function bareResize(vm: DesiredVm, by: number): Promise<number> {
  const { size, diskIops } = grown(vm, by);
  const began = performance.now();
  await lookAtAll();
  await virsh(`${LISTS} ; domstats --state ${vm.vmId} ; dumpxml ${vm.vmId} ; list --all --uuid`);
  await virsh("blockresize", vm.vmId, "vda", `${size.diskGib}GiB`);
  const none = ["--read-iops-sec", "0", "--write-iops-sec", "0"];
  const both = ["--live", "--config"];
  const total = ["--total-iops-sec", String(diskIops)];
  await virsh("blkdeviotune", vm.vmId, "vda", ...total, ...none, ...both);
  await virsh("setvcpus", vm.vmId, String(size.vcpus), ...both);
  await lookAtAll();
  return performance.now() - began;
}

const LISTS = "list --transient --uuid ; list --all --persistent --uuid";
async function lookAtAll(): Promise<void> {
  const said = await virsh(`${LISTS} ; domstats --state ; echo all ; list --all --uuid`);
  const uuids = said
    .slice(said.lastIndexOf("all\n") + 4)
    .split(/\s+/)
    .filter(Boolean);
  await virsh(uuids.map((uuid) => `dumpxml ${uuid}`).join(" ; "));
}

async function virsh(...command: readonly string[]): Promise<string> {
  const { stdout } = await run("virsh", ["-q", "-c", URI, ...command], {
    env: { ...process.env, LC_ALL: "C" },
    maxBuffer: 2 ** 26,
  });
  return stdout;
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        json: { type: "boolean", default: false },
        check: { type: "boolean", default: false },
        rounds: { type: "string", default: "20" },
        help: { type: "boolean", short: "h", default: false },
      },
    }).values;
  } catch (error) {
    throw new PlainError(`${error instanceof Error ? error.message : String(error)}; see --help`);
  }
}

await runMain(main);

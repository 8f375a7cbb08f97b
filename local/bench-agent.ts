import { spawn } from "node:child_process";
import { createHash, randomUUID } from "node:crypto";
import { appendFile, mkdir, readFile, symlink } from "node:fs/promises";
import { createServer } from "node:http";
import path from "node:path";
import { parseArgs } from "node:util";
import type { z } from "zod";
import type { DesiredVm } from "#core/contracts/agent/desired.ts";
import type { AgentSession } from "#core/contracts/agent/channel.ts";
import { UsageBatch } from "#core/contracts/agent/usage.ts";
import { canonicalJson } from "#core/contracts/canonical-json.ts";
import { openKvmTestHost, type KvmTestHost } from "#test/kvm/host.ts";
import { bundleAsAgent } from "#cdk/bundle/bundle.ts";
import { filesOf } from "#host-agent/drivers/kvm/files.ts";
import { URI } from "#test/kvm/libvirt-daemon.ts";
import { askedToStop } from "./asked-to-stop.ts";
import { Taken, type Given } from "./bench-agent-words.ts";
import { atMost, noGoal, toText, type BenchRow } from "./bench-row.ts";
import { freePort } from "./free-port.ts";
import { PlainError, runMain } from "./main.ts";

const USAGE = `npm run bench:agent -- [options]: what an agent takes of its host while nothing happens

  --json      the figures as data, and nothing else
  --check     exit code 1 when one misses its goal
  --vms <n>   so many paused, emulated VMs of this machine's libvirt; 200, which take 6.3 GB, unless given
  --help

An hour of the agent's life on a clock that moves while it rests: a look and a report of all VMs and a reading of their
counters each minute, usage sent and the firewall looked at every five, over HTTP to a control plane that only answers.
CPU is counted in seconds, not by the wall's clock, so that what else runs on the machine does not matter. Needs root and
libvirt, as npm run test:kvm does.
`;

/** Of the guests: the least that the test guest takes. */
const SIZE = { vcpus: 1, memoryMib: 96, diskGib: 1 };
const AT_ONCE = 4;
/** What starts the agent on a host, and knows with which of Node's options. */
const LAUNCHER = path.join(import.meta.dirname, "../packaging/linux/launcher");

async function main(args: readonly string[]): Promise<void> {
  const values = parse(args);
  if (values.help) {
    process.stdout.write(USAGE);
    return;
  }
  const count = Number(values.vms);
  if (!Number.isInteger(count) || count < 1) throw new PlainError("--vms is a number; see --help");
  const asked = askedToStop();
  const host = await openKvmTestHost();
  if (!host.available) throw new PlainError(`this machine cannot run it: ${host.reason}`);
  let rows: readonly BenchRow[] | undefined;
  try {
    rows = await measure(host, count, asked);
  } catch (error) {
    if (!asked.aborted) throw error;
  } finally {
    await host.close();
  }
  if (!rows) throw new PlainError("the benchmark was interrupted");
  process.stdout.write(values.json ? `${JSON.stringify({ rows })}\n` : toText(rows));
  const missed = rows.filter((row) => row.holds === false).map((row) => row.name);
  if (values.check && missed.length > 0) throw new PlainError(`missed: ${missed.join("; ")}`);
}

async function measure(
  host: KvmTestHost,
  count: number,
  asked: AbortSignal,
): Promise<readonly BenchRow[]> {
  const vms = Array.from({ length: count }, (_, n) => desiredVm(host, n));
  const queue = [...vms];
  const bringUp = async () => {
    for (let vm = queue.shift(); vm !== undefined; vm = queue.shift()) {
      asked.throwIfAborted();
      await host.driver.create(vm);
      await host.virsh("start", vm.vmId, "--paused");
      // As the test guest says it, so that it is known to be up.
      await appendFile(filesOf(host.dirs, vm).console, `READY ${vm.hostname} 1.00\n`);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, bringUp));
  const plane = await servePlane(vms);
  try {
    const taken = await runAgent(host, plane, asked);
    const part = (seconds: number) => (seconds / 3600) * 100;
    const of = `${count} VMs at rest`;
    const cpu = { unit: "% of a core", floor: null };
    return [
      atMost(2, {
        name: `an agent's CPU with ${of}, its children counted`,
        ...cpu,
        ours: part(taken.own + taken.children),
      }),
      // What the looks cost where they are answered.
      noGoal({ name: `libvirtd's CPU beside it`, ...cpu, ours: part(taken.libvirt) }),
      atMost(120, {
        name: `an agent's memory with ${of}`,
        unit: "MB",
        floor: null,
        ours: taken.peakMb,
      }),
      atMost(1, {
        name: `growth of its heap in an hour`,
        unit: "MB",
        floor: null,
        ours: Math.max(0, taken.heapAfterMb - taken.heapBeforeMb),
      }),
    ];
  } finally {
    await plane.close();
  }
}

const desiredVm = (host: KvmTestHost, n: number): DesiredVm => ({
  vmId: randomUUID(),
  generation: 1,
  ownerEpoch: 1,
  presence: "present",
  mayCreate: false,
  power: "running",
  stopMode: "graceful",
  entitledUntil: "2099-01-01T00:00:00.000Z",
  hostname: `vm-${n}.example.com`,
  size: SIZE,
  image: host.image,
  nics: [
    {
      mac: `52:54:00:02:00:${n.toString(16).padStart(2, "0")}`,
      // Of the block for benchmarks (RFC 2544).
      ipv4: { address: `198.18.0.${n + 2}`, prefix: 16, gateway: "198.18.0.1" },
      vlan: null,
      bandwidthMbit: null,
    },
  ],
  nameservers: ["198.18.0.1"],
  sshKeys: [],
  userData: null,
  diskIops: null,
  pendingActions: [],
});

/** A control plane that wants these VMs, and takes whatever it is told. */
async function servePlane(vms: readonly DesiredVm[]) {
  const hostId = randomUUID();
  const hash = createHash("sha256").update(canonicalJson(vms)).digest("hex");
  const etag = `"1-${hash}"`;
  const document = { hostId, generation: 1, hash, entitlementGraceSeconds: 3600, vms };
  const session: AgentSession = {
    doorbell: null,
    intervals: { resyncSeconds: 60, usageSampleSeconds: 60, usageFlushSeconds: 300 },
  };
  const answer = (path: string, body: string): unknown => {
    if (path.endsWith("/enroll")) return { hostId, identityEpoch: 1 };
    if (path.endsWith("/session")) return session;
    if (path.endsWith("/images")) return { images: [] };
    if (path.endsWith("/reports")) return { accepted: 0, ignored: 0 };
    const { samples } = UsageBatch.parse(JSON.parse(body));
    return { stored: samples.length, duplicates: 0, refused: [] };
  };
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on("data", (part: Buffer) => parts.push(part));
    request.on("end", () => {
      const asked = new URL(request.url ?? "/", "http://127.0.0.1").pathname;
      const isDesired = asked.endsWith("/desired");
      if (isDesired && request.headers["if-none-match"] === etag) {
        response.writeHead(304).end();
        return;
      }
      const body = isDesired ? document : answer(asked, Buffer.concat(parts).toString());
      response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(body));
    });
  });
  const port = await freePort();
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  return {
    hostId,
    apiUrl: `http://127.0.0.1:${port}`,
    close: () =>
      new Promise<void>((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}

/** Runs the agent in a process of its own, whose CPU is the agent's alone. */
async function runAgent(
  host: KvmTestHost,
  plane: { hostId: string; apiUrl: string },
  asked: AbortSignal,
): Promise<Taken> {
  const stateDir = path.join(path.dirname(host.dirs.diskDir), "agent");
  await mkdir(stateDir, { mode: 0o700 });
  const given: z.input<typeof Given> = {
    hostId: plane.hostId,
    apiUrl: plane.apiUrl,
    uri: URI,
    folders: host.dirs,
    stateDir,
    libvirtd: Number((await readFile("/run/libvirtd.pid", "utf8")).trim()),
  };
  const home = await installAsRelease(path.join(stateDir, "releases"));
  const child = spawn(LAUNCHER, [JSON.stringify(given)], {
    stdio: ["ignore", "pipe", "inherit"],
    // What is left of the heap is counted after a collection.
    env: { ...process.env, BERTH_AGENT_HOME: home, NODE_OPTIONS: "--expose-gc" },
  });
  const stop = () => child.kill("SIGKILL");
  asked.addEventListener("abort", stop, { once: true });
  const parts: Buffer[] = [];
  child.stdout.on("data", (part: Buffer) => parts.push(part));
  const code = await new Promise((resolve) => child.once("close", resolve));
  asked.removeEventListener("abort", stop);
  if (code !== 0) throw new PlainError(`the agent ended with ${String(code)}`);
  return Taken.parse(JSON.parse(Buffer.concat(parts).toString()));
}

/** As on a host: bundled. Node's own reading of TypeScript alone takes some 40 MB. */
async function installAsRelease(home: string): Promise<string> {
  const release = path.join(home, "bench");
  await bundleAsAgent("local/bench-agent-process.ts", path.join(release, "berth-agent.mjs"));
  await symlink(process.execPath, path.join(release, "node"));
  await symlink("bench", path.join(home, "current"));
  return home;
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        json: { type: "boolean", default: false },
        check: { type: "boolean", default: false },
        vms: { type: "string", default: "200" },
        help: { type: "boolean", short: "h", default: false },
      },
    }).values;
  } catch (error) {
    throw new PlainError(`${error instanceof Error ? error.message : String(error)}; see --help`);
  }
}

await runMain(main);

import { spawn, type ChildProcess } from "node:child_process";
import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { aDesiredVm, realClock } from "#test/drivers/builders.ts";
import { domainXml } from "./domain-xml.ts";
import { filesOf } from "./files.ts";
import { openKvmHost } from "./host.ts";
import { readCounters } from "./read-counters.ts";
import { domainName } from "./tag.ts";

/* libvirt's answers are written here, each number another one; the disk and the process are real. */

const vm = aDesiredVm({
  nics: [0, 1].map((n) => ({
    mac: `52:54:00:00:00:0${n}`,
    ipv4: { address: `192.0.2.${n + 2}`, prefix: 24, gateway: "192.0.2.1" },
    vlan: null,
    bandwidthMbit: null,
  })),
});
const NAME = domainName(vm.vmId);
const STATS: Readonly<Record<string, string | number>> = {
  "state.state": 1,
  "cpu.time": 101_000_000_001,
  "cpu.user": 102,
  "cpu.system": 103,
  "balloon.current": 2_000_003,
  "balloon.maximum": 4_000_004,
  "balloon.rss": 1_000_005,
  "net.count": 2,
  "net.0.rx.bytes": 201,
  "net.0.rx.pkts": 202,
  "net.0.tx.bytes": 203,
  "net.0.tx.pkts": 204,
  "net.1.rx.bytes": 205,
  "net.1.tx.bytes": 207,
  "block.count": 2,
  // The seed comes first, and what the guest reads of it is nobody's traffic.
  "block.0.name": "sda",
  "block.0.rd.bytes": 301,
  "block.0.wr.bytes": 302,
  "block.1.name": "vda",
  "block.1.rd.reqs": 303,
  "block.1.rd.bytes": 304,
  "block.1.wr.reqs": 305,
  "block.1.wr.bytes": 306,
  "block.1.allocation": 307,
  "block.1.capacity": 308,
  "block.1.physical": 309,
};

let dir: string;
let qemu: ChildProcess;
let stats: Record<string, string | number>;
beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), "berth-counters-"));
  stats = { ...STATS };
  qemu = aProcess();
  await writeFile(path.join(dir, `${NAME}.pid`), String(qemu.pid));
  await writeFile(filesOf(folders(), vm).disk, Buffer.alloc(3 * 1024 * 1024, 1));
});
afterEach(async () => {
  qemu.kill();
  await rm(dir, { recursive: true });
});

/** Runs until its input ends, under the VM's id. */
const aProcess = () =>
  spawn("sh", ["-c", "read line", vm.vmId], { stdio: ["pipe", "ignore", "ignore"] });
const folders = () => ({
  imageDir: dir,
  diskDir: dir,
  seedDir: dir,
  consoleDir: dir,
  trashDir: path.join(dir, "trash"),
});
const domstats = () =>
  [`Domain: '${NAME}'`, ...Object.entries(stats).map(([k, v]) => `  ${k}=${v}`), ""].join("\n");

/** `meanwhile`: what happens while libvirt counts. */
function aHost(xml = definition(), meanwhile: () => Promise<void> = async () => undefined) {
  return openKvmHost({
    ...folders(),
    uri: "test:///default",
    network: { kind: "bridge", name: "br0", vlans: {} },
    emulationAllowed: true,
    agentVersion: "0",
    clock: realClock,
    log: { info: () => undefined, error: () => undefined },
    runDir: dir,
    libvirt: {
      run: async () => {
        await meanwhile();
        return domstats();
      },
      read: async (questions) => questions.map(() => xml),
      readThen: async () => ["", `${vm.vmId}\n`, domstats(), `${vm.vmId}\n`],
    },
  });
}
/** As libvirt gives it back: with what it adds itself. */
const definition = () =>
  domainXml(vm, {
    files: filesOf(folders(), vm),
    network: { kind: "bridge", name: "br0", vlans: {} },
    accelerator: "tcg",
    installation: null,
  }).replace("</memory>", "</memory><currentMemory unit='KiB'>524288</currentMemory>");

describe("the counters of a running VM", () => {
  test("are each of its own kind, in nanoseconds and bytes", async () => {
    const [counters, ...more] = await readCounters(aHost());
    expect(more).toEqual([]);
    const { blocks } = await stat(filesOf(folders(), vm).disk);
    expect(counters).toEqual({
      vmId: vm.vmId,
      bootEpoch: expect.stringMatching(new RegExp(`-${qemu.pid}-\\d+$`)),
      cpuNs: 101_000_000_001n,
      rxBytes: [201n, 205n],
      txBytes: [203n, 207n],
      readBytes: 304n,
      writeBytes: 306n,
      memoryBytes: 2_000_003n * 1024n,
      diskBytes: BigInt(blocks * 512),
    });
    // Three MiB of no zeros take three MiB and little more, whatever the file system's blocks are.
    expect(Number(counters?.diskBytes) / (3 * 1024 * 1024)).toBeCloseTo(1, 1);
  });

  test("are none when the process is another one by now, or when nothing is told of it", async () => {
    stats = { "state.state": 1 };
    expect((await readCounters(aHost()))[0]).toMatchObject({ cpuNs: 0n, rxBytes: [0n, 0n] });
    qemu.kill();
    await new Promise((resolve) => qemu.once("exit", resolve));
    expect(await readCounters(aHost())).toEqual([]);
  });

  test("are none of a domain that does not bear our tag, nor of one whose disk has gone", async () => {
    const strange = definition().replace(/<metadata>[^]*<\/metadata>/, "");
    expect(await readCounters(aHost(strange))).toEqual([]);
    await rm(filesOf(folders(), vm).disk);
    expect(await readCounters(aHost())).toEqual([]);
  });

  test("are never told under the epoch of a process that did not count them", async () => {
    const next = aProcess();
    const restarted = () => writeFile(path.join(dir, `${NAME}.pid`), String(next.pid));
    expect(await readCounters(aHost(definition(), restarted))).toEqual([]);
    expect((await readCounters(aHost()))[0]?.bootEpoch).toContain(`-${next.pid}-`);
    next.kill();
  });
});

import { readFile } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { DesiredVm } from "#core/contracts/agent/desired.ts";
import type { VmCounters } from "#host-agent/drivers/driver.ts";
import { domainName } from "#host-agent/drivers/kvm/tag.ts";
import { eventually } from "#test/drivers/builders.ts";
import { PATIENCE_MS } from "#test/harness/patience.ts";
import { type KeyPair, makeKeyPair, orderOn, proofs, ssh } from "./guest.ts";
import { type KvmTestHost, openKvmTestHost } from "./host.ts";
import { openGround } from "./libvirt-daemon.ts";

const ground = await openGround();
const why = ground.available ? "" : ` (skipped: ${ground.reason})`;
const MIB = 1024 * 1024;
/** What the guest's own file system and the ssh that gives it its commands may add to one figure. */
const ASIDE = MIB / 4;
/** Each segment of TCP carries 66 bytes of headers with at most 1,448 of data, and is acknowledged by at most 66. */
const HEADERS = 66 / 1448;
/** In what `/proc/PID/stat` counts: USER_HZ, which the kernel's ABI fixes on x86. */
const TICK_NS = 10_000_000;

/** What is billed is known here beforehand: so many bytes were written, read, received and sent in a real guest. */
describe.skipIf(!ground.available)(`the counters of a real guest${why}`, () => {
  let host: KvmTestHost;
  let key: KeyPair;
  let vm: DesiredVm;

  beforeAll(async () => {
    const opened = await openKvmTestHost({ network: "isolated" });
    if (!opened.available) throw new Error(opened.reason);
    host = opened;
    key = await makeKeyPair("the customer's");
    vm = orderOn(host, key);
    await host.driver.create(vm);
    await host.driver.start(vm);
    const isUp = async () => (await proofs(host, vm)).length > 0;
    await eventually("the guest is up", isUp, 2 * PATIENCE_MS, 100);
    // Its first login makes a host key, which is written once.
    await ssh(vm, key, "sync");
  });
  afterAll(async () => {
    await key.remove();
    await host.close();
  });

  const read = async (): Promise<VmCounters> => {
    const found = (await host.driver.counters()).find(({ vmId }) => vmId === vm.vmId);
    if (found === undefined) throw new Error("a running VM has counters");
    return found;
  };
  /** By how much each counter of the VM grew meanwhile. */
  const grownBy = async (work: () => Promise<void>) => {
    const before = await read();
    await work();
    const after = await read();
    expect(after.bootEpoch).toBe(before.bootEpoch);
    expect([after.rxBytes.length, after.txBytes.length]).toEqual([1, 1]);
    return {
      rx: Number((after.rxBytes[0] ?? 0n) - (before.rxBytes[0] ?? 0n)),
      tx: Number((after.txBytes[0] ?? 0n) - (before.txBytes[0] ?? 0n)),
      read: Number(after.readBytes - before.readBytes),
      write: Number(after.writeBytes - before.writeBytes),
      disk: Number(after.diskBytes - before.diskBytes),
    };
  };
  /** The disk beyond the guest's one partition, past its page cache. */
  const dd = async (words: string) => {
    await ssh(vm, key, `dd bs=1M ${words} 2>&1`);
  };
  const none = (aside = ASIDE) => within(0, aside);

  test("are the bytes that it wrote to its disk", async () => {
    const grown = await grownBy(() =>
      dd("if=/dev/zero of=/dev/vda seek=512 count=24 oflag=direct"),
    );
    expect(grown.write).toSatisfy(within(24 * MIB, ASIDE));
    expect(grown.read).toSatisfy(none());
    // The layer had nothing there: it grew by these bytes, and by the tables of qcow2 that find them.
    expect(grown.disk).toSatisfy(within(24 * MIB, MIB));
    expect([grown.rx, grown.tx]).toEqual([expect.toSatisfy(none()), expect.toSatisfy(none())]);
  });

  test("are the bytes that it read from its disk", async () => {
    const grown = await grownBy(() =>
      dd("if=/dev/vda of=/dev/null skip=512 count=40 iflag=direct"),
    );
    expect(grown.read).toSatisfy(within(40 * MIB, ASIDE));
    expect(grown.write).toSatisfy(none());
    expect(grown.disk).toSatisfy(none());
  });

  test("are the bytes that its network card received", async () => {
    const bytes = 6 * MIB;
    const grown = await grownBy(() =>
      withServer(
        host,
        (socket) => socket.end(Buffer.alloc(bytes)),
        async (place) => {
          expect(await ssh(vm, key, `nc ${place} < /dev/null | wc -c`)).toBe(String(bytes));
        },
      ),
    );
    expect(grown.rx).toSatisfy(within(bytes, bytes * HEADERS + ASIDE));
    expect(grown.tx).toSatisfy(none(bytes * HEADERS + ASIDE));
  });

  test("are the bytes that its network card sent", async () => {
    const bytes = 10 * MIB;
    let came = 0;
    const take = (socket: Socket) =>
      socket.on("data", (data) => (came += data.length)).on("end", () => socket.end());
    const grown = await grownBy(() =>
      withServer(host, take, async (place) => {
        await ssh(vm, key, `head -c ${bytes} /dev/zero | nc ${place}`);
      }),
    );
    expect(came).toBe(bytes);
    expect(grown.tx).toSatisfy(within(bytes, bytes * HEADERS + ASIDE));
    expect(grown.rx).toSatisfy(none(bytes * HEADERS + ASIDE));
  });

  test("are the memory that it was given", async () => {
    expect((await read()).memoryBytes).toBe(128n * 1024n * 1024n);
  });

  test("are the CPU time that its process took, in nanoseconds", async () => {
    const taken = async () => (await cpuTicks(vm)) * TICK_NS;
    const [earlier, before] = [await taken(), await read()];
    // Burns until it has had three seconds by the host's reckoning, however busy the host is.
    await ssh(vm, key, "(while :; do :; done) > /dev/null 2>&1 & echo $! > /run/burns");
    await eventually("it burns", async () => (await taken()) - earlier > 3e9, PATIENCE_MS, 100);
    await ssh(vm, key, "kill $(cat /run/burns)");
    const [after, later] = [await read(), await taken()];

    const burnt = Number(after.cpuNs - before.cpuNs);
    expect(burnt / (later - earlier)).toBeCloseTo(1, 1);
    // Not only the difference: all that the process took since it began.
    expect(Number(after.cpuNs) / later).toBeCloseTo(1, 1);
  });
});

/** Not less than is known, and not more than what comes with it. */
const within = (known: number, aside: number) => (bytes: number) =>
  bytes >= known && bytes <= known + aside;

/** User and system time of the VM's QEMU process, all its threads: proc(5), fields 14 and 15. */
async function cpuTicks(vm: DesiredVm): Promise<number> {
  const pid = (await readFile(`/run/libvirt/qemu/${domainName(vm.vmId)}.pid`, "utf8")).trim();
  const stat = await readFile(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return Number(fields[11]) + Number(fields[12]);
}

/** Listens where only the guest's network reaches, while `work` does with its address and port what it likes. */
async function withServer(
  { gateway }: KvmTestHost,
  answer: (socket: Socket) => unknown,
  work: (place: string) => Promise<void>,
): Promise<void> {
  if (gateway === null) throw new Error("the guest needs a network");
  const server = createServer({ allowHalfOpen: true }, answer);
  await new Promise<void>((resolve) => server.listen(0, gateway.address, resolve));
  try {
    const at = server.address();
    if (at === null || typeof at === "string") throw new Error("the server has a port");
    await work(`${gateway.address} ${at.port}`);
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
}

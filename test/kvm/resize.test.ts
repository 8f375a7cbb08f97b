import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { DesiredVm } from "#core/contracts/agent/desired.ts";
import type { ObservedVm } from "#core/contracts/agent/report.ts";
import { DriverError } from "#host-agent/drivers/driver.ts";
import { createKvmDriver } from "#host-agent/drivers/kvm/driver.ts";
import { createVirsh, type Libvirt } from "#host-agent/drivers/kvm/libvirt.ts";
import { aDesiredVm, eventually } from "#test/drivers/builders.ts";
import { PATIENCE_MS } from "#test/harness/patience.ts";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { type KeyPair, makeKeyPair, orderOn, ssh } from "./guest.ts";
import { type KvmTestHost, openKvmTestHost } from "./host.ts";
import { openGround, URI } from "./libvirt-daemon.ts";

const ground = await openGround();
const why = ground.available ? "" : ` (skipped: ${ground.reason})`;
/** Under emulation, on a busy machine. */
const BOOT_MS = 2 * PATIENCE_MS;

let host: KvmTestHost;
const look = async (vm: DesiredVm): Promise<ObservedVm> => {
  const seen = (await host.driver.list()).find(({ vmId }) => vmId === vm.vmId);
  if (seen === undefined) throw new Error("the VM is not listed");
  return seen;
};
/** What libvirt itself says, by the names that virsh prints. */
const told = async (...command: string[]): Promise<Map<string, string>> =>
  new Map(
    (await host.virsh(...command)).split("\n").flatMap((line) => {
      const [name, value] = line.split(":").map((part) => part.trim());
      return name && value !== undefined ? [[name, value] as const] : [];
    }),
  );
const iopsOf = async (vm: DesiredVm, ...of: string[]) =>
  (await told("blkdeviotune", vm.vmId, "vda", ...of)).get("total_iops_sec");

/** One VM's life, in its order: each test goes on from where the one before it ended. */
describe.skipIf(!ground.available)(`6a 2: a real guest that is resized${why}`, () => {
  let key: KeyPair;
  let vm: DesiredVm;
  let boot: string | null;

  beforeAll(async () => {
    const opened = await openKvmTestHost({ network: "isolated" });
    if (!opened.available) throw new Error(opened.reason);
    host = opened;
    key = await makeKeyPair("the customer's");
    vm = { ...orderOn(host, key), diskIops: 5000 };
  });
  afterAll(async () => {
    await key.remove();
    await host.close();
  });

  const up = () =>
    eventually("the guest says that it is up", async () => (await look(vm)).guest, BOOT_MS, 250);
  const inside = (command: string) => ssh(vm, key, command);
  /** As the guest's own kernel counts: vCPUs, MiB of memory, GiB of disk. */
  const machine = async () => {
    const [cpus = "", kib = "", sectors = ""] = (
      await inside(
        "nproc; grep MemTotal: /proc/meminfo | tr -dc 0-9; echo; cat /sys/class/block/vda/size",
      )
    ).split("\n");
    return { cpus: Number(cpus), mib: Number(kib) / 1024, gib: Number(sectors) / 2 ** 21 };
  };
  let memoryBefore = 0;

  test("has what was ordered, and room for vCPUs", async () => {
    await host.driver.create(vm);
    await host.driver.start(vm);
    await up();
    const { cpus, mib, gib } = await machine();
    memoryBefore = mib;
    expect([cpus, gib]).toEqual([1, 2]);
    expect(mib).toBeLessThan(128);
    const seen = await look(vm);
    expect(seen).toMatchObject({ hotVcpus: 8, limits: { bandwidthMbit: null, diskIops: 5000 } });
    expect(await iopsOf(vm, "--live")).toBe("5000");
    boot = seen.bootEpoch;
  });

  test("sees vCPUs and disk that come while it runs, at other limits", async () => {
    vm = { ...vm, size: { ...vm.size, vcpus: 3, diskGib: 3 }, diskIops: 700 };
    await host.driver.resize(vm);
    await host.driver.resize(vm);
    const { limits, size } = { size: vm.size, limits: { bandwidthMbit: null, diskIops: 700 } };
    expect(await look(vm)).toMatchObject({ power: "running", bootEpoch: boot, size, limits });
    // The rule that has udev do so (`seed.ts`) needs an udev, which this guest has none of.
    await inside(
      "for n in 1 2; do until [ -e /sys/devices/system/cpu/cpu$n/online ]; do sleep 0.2; done; " +
        "echo 1 > /sys/devices/system/cpu/cpu$n/online; done",
    );
    const { cpus, mib, gib } = await machine();
    expect([cpus, gib]).toEqual([3, 3]);
    expect(mib).toBeCloseTo(memoryBefore, -1);
    for (const of of ["--live", "--config"]) expect(await iopsOf(vm, of)).toBe("700");
    for (const of of ["--live", "--config"])
      expect((await host.virsh("vcpucount", vm.vmId, of, "--active")).trim()).toBe("3");
  });

  test("its bandwidth is limited where the kernel can, and else the host says why not", async () => {
    const { capabilities, missing = [] } = await host.driver.facts();
    const nics = vm.nics.map((nic) => ({ ...nic, bandwidthMbit: 40 }));
    const came = await host.driver.resize({ ...vm, nics }).then(
      () => "done",
      (error: unknown) => (error instanceof DriverError ? error.code : String(error)),
    );
    const card = await told("domiftune", vm.vmId, nics[0]?.mac ?? "", "--live");
    const can = capabilities.bandwidthLimit;
    const kilobytes = can ? "5000" : "0";
    expect([came, card.get("inbound.average"), card.get("outbound.average")]).toEqual([
      can ? "done" : "unsupported",
      kilobytes,
      kilobytes,
    ]);
    const whys = missing.filter(({ capability }) => capability === "bandwidthLimit");
    expect(whys.map(({ why }) => why)).toEqual(can ? [] : ["the kernel has no sch_sfq"]);
    await host.driver.resize(vm);
    expect((await look(vm)).limits?.bandwidthMbit).toBeNull();
    expect(await look(vm)).toMatchObject({ power: "running", bootEpoch: boot });
  });

  test("gets memory, and gives vCPUs back, by one restart, and nothing before it", async () => {
    const wanted = { ...vm, size: { vcpus: 2, memoryMib: 192, diskGib: 3 }, diskIops: null };
    await expect(host.driver.resize(wanted)).rejects.toMatchObject({ code: "must_be_off" });
    expect(await look(vm)).toMatchObject({ size: vm.size, limits: { diskIops: 700 } });
    await host.driver.stop(vm, "firm");
    await host.driver.resize(wanted);
    expect(await look(vm)).toMatchObject({ power: "off", size: wanted.size });
    await host.driver.start(vm);
    vm = wanted;
    await up();
    const { cpus, mib, gib } = await machine();
    expect([cpus, gib]).toEqual([2, 3]);
    expect(mib - memoryBefore).toBeGreaterThan(48);
    expect(mib - memoryBefore).toBeLessThan(80);
    expect(await look(vm)).toMatchObject({ limits: { diskIops: null }, hotVcpus: 8 });
    expect(await iopsOf(vm, "--live")).toBe("0");
  });

  test("that was defined before there was room is the same machine until it is resized behind a stop", async () => {
    const roomless = (await host.virsh("dumpxml", vm.vmId, "--inactive"))
      .replace(/<vcpu[^>]*>8<\/vcpu>/, "<vcpu>2</vcpu>")
      .replace(/<topology[^>]*\/>/, "");
    const file = path.join(path.dirname(host.dirs.diskDir), "before.xml");
    await writeFile(file, roomless);
    await host.virsh("define", file);
    await host.driver.stop(vm, "firm");
    await host.driver.start(vm);
    expect(await look(vm)).toMatchObject({ hotVcpus: 2, size: vm.size });
    const wanted = { ...vm, size: { ...vm.size, vcpus: 3 } };
    await expect(host.driver.resize(wanted)).rejects.toMatchObject({ code: "must_be_off" });
    await host.driver.stop(vm, "firm");
    await host.driver.start(vm);
    expect((await look(vm)).hotVcpus).toBe(2);
    await host.driver.stop(vm, "firm");
    await host.driver.resize(wanted);
    expect(await look(vm)).toMatchObject({ hotVcpus: 12, size: wanted.size });
    await host.driver.start(vm);
    vm = wanted;
    await up();
    expect((await machine()).cpus).toBe(3);
  });
});

/** What changes a VM dies before, or after, its nth command; null: it lives. */
function mortal(n: number, at: "before" | "after"): Libvirt & { commands: () => number } {
  const real = createVirsh(URI);
  let commands = 0;
  return {
    ...real,
    commands: () => commands,
    async run(args, call) {
      commands += 1;
      if (commands === n && at === "before") throw new Error("the agent died");
      const answer = await real.run(args, call);
      if (commands === n) throw new Error("the agent died");
      return answer;
    },
  };
}

describe.skipIf(!ground.available)(`6a 2: a resize that is cut short${why}`, () => {
  beforeAll(async () => {
    const opened = await openKvmTestHost();
    if (!opened.available) throw new Error(opened.reason);
    host = opened;
  });
  afterAll(() => host.close());

  test.each(["running", "off"] as const)(
    "at any of its commands, of a VM that is %s, is gone on with by the same call",
    async (power) => {
      // With room for a vCPU more at each attempt.
      let vm = aDesiredVm({ image: host.image, size: { vcpus: 3, memoryMib: 128, diskGib: 1 } });
      await host.driver.create(vm);
      if (power === "running") await host.driver.start(vm);
      const boot = (await look(vm)).bootEpoch;
      for (let n = 1, lived = false; !lived; n++)
        for (const at of ["before", "after"] as const) {
          const { vcpus, diskGib, memoryMib } = vm.size;
          const size = { vcpus: vcpus + 1, memoryMib, diskGib: diskGib + 1 };
          vm = { ...vm, size, diskIops: 100 * size.diskGib };
          const libvirt = mortal(n, at);
          const driver = createKvmDriver({ ...host.options, libvirt });
          const cut = await driver.resize(vm).then(
            () => false,
            () => true,
          );
          lived = !cut;
          expect(libvirt.commands()).toBe(lived ? n - 1 : n);
          expect(await look(vm)).toMatchObject({ power, complete: true, bootEpoch: boot });
          await host.driver.resize(vm);
          const limits = { bandwidthMbit: null, diskIops: vm.diskIops };
          expect(await look(vm)).toMatchObject({ power, size, limits, bootEpoch: boot });
        }
      await host.driver.destroy(vm);
    },
  );
});

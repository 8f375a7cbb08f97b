import { readdir, truncate } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { DesiredVm } from "#core/contracts/agent/desired.ts";
import type { ObservedVm } from "#core/contracts/agent/report.ts";
import { filesOf } from "#host-agent/drivers/kvm/files.ts";
import { eventually } from "#test/drivers/builders.ts";
import { PATIENCE_MS } from "#test/harness/patience.ts";
import {
  consoleOf,
  fileDigest,
  type KeyPair,
  keyDigest,
  makeKeyPair,
  orderOn,
  proofs,
  ssh,
} from "./guest.ts";
import { type KvmTestHost, openKvmTestHost } from "./host.ts";
import { openGround } from "./libvirt-daemon.ts";

const ground = await openGround();
const why = ground.available ? "" : ` (skipped: ${ground.reason})`;
/** Under emulation, on a busy machine. */
const BOOT_MS = 2 * PATIENCE_MS;

/** One VM's whole life, in the order of a life: each test goes on from where the one before it ended. */
describe.skipIf(!ground.available)(`a real guest${why}`, () => {
  let host: KvmTestHost;
  let key: KeyPair;
  let stranger: KeyPair;
  let vm: DesiredVm;
  let imageBefore: string;
  const image = () => path.join(host.dirs.imageDir, `${host.imageName}.qcow2`);

  beforeAll(async () => {
    const opened = await openKvmTestHost({ network: "isolated" });
    if (!opened.available) throw new Error(opened.reason);
    host = opened;
    [key, stranger] = await Promise.all([makeKeyPair("the customer's"), makeKeyPair("another's")]);
    imageBefore = await fileDigest(image());
    vm = orderOn(host, key);
  });
  afterAll(async () => {
    await key.remove();
    await stranger.remove();
    await host.close();
  });

  const look = async (): Promise<ObservedVm> => {
    const seen = (await host.driver.list()).find(({ vmId }) => vmId === vm.vmId);
    if (seen === undefined) throw new Error("the VM is not listed");
    return seen;
  };
  const seenUp = (): Promise<ObservedVm> =>
    eventually(
      "the guest says that it is up",
      async () => {
        const seen = await look();
        return seen.guest === null ? null : seen;
      },
      BOOT_MS,
      250,
    );
  const isOff = (): Promise<true> =>
    eventually("the VM is off", async () => (await look()).power === "off", BOOT_MS, 250).then(
      () => true,
    );

  test("boots from its linked clone with the hostname, address and key that were ordered", async () => {
    await host.driver.create(vm);
    await host.driver.start(vm);
    const seen = await seenUp();
    expect(seen.guest?.hostname).toBe("first");
    await eventually("its proof", async () => (await proofs(host, vm)).length > 0, BOOT_MS, 100);
    expect(await proofs(host, vm)).toEqual([
      {
        hostname: "first",
        addr: `${vm.nics[0]?.ipv4.address}/24`,
        route: vm.nics[0]?.ipv4.gateway,
        keys: "1",
        key1: keyDigest(key.publicKey),
        instance: vm.vmId,
        boots: "1",
      },
    ]);
    expect(await consoleOf(host, vm)).toContain("USER-DATA $(id) \"'<&]]> first");
  });

  test("lets the ordered key in over its address, and no other", async () => {
    expect(await ssh(vm, key, "hostname; id -u")).toBe("first\n0");
    await expect(ssh(vm, stranger, "id -u")).rejects.toThrow(/Permission denied/);
  });

  test("cannot send from another address than its own", async () => {
    const gateway = vm.nics[0]?.ipv4.gateway ?? "";
    const stolen = gateway.replace(/\.1$/, ".99");
    await ssh(vm, key, `ip addr add ${stolen}/24 dev eth0`);
    const ping = (from: string) =>
      ssh(vm, key, `ping -c 2 -W 2 -I ${from} ${gateway} | grep -o '[0-9] packets received'`);
    expect(await ping(vm.nics[0]?.ipv4.address ?? "")).toBe("2 packets received");
    expect(await ping(stolen)).toBe("0 packets received");
  });

  test("sees its disk grow while it runs", async () => {
    vm = { ...vm, size: { ...vm.size, diskGib: 3 } };
    await host.driver.resize(vm);
    expect((await look()).size).toEqual({ vcpus: 1, memoryMib: 128, diskGib: 3 });
    expect(await ssh(vm, key, "cat /sys/class/block/vda/size")).toBe(String(3 * 2 ** 21));
  });

  test.each(["reboot", "reset"] as const)(
    "a %s boots it again in the same process, and the last boot's console proves nothing",
    async (action) => {
      const before = await look();
      const boots = (await proofs(host, vm)).length;
      await host.driver.once(vm, action);
      expect((await look()).guest).toBeNull();
      await eventually(
        "another boot",
        async () => (await proofs(host, vm)).length > boots,
        BOOT_MS,
        250,
      );
      const after = await seenUp();
      expect(after.bootEpoch).toBe(before.bootEpoch);
      expect((await proofs(host, vm)).at(-1)).toMatchObject({ boots: String(boots + 1) });
    },
  );

  test("powers itself off when it is asked to, and takes its new size at the next start", async () => {
    const before = await look();
    await host.driver.stop(vm, "graceful");
    await isOff();
    expect(await consoleOf(host, vm)).toContain("Power down");
    vm = { ...vm, size: { vcpus: 2, memoryMib: 192, diskGib: 4 } };
    await host.driver.resize(vm);
    await host.driver.start(vm);
    const after = await seenUp();
    expect(after.bootEpoch).not.toBe(before.bootEpoch);
    expect(after.size).toEqual(vm.size);
    const inside = await ssh(
      vm,
      key,
      "nproc; cat /sys/class/block/vda/size; awk '/MemTotal/{print $2}' /proc/meminfo",
    );
    const [cpus, sectors, memoryKib] = inside.split("\n");
    expect([cpus, sectors]).toEqual(["2", String(4 * 2 ** 21)]);
    // The kernel keeps some for itself.
    expect(Number(memoryKib)).toBeGreaterThan(128 * 1024);
    // First boot is done once: the same instance, no second run of the customer's script.
    expect(await consoleOf(host, vm)).not.toContain("USER-DATA");
  });

  test("is seen through its guest agent when its console says nothing", async () => {
    await truncate(filesOf(host.dirs, vm).console);
    const again = await host.reopen();
    const guest = async () => (await again.list()).find(({ vmId }) => vmId === vm.vmId)?.guest;
    expect(await eventually("evidence", guest, BOOT_MS, 250)).toEqual({
      source: "guest_agent",
      hostname: "first",
    });
    await again.close();
  });

  test("goes to the trash with its disk, and its image is untouched", async () => {
    await host.driver.stop(vm, "firm");
    expect((await look()).power).toBe("off");
    await host.driver.destroy(vm);
    expect((await host.driver.list()).filter(({ vmId }) => vmId === vm.vmId)).toEqual([]);
    const [folder = ""] = await readdir(host.dirs.trashDir);
    expect(await readdir(path.join(host.dirs.trashDir, folder))).toEqual(
      [
        "domain.xml",
        ...["boot.json", "iso", "log", "qcow2"].map((kind) => `${vm.vmId}.e1.${kind}`),
      ].sort((a, b) => (a < b ? -1 : 1)),
    );
    expect(await fileDigest(image())).toBe(imageBefore);
  });
});

import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { DesiredVm } from "#core/contracts/agent/desired.ts";
import { createKvmDriver } from "#host-agent/drivers/kvm/driver.ts";
import { filesOf } from "#host-agent/drivers/kvm/files.ts";
import { aDesiredVm } from "#test/drivers/builders.ts";
import { fileDigest } from "./guest.ts";
import { type KvmTestHost, openKvmTestHost } from "./host.ts";
import { openGround } from "./libvirt-daemon.ts";

const run = promisify(execFile);
const ground = await openGround();
const why = ground.available ? "" : ` (skipped: ${ground.reason})`;

describe.skipIf(!ground.available)(`what the KVM driver finds on its host${why}`, () => {
  let host: KvmTestHost;
  beforeAll(async () => {
    const opened = await openKvmTestHost();
    if (!opened.available) throw new Error(opened.reason);
    host = opened;
  });
  afterAll(async () => {
    await host.close();
  });

  const order = (over: Partial<DesiredVm> = {}) => aDesiredVm({ image: host.image, ...over });
  const look = async ({ vmId }: { vmId: string }) =>
    (await host.driver.list()).find((vm) => vm.vmId === vmId);
  const code = (value: string) => expect.objectContaining({ code: value });

  test("a second create adopts the disk, the seed and the definition as they are", async () => {
    const vm = order();
    await host.driver.create(vm);
    const { disk, seed } = filesOf(host.dirs, vm);
    const state = async () => {
      const files = await Promise.all([disk, seed].map((file) => stat(file)));
      return {
        files: files.map(({ ino, mtimeMs, size }) => ({ ino, mtimeMs, size })),
        definition: await host.virsh("dumpxml", vm.vmId),
      };
    };
    const before = await state();
    await host.driver.create({ ...vm, hostname: "changed.example.com" });
    expect(await state()).toEqual(before);
  });

  test("a disk without a definition is shown as incomplete, kept as it is, and completed", async () => {
    const vm = order();
    await host.driver.create(vm);
    await host.virsh("undefine", vm.vmId);
    const { disk } = filesOf(host.dirs, vm);
    await run("qemu-io", ["-f", "qcow2", "-c", "write -P 0x42 0 64k", disk]);
    const written = await fileDigest(disk);
    expect(await look(vm)).toMatchObject({ ownerEpoch: 1, complete: false, power: "off" });

    await host.driver.create(vm);
    expect(await look(vm)).toMatchObject({ complete: true, size: vm.size });
    expect(await fileDigest(disk)).toBe(written);
  });

  test.each(["seed", "disk"] as const)(
    "a creation that got as far as its %s is shown, and completed or destroyed",
    async (made) => {
      for (const end of ["completed", "destroyed"]) {
        const vm = order();
        await host.driver.create(vm);
        await host.virsh("undefine", vm.vmId);
        await rm(filesOf(host.dirs, vm)[made === "seed" ? "disk" : "seed"]);
        expect(await look(vm)).toMatchObject({ complete: false, power: "off" });
        await (end === "completed" ? host.driver.create(vm) : host.driver.destroy(vm));
        expect((await look(vm))?.complete).toBe(end === "completed" ? true : undefined);
      }
    },
  );

  test("a definition without its seed is whole, and gets no other: it comes last, so the seed was erased", async () => {
    const vm = order();
    await host.driver.create(vm);
    expect(await look(vm)).toMatchObject({ complete: true, seeded: true });
    await rm(filesOf(host.dirs, vm).seed);
    expect(await look(vm)).toMatchObject({ complete: true, seeded: false });
    await host.driver.create(vm);
    expect(await look(vm)).toMatchObject({ complete: true, seeded: false });
  });

  test("a definition whose disk is gone is not given an empty one", async () => {
    const vm = order();
    await host.driver.create(vm);
    const { disk } = filesOf(host.dirs, vm);
    await rename(disk, disk.replace("qcow2", "away"));
    expect(await look(vm)).toMatchObject({ complete: false, size: vm.size });
    await expect(host.driver.create(vm)).rejects.toEqual(code("driver_failed"));
    await expect(stat(disk)).rejects.toThrow(/ENOENT/);
  });

  test("a file or a definition of another owner epoch is refused and stays", async () => {
    const vm = order({ ownerEpoch: 2 });
    await host.driver.create(vm);
    await host.virsh("undefine", vm.vmId);
    const stale = { ...vm, ownerEpoch: 1 };
    await expect(host.driver.create(stale)).rejects.toEqual(code("stale_epoch"));
    await expect(host.driver.destroy(stale)).rejects.toEqual(code("stale_epoch"));
    expect(await look(vm)).toMatchObject({ ownerEpoch: 2, complete: false });
  });

  test("a copied definition under another id is nobody's", async () => {
    const vm = order();
    await host.driver.create(vm);
    const copy = randomUUID();
    const xml = (await host.virsh("dumpxml", vm.vmId))
      .replace(/<name>.*<\/name>/, `<name>copy-${copy}</name>`)
      .replace(`<uuid>${vm.vmId}</uuid>`, `<uuid>${copy}</uuid>`);
    const file = path.join(host.dirs.imageDir, "copy.xml");
    await writeFile(file, xml);
    await host.virsh("define", file);
    expect(await look({ vmId: copy })).toBeUndefined();
    await expect(host.driver.destroy({ vmId: copy, ownerEpoch: 1 })).rejects.toEqual(
      code("not_ours"),
    );
  });

  test.each([
    ["a bandwidth limit it cannot set", { bandwidthMbit: 100 }],
    ["a VLAN it has no bridge for", { vlan: 7 }],
  ])("an order with %s is refused whole", async (_, nic) => {
    const vm = order();
    const nics = vm.nics.map((one) => ({ ...one, ...nic }));
    await expect(host.driver.create({ ...vm, nics })).rejects.toEqual(code("unsupported"));
    expect(await look(vm)).toBeUndefined();
  });

  test("an image that is a layer over another file is refused", async () => {
    const image = path.join(host.dirs.imageDir, "layered.qcow2");
    await run("qemu-img", ["create", "-q", "-f", "qcow2", "-F", "raw", "-b", "/etc/shadow", image]);
    const vm = order({ image: { ...host.image, file: "layered" } });
    await expect(host.driver.create(vm)).rejects.toEqual(code("image_missing"));
  });

  test("4b A4: libvirt takes the definition of a Windows guest", async () => {
    const vm = order({ image: { ...host.image, os: "windows" } });
    await host.driver.create(vm, undefined, { administratorPassword: async () => "Vm1-Password" });
    expect(await host.virsh("dumpxml", vm.vmId)).toContain("offset='variable'");
    await host.driver.destroy(vm);
  });

  test("4b A4: an image of 3.5 GiB is refused for 3 GiB of disk, and whole on 4", async () => {
    const image = path.join(host.dirs.imageDir, "half.qcow2");
    await run("qemu-img", ["create", "-q", "-f", "qcow2", image, "3584M"]);
    const vm = order({ image: { ...host.image, file: "half" } });
    const sized = (diskGib: number) => ({ ...vm, size: { ...vm.size, diskGib } });
    await expect(host.driver.create(sized(3))).rejects.toEqual(code("unsupported"));
    expect(await look(vm)).toBeUndefined();
    await host.driver.create(sized(4));
    await host.driver.destroy(vm);
  });

  test("4b A4: an image whose file became another one makes no VM any more", async () => {
    const image = path.join(host.dirs.imageDir, "swapped.qcow2");
    const make = (size: string) => run("qemu-img", ["create", "-q", "-f", "qcow2", image, size]);
    await make("64M");
    const vm = order({ image: { ...host.image, file: "swapped" } });
    await host.driver.facts();
    await host.driver.create(vm);
    await make("65M");
    const next = order({ image: { ...host.image, file: "swapped" } });
    await expect(host.driver.create(next)).rejects.toEqual(code("image_missing"));
    expect((await host.driver.facts()).images).toContainEqual(
      expect.objectContaining({ file: "swapped", changed: true }),
    );
    await host.driver.destroy(vm);
  });

  test("a full disk is said as such, and leaves nothing", async () => {
    const driver = createKvmDriver({ ...host.options, reserveDiskMib: 2 ** 40 });
    const vm = order();
    await expect(driver.create(vm)).rejects.toEqual(code("out_of_disk"));
    await driver.close();
    expect(await look(vm)).toBeUndefined();
  });

  test("emulation is refused on a host that does not allow it", async (context) => {
    if ((await host.driver.facts()).accelerator === "hardware") context.skip("hardware is here");
    const driver = createKvmDriver({ ...host.options, emulationAllowed: false });
    await expect(driver.create(order())).rejects.toEqual(code("unsupported"));
    await driver.close();
  });

  test("a folder that cannot be read is not an empty one", async () => {
    const driver = createKvmDriver({ ...host.options, diskDir: "/nowhere/berth" });
    await expect(driver.list()).rejects.toEqual(code("hypervisor_unavailable"));
    await driver.close();
  });

  test("nothing is left in the folders but what VMs are made of", async () => {
    const names = [...(await readdir(host.dirs.diskDir)), ...(await readdir(host.dirs.seedDir))];
    expect(names.filter((name) => !/\.(qcow2|iso|away)$|^images\.json$/.test(name))).toEqual([]);
  });
});

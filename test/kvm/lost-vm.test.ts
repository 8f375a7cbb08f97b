import { execFile } from "node:child_process";
import { link, readdir, rename, stat } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { DesiredVm } from "#core/contracts/agent/desired.ts";
import { filesOf } from "#host-agent/drivers/kvm/files.ts";
import { aDesiredVm } from "#test/drivers/builders.ts";
import { fileDigest } from "./guest.ts";
import { type KvmTestHost, openKvmTestHost } from "./host.ts";
import { openGround } from "./libvirt-daemon.ts";

const run = promisify(execFile);
const ground = await openGround();
const why = ground.available ? "" : ` (skipped: ${ground.reason})`;

describe.skipIf(!ground.available)(`5.1: a VM without its definition, on KVM${why}`, () => {
  let host: KvmTestHost;
  beforeAll(async () => {
    const opened = await openKvmTestHost();
    if (!opened.available) throw new Error(opened.reason);
    host = opened;
  });
  afterAll(() => host.close());

  const order = (over: Partial<DesiredVm> = {}) => aDesiredVm({ image: host.image, ...over });
  const look = async ({ vmId }: { vmId: string }) =>
    (await host.driver.list()).find((vm) => vm.vmId === vmId);
  const code = (value: string) => expect.objectContaining({ code: value });

  test("that runs is defined again from what runs: the same process, whole when it stops", async () => {
    const vm = order();
    await host.driver.create(vm);
    await host.driver.start(vm);
    expect(await look(vm)).not.toHaveProperty("defined");
    const before = await look(vm);
    await host.virsh("undefine", vm.vmId);
    expect(await look(vm)).toMatchObject({ defined: false, complete: true, power: "running" });
    for (let n = 0; n < 2; n++) await host.driver.adopt(vm);
    expect(await look(vm)).toEqual(before);
    await host.driver.stop(vm, "firm");
    expect(await look(vm)).toMatchObject({ complete: true, power: "off", size: vm.size });
    await host.driver.start(vm);
    await host.driver.destroy(vm);
    expect(await look(vm)).toBeUndefined();
  });

  test("that is off is defined again on its disk as it lies, without a seed", async () => {
    const vm = order();
    await host.driver.create(vm);
    await host.driver.eraseSeed(vm);
    const { disk, seed } = filesOf(host.dirs, vm);
    await run("qemu-io", ["-f", "qcow2", "-c", "write -P 0x42 0 64k", disk]);
    const written = await fileDigest(disk);
    await host.virsh("undefine", vm.vmId);
    expect(await look(vm)).toMatchObject({ complete: false, power: "off" });
    for (let n = 0; n < 2; n++) await host.driver.adopt(vm);
    expect(await look(vm)).toMatchObject({ complete: true, size: vm.size, seeded: false });
    expect(await fileDigest(disk)).toBe(written);
    await expect(stat(seed)).rejects.toThrow(/ENOENT/);
    await host.driver.start(vm);
    expect(await look(vm)).toMatchObject({ power: "running" });
    await host.driver.destroy(vm);
  });

  test("that lies in the trash comes back from there with all that the guest wrote, however often it was cut short", async () => {
    const vm = order();
    await host.driver.create(vm);
    const { disk } = filesOf(host.dirs, vm);
    await run("qemu-io", ["-f", "qcow2", "-c", "write -P 0x37 0 64k", disk]);
    const written = await fileDigest(disk);
    await host.driver.destroy(vm);
    expect(await look(vm)).toBeUndefined();
    const larger = { ...vm, size: { ...vm.size, diskGib: vm.size.diskGib + 1 } };
    await expect(host.driver.restore(larger)).rejects.toEqual(code("unsupported"));
    await expect(host.driver.restore({ ...vm, ownerEpoch: 2 })).rejects.toEqual(code("vm_missing"));
    // As an agent leaves it that was killed before it had defined the VM.
    const [folder = ""] = (await readdir(host.dirs.trashDir)).filter((n) => n.includes(vm.vmId));
    await link(path.join(host.dirs.trashDir, folder, path.basename(disk)), disk);
    await host.driver.restore(vm);
    expect(await look(vm)).toMatchObject({ complete: true, power: "off", size: vm.size });
    expect(await fileDigest(disk)).toBe(written);
    await expect(host.driver.restore(vm)).rejects.toEqual(code("vm_missing"));
    await host.driver.start(vm);
    expect(await look(vm)).toMatchObject({ power: "running" });
    await host.driver.destroy(vm);
    // Another disk in its place is never taken for it, nor written over.
    await run("qemu-img", ["create", "-q", "-f", "qcow2", disk, `${vm.size.diskGib}G`]);
    const other = await fileDigest(disk);
    await expect(host.driver.restore(vm)).rejects.toEqual(code("unsupported"));
    expect(await fileDigest(disk)).toBe(other);
    await rename(disk, `${disk}.away`);
  });

  test("is not defined on a disk that is gone, of another size, image or owner epoch", async () => {
    const vm = order();
    await host.driver.create(vm);
    await host.virsh("undefine", vm.vmId);
    const { disk } = filesOf(host.dirs, vm);
    const larger = { ...vm, size: { ...vm.size, diskGib: vm.size.diskGib + 1 } };
    await expect(host.driver.adopt(larger)).rejects.toEqual(code("unsupported"));
    await expect(host.driver.adopt({ ...vm, ownerEpoch: 2 })).rejects.toEqual(code("stale_epoch"));
    await rename(disk, `${disk}.away`);
    await expect(host.driver.adopt(vm)).rejects.toEqual(code("vm_missing"));
    // An empty disk under the same name is not the one that it had.
    await run("qemu-img", ["create", "-q", "-f", "qcow2", disk, `${vm.size.diskGib}G`]);
    await expect(host.driver.adopt(vm)).rejects.toEqual(code("unsupported"));
    expect(await look(vm)).toMatchObject({ complete: false });
    await host.driver.destroy(vm);
  });
});

import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import type { DesiredVm } from "#core/contracts/agent/desired.ts";
import { domainXml } from "#host-agent/drivers/kvm/domain-xml.ts";
import { filesOf, imageFile } from "#host-agent/drivers/kvm/files.ts";
import { seedFiles } from "#host-agent/drivers/seed.ts";
import type { KvmTestHost } from "./host.ts";

const run = promisify(execFile);

/**
 * Milliseconds of the bare commands that make and start a VM, one after the other: `qemu-img create`, genisoimage,
 * `virsh define`, `virsh start`. The same guest, files and definition as the driver's, with nothing around them:
 * no look at what is there, no tag, no sync to disk. What the driver takes for create and start is measured
 * against this, in turns. Removing the VM again is not timed.
 */
export async function timeRawFloor(host: KvmTestHost, like: DesiredVm): Promise<number> {
  const vm = { ...like, vmId: randomUUID() };
  const files = filesOf(host.dirs, vm);
  const tree = path.join(host.dirs.imageDir, `raw-${vm.vmId}`);
  const definition = `${tree}.xml`;
  const { accelerator } = await host.driver.facts();
  await mkdir(tree);
  for (const [name, text] of Object.entries(seedFiles(vm)))
    await writeFile(path.join(tree, name), text);
  await writeFile(
    definition,
    domainXml(vm, { files, network: host.options.network, accelerator, installation: null }),
  );

  const image = imageFile(host.dirs, vm.image.file);
  const began = performance.now();
  const clone = ["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", image, files.disk];
  await run("qemu-img", [...clone, `${vm.size.diskGib}G`]);
  const volume = ["-quiet", "-volid", "cidata", "-joliet", "-rock", "-output", files.seed];
  await run("genisoimage", [...volume, tree]);
  await host.virsh("define", definition);
  await host.virsh("start", vm.vmId);
  const took = performance.now() - began;

  await host.driver.destroy(vm);
  return took;
}

/** Milliseconds of the driver's create and start of the same guest. */
export async function timeDriver(host: KvmTestHost, like: DesiredVm): Promise<number> {
  const vm = { ...like, vmId: randomUUID() };
  const began = performance.now();
  await host.driver.create(vm);
  await host.driver.start(vm);
  const took = performance.now() - began;
  await host.driver.destroy(vm);
  return took;
}

export type FloorRatio = { rawP50Ms: number; driverP50Ms: number; ratio: number; rounds: number };

/** Both in turns, so that whatever else the machine does falls on both alike. */
export async function compareWithFloor(
  host: KvmTestHost,
  vm: DesiredVm,
  rounds: number,
): Promise<FloorRatio> {
  const raw: number[] = [];
  const driver: number[] = [];
  for (let n = 0; n < rounds; n++) {
    raw.push(await timeRawFloor(host, vm));
    driver.push(await timeDriver(host, vm));
  }
  const [rawP50Ms, driverP50Ms] = [median(raw), median(driver)];
  return { rawP50Ms, driverP50Ms, ratio: driverP50Ms / rawP50Ms, rounds };
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

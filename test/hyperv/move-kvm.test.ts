import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { AddImage } from "#core/contracts/api/catalogue.ts";
import { addImage } from "#commands/catalogue/add-catalogue.ts";
import { eventually } from "#test/drivers/builders.ts";
import { diceFor, LONG, SEED } from "#test/harness/extent.ts";
import { openStack, type TestStack } from "#test/harness/stack.ts";
import { openKvmTestHost, type KvmTestHost } from "#test/kvm/host.ts";
import { openGround } from "#test/kvm/libvirt-daemon.ts";
import { aHypervHost, aKvmHost, asVhdx, consoleOf, type MovingHost } from "./moving-hosts.ts";
import { aVmThatBooted, drawBlow, moveVm, power, statusOf } from "./move-stories.ts";
import { noPwsh, noQemuImg } from "./world.ts";

/*
 * Cold moves between a host with real libvirt and a stand-in Hyper-V host, each with a real agent, on the whole product: the KVM end
 * converts the disk. What its guest does at its first boot on Hyper-V is not proved here, nor can be: the stand-in boots nothing. That the
 * disk it comes back with is the one it left with, and boots, is.
 */

const ground = await openGround();
const skip = noPwsh ?? noQemuImg ?? (ground.available ? null : ground.reason);
const skipped = skip ? ` (skipped: ${skip})` : "";
const STORIES = LONG ? 6 : 1;
const dice = diceFor("kills of moves between KVM and Hyper-V");
/** Behind all that the tiny guest has. */
const FAR = 900 * 2 ** 20;

/** The tiny guest, whose loader is a BIOS's: what says no firmware would not boot by Hyper-V's own. */
const BOTH: AddImage = {
  name: "Tiny BIOS",
  file: "tiny",
  os: "linux",
  firmware: "bios",
  secureBoot: null,
  diskBus: null,
  hypervisors: ["kvm", "hyperv"],
  minMemoryMib: 96,
  minDiskGib: 1,
  sha256: {},
  speaks: true,
};

describe.skipIf(skip !== null)(`6b: VMs between KVM and Hyper-V${skipped}`, () => {
  let stack: TestStack;
  let folder: string;
  let libvirt: KvmTestHost;
  let kvm: MovingHost;
  let hyperv: MovingHost;
  let hosts: readonly MovingHost[];
  let vm: Awaited<ReturnType<typeof aVmThatBooted>>;
  beforeAll(async () => {
    if (!ground.available) throw new Error(ground.reason);
    stack = await openStack({ hosts: [], resyncSeconds: 5 });
    folder = await mkdtemp(path.join(tmpdir(), "berth-guest-"));
    const image = path.join(folder, "tiny.vhdx");
    asVhdx(ground.image, image);
    const opened = await openKvmTestHost();
    if (!opened.available) throw new Error(opened.reason);
    libvirt = opened;
    kvm = await aKvmHost(stack, "kvm-1", libvirt);
    hyperv = await aHypervHost(stack, "hyperv-1", image);
    hosts = [kvm, hyperv];
    // The first alone: the VM is made there.
    await kvm.agent.start();
    const added = await addImage(stack.deps, { kind: "system", id: "test" }, BOTH);
    if (!added.ok) throw new Error(added.error.detail);
    vm = await aVmThatBooted(stack, [kvm], BOTH.name);
    await hyperv.agent.start();
  });
  afterAll(async () => {
    for (const host of hosts ?? []) await host.close();
    await stack?.close();
    if (ground.available) await ground.close();
    if (folder !== undefined) await rm(folder, { recursive: true, force: true });
  });
  const bootsOnKvm = () =>
    eventually("the guest boots", async () => /READY /.test(await consoleOf(libvirt, vm.uuid)));

  test("a guest that ran on KVM is on Hyper-V with every byte that it had when it was shut down", async () => {
    const { addresses } = await statusOf(stack, vm.id);
    await bootsOnKvm();
    expect(await moveVm(stack, vm, hosts)).toEqual({ outcome: "moved", missed: 0, runs: true });
    expect(await hyperv.contentOf(vm.uuid)).toBe(await kvm.trashedContent(vm.uuid));
    expect(await statusOf(stack, vm.id)).toEqual({ status: "running", addresses });
  });

  test("it comes back to KVM byte for byte, with what was written meanwhile, and boots there", async () => {
    await power(stack, vm.id, "stop");
    await hyperv.write(vm.uuid, FAR, "of Hyper-V");
    const content = await hyperv.contentOf(vm.uuid);
    expect(await moveVm(stack, vm, hosts)).toEqual({ outcome: "moved", missed: 0, runs: false });
    expect(await kvm.contentOf(vm.uuid)).toBe(content);
    await power(stack, vm.id, "start");
    await bootsOnKvm();
  });

  test(`whatever is killed, one copy is there, with every byte (${STORIES} stories of seed ${SEED})`, async () => {
    const ends = { moved: 0, turned_back: 0, struck: 0, missed: 0 };
    for (let story = 1; story <= STORIES; story++) {
      await power(stack, vm.id, "stop");
      const before = await owner();
      await before.write(vm.uuid, FAR + 2 ** 20 * story, `story ${story}`);
      const content = await before.contentOf(vm.uuid);
      const blows = Array.from({ length: dice.int(1, 2) }, () => drawBlow(dice));
      const { outcome, missed } = await moveVm(stack, vm, hosts, blows);
      ends[outcome] += 1;
      ends.struck += blows.length - missed;
      ends.missed += missed;
      const now = await owner();
      expect(now === before).toBe(outcome === "turned_back");
      expect(await now.contentOf(vm.uuid)).toBe(content);
      await power(stack, vm.id, "start");
      if (now === kvm) await bootsOnKvm();
    }
    console.info(`moves between KVM and Hyper-V with kills: ${JSON.stringify(ends)}`);
  });

  /** Off as it is, whoever lists it. */
  async function owner(): Promise<MovingHost> {
    for (const host of hosts)
      if ((await host.driver.list()).some(({ vmId }) => vmId === vm.uuid)) return host;
    throw new Error("it is nowhere");
  }
});

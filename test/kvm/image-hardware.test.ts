import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { DesiredVm } from "#core/contracts/agent/desired.ts";
import { createKvmDriver } from "#host-agent/drivers/kvm/driver.ts";
import { aDesiredVm, SECRETS } from "#test/drivers/builders.ts";
import { type KvmTestHost, openKvmTestHost } from "./host.ts";
import { openGround } from "./libvirt-daemon.ts";

const ground = await openGround();
const why = ground.available ? "" : ` (skipped: ${ground.reason})`;

describe.skipIf(!ground.available)(`4b A4: what an image asks of a KVM host${why}`, () => {
  let host: KvmTestHost;
  beforeAll(async () => {
    const opened = await openKvmTestHost();
    if (!opened.available) throw new Error(opened.reason);
    host = opened;
  });
  afterAll(async () => {
    await host.close();
  });
  const asking = (image: Partial<DesiredVm["image"]>) =>
    aDesiredVm({ image: { ...host.image, ...image } });

  const ASKED: readonly [Partial<DesiredVm["image"]>, RegExp, RegExp][] = [
    [{ firmware: "uefi" }, /OVMF_CODE[^<]*\.fd/, /secure='no'|<loader readonly='yes' type/],
    [{ firmware: "uefi", secureBoot: "microsoft" }, /OVMF_CODE[^<]*ms\.fd/, /secure='yes'/],
    [{ firmware: "uefi", secureBoot: "uefi-ca", diskBus: "scsi" }, /ms\.fd/, /bus='scsi'/],
    [{ firmware: "bios", diskBus: "sata" }, /machine='pc-i440fx/, /dev='sda' bus='sata'/],
    [{ firmware: "uefi", os: "windows", diskBus: "sata" }, /dev='sdb' bus='sata'/, /e1000e/],
  ];
  test.each(ASKED)(
    "%j is made, runs, is counted, loses its seed, grows and goes",
    async (image, ...has) => {
      const { capabilities } = await host.driver.facts();
      if (!capabilities.uefi || !capabilities.secureBoot)
        throw new Error("this host has no UEFI: apt-get install ovmf");
      const vm = asking(image);
      await host.driver.create(vm, undefined, SECRETS);
      await host.driver.start(vm);
      const xml = await host.virsh("dumpxml", vm.vmId);
      for (const pattern of has) expect(xml).toMatch(pattern);
      const [counted] = (await host.driver.counters()).filter(({ vmId }) => vmId === vm.vmId);
      expect(counted?.diskBytes).toBeGreaterThan(0n);
      await host.driver.eraseSeed(vm);
      await host.driver.resize({ ...vm, size: { ...vm.size, diskGib: vm.size.diskGib + 1 } });
      await host.driver.stop(vm, "firm");
      await host.driver.resize({ ...vm, size: { vcpus: 2, memoryMib: 256, diskGib: 3 } });
      await host.driver.start(vm);
      await host.driver.destroy(vm);
      expect((await host.driver.list()).map(({ vmId }) => vmId)).not.toContain(vm.vmId);
    },
  );

  test("a host says what the processors of its guests can", async () => {
    const { cpu, vlans } = await host.driver.facts();
    expect(cpu?.features).toEqual(expect.arrayContaining(["fpu", "lm", "sse2"]));
    expect(vlans).toEqual([]);
  });

  test("a host without UEFI says so, and refuses such an image before anything is made", async () => {
    const driver = createKvmDriver({ ...host.options, firmwareDirs: ["/nowhere"] });
    expect((await driver.facts()).capabilities).toMatchObject({
      bios: true,
      diskBus: true,
      uefi: false,
      secureBoot: false,
      secureBootUefiCa: false,
    });
    const why = expect.stringContaining("ovmf");
    const missing = ["uefi", "secureBoot", "secureBootUefiCa"].map((capability) => ({
      capability,
      why,
    }));
    expect((await driver.facts()).missing).toEqual(expect.arrayContaining(missing));
    const vm = asking({ firmware: "uefi" });
    await expect(driver.create(vm)).rejects.toMatchObject({ code: "unsupported" });
    expect((await driver.list()).map(({ vmId }) => vmId)).not.toContain(vm.vmId);
    await driver.close();
  });
});

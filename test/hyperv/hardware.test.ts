import { existsSync } from "node:fs";
import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { costlyTest as it } from "#test/harness/costly-test.ts";
import { sampled } from "#test/harness/extent.ts";
import { PATIENCE_MS } from "#test/harness/patience.ts";
import { aDesiredVm, eventually, SECRETS } from "../drivers/builders.ts";
import {
  aWorld,
  noPwsh,
  pwsh,
  standinModule,
  type StandinHost,
  type StandinVm,
  type World,
} from "./world.ts";

const TURNED_ON = 0;
const TURNED_OFF = 1;
const [ALLOW, DENY] = [1, 2];

describe.skipIf(noPwsh !== null)(
  `what a VM is made of${noPwsh ? ` (skipped: ${noPwsh})` : ""}`,
  () => {
    let world: World;
    const open = async (host: Partial<StandinHost> = {}) => {
      world = await aWorld(host);
      return world.open();
    };
    const only = async (): Promise<StandinVm> => {
      const [vm, ...others] = await world.vms();
      if (!vm || others.length > 0) throw new Error("there is one VM");
      return vm;
    };
    afterEach(() => world.close());

    it("each NIC has its pinned MAC, its own address alone, its VLAN and its limit in bits", async () => {
      const driver = await open();
      const nics = [
        { mac: "52:54:00:00:00:0a", address: "192.0.2.10", vlan: 42, bandwidthMbit: 250 },
        { mac: "52:54:00:00:00:0b", address: "198.51.100.11", vlan: null, bandwidthMbit: null },
      ].map(({ address, ...nic }) => ({
        ...nic,
        ipv4: { address, prefix: 24, gateway: "192.0.2.1" },
      }));
      await driver.create(aDesiredVm({ image: world.image, nics }));
      const adapter = (name: string, mac: string, address: string) => ({
        Name: name,
        SwitchName: "Public",
        MacAddress: mac,
        MacAddressSpoofing: TURNED_OFF,
        DhcpGuard: TURNED_ON,
        RouterGuard: TURNED_ON,
        AclList: [
          expect.objectContaining({ Action: DENY, LocalAddress: "ANY" }),
          expect.objectContaining({ Action: ALLOW, LocalAddress: `${address}/32` }),
        ],
      });
      expect((await only()).NetworkAdapters).toEqual([
        expect.objectContaining({
          ...adapter("nic0", "52540000000A", "192.0.2.10"),
          StandinVlanId: 42,
          BandwidthSetting: expect.objectContaining({ MaximumBandwidth: 250_000_000 }),
        }),
        expect.objectContaining({
          ...adapter("nic1", "52540000000B", "198.51.100.11"),
          StandinVlanId: 0,
          BandwidthSetting: expect.objectContaining({ MaximumBandwidth: 0 }),
        }),
      ]);
    });

    test.each(
      sampled(
        "secure boot",
        [
          { Windows: "2012r2", os: "linux", secureBoot: TURNED_OFF, template: null },
          { Windows: "2012r2", os: "windows", secureBoot: TURNED_ON, template: null },
          {
            Windows: "2016",
            os: "linux",
            secureBoot: TURNED_ON,
            template: "MicrosoftUEFICertificateAuthority",
          },
          { Windows: "2025", os: "windows", secureBoot: TURNED_ON, template: "MicrosoftWindows" },
          { Windows: "2025", os: "freebsd", secureBoot: TURNED_OFF, template: null },
        ] as const,
        2,
      ),
    )("secure boot of $os on $Windows", async ({ Windows, os, secureBoot, template }) => {
      world = await aWorld({ Windows });
      const guest = aDesiredVm({ image: { ...world.image, os } });
      await world.open().create(guest, undefined, SECRETS);
      const vm = await only();
      expect(vm).toMatchObject({ Generation: 2, StandinSecureBoot: secureBoot });
      expect(vm.StandinSecureBootTemplate).toBe(template);
    });

    test.each([
      { asked: { firmware: "bios" }, Generation: 1, bus: 0, secureBoot: TURNED_ON, template: null },
      {
        asked: { firmware: "uefi", secureBoot: "off" },
        Generation: 2,
        bus: 1,
        secureBoot: TURNED_OFF,
        template: null,
      },
      {
        asked: { firmware: "uefi", secureBoot: "microsoft" },
        Generation: 2,
        bus: 1,
        secureBoot: TURNED_ON,
        template: "MicrosoftWindows",
      },
      {
        asked: { diskBus: "sata" },
        Generation: 2,
        bus: 1,
        secureBoot: TURNED_ON,
        template: "MicrosoftUEFICertificateAuthority",
      },
    ] as const)(
      "4b A4: an image that asks for $asked",
      async ({ asked, Generation, bus, secureBoot, template }) => {
        const driver = await open();
        const vm = aDesiredVm({ image: { ...world.image, ...asked } });
        await driver.create(vm);
        const made = await only();
        expect(made).toMatchObject({
          Generation,
          HardDrives: [{ ControllerType: bus }],
          ...(Generation === 2 && { StandinSecureBoot: secureBoot }),
        });
        expect(made.StandinSecureBootTemplate).toBe(template);
        await driver.start(vm);
        await driver.destroy(vm);
      },
    );

    it("4b A4: a disk of generation 1, which is on IDE, grows only while the VM is off", async () => {
      const driver = await open();
      const vm = aDesiredVm({ image: { ...world.image, firmware: "bios" } });
      await driver.create(vm);
      await driver.start(vm);
      const grown = { ...vm, size: { ...vm.size, diskGib: vm.size.diskGib + 1 } };
      await expect(driver.resize(grown)).rejects.toMatchObject({ code: "must_be_off" });
      await driver.stop(vm, "firm");
      await driver.resize(grown);
      expect(await driver.list()).toMatchObject([{ size: grown.size }]);
    });

    it("4b A4: Windows Server 2012 R2 says that it has no signatures but Windows' own, and refuses others", async () => {
      const driver = await open({ Windows: "2012r2" });
      expect((await driver.facts()).capabilities).toMatchObject({
        bios: true,
        uefi: true,
        secureBoot: true,
        secureBootUefiCa: false,
      });
      expect((await driver.facts()).missing).toContainEqual({
        capability: "secureBootUefiCa",
        why: "its Windows is older than Windows Server 2016",
      });
      const image = { ...world.image, firmware: "uefi", secureBoot: "uefi-ca" } as const;
      const order = driver.create(aDesiredVm({ image }));
      await expect(order).rejects.toMatchObject({ code: "unsupported" });
      expect(await world.vms()).toEqual([]);
    });

    it("the limit of IOPS is set, changed while it runs, and taken away", async () => {
      const driver = await open();
      const vm = aDesiredVm({ image: world.image, diskIops: 500 });
      await driver.create(vm);
      expect((await only()).HardDrives[0]?.MaximumIOPS).toBe(500);
      await driver.start(vm);
      await driver.resize({ ...vm, diskIops: 900 });
      expect((await only()).HardDrives[0]?.MaximumIOPS).toBe(900);
      await driver.resize({ ...vm, diskIops: null });
      expect((await only()).HardDrives[0]?.MaximumIOPS).toBe(0);
    });

    it("6a 2: limits are changed while it runs, as PowerShell is told, and seen as Hyper-V has them", async () => {
      const driver = await open();
      const vm = aDesiredVm({ image: world.image });
      await driver.create(vm);
      await driver.start(vm);
      const nics = vm.nics.map((nic) => ({ ...nic, bandwidthMbit: 40 }));
      await world.record();
      await driver.resize({ ...vm, nics, diskIops: 700 });
      const told = new Set((await world.recorded()).map(({ cmdlet }) => cmdlet));
      expect([...told]).toEqual(
        expect.arrayContaining(["Set-VMNetworkAdapter", "Set-VMHardDiskDrive"]),
      );
      expect([...told].filter((cmdlet) => /^(Stop|Start|Restart)-VM$/.test(cmdlet))).toEqual([]);
      const made = await only();
      expect(made.NetworkAdapters[0]?.BandwidthSetting?.MaximumBandwidth).toBe(40_000_000);
      expect(made.HardDrives[0]?.MaximumIOPS).toBe(700);
      const limits = { bandwidthMbit: 40, diskIops: 700 };
      expect(await driver.list()).toMatchObject([{ power: "running", limits }]);
      // An adapter that nobody ever limited has no setting of bandwidth at all.
      const free = {
        ...made,
        NetworkAdapters: [{ ...made.NetworkAdapters[0], BandwidthSetting: null }],
      };
      await writeFile(
        path.join(world.env["BERTH_HYPERV_STATE"] ?? "", "vms", `${made.Id}.json`),
        JSON.stringify(free),
      );
      expect(await world.open().list()).toMatchObject([
        { limits: { bandwidthMbit: null, diskIops: 700 } },
      ]);
    });

    it("6a 2: what grows while it runs is its memory, where that is static", async () => {
      const driver = await open();
      expect((await driver.facts()).capabilities).toMatchObject({
        hotResize: true,
        hotVcpus: false,
        hotMemory: true,
      });
      const dynamic = world.open({ dynamicMemoryMinimumPercent: 50 });
      const facts = await dynamic.facts();
      expect(facts.capabilities).toMatchObject({ hotResize: false, hotMemory: false });
      expect(facts.missing).toContainEqual({
        capability: "hotMemory",
        why: "its VMs have dynamic memory, whose bounds change with a restart",
      });
    });

    it("with dynamic memory a VM may shrink to the share that the host says, and is seen as ordered", async () => {
      world = await aWorld();
      const driver = world.open({ dynamicMemoryMinimumPercent: 50 });
      const vm = aDesiredVm({
        image: world.image,
        size: { vcpus: 1, memoryMib: 1026, diskGib: 1 },
      });
      await driver.create(vm);
      const mib = 2 ** 20;
      expect(await only()).toMatchObject({
        DynamicMemoryEnabled: true,
        MemoryStartup: 1026 * mib,
        MemoryMaximum: 1026 * mib,
        MemoryMinimum: 512 * mib,
      });
      expect((await driver.list())[0]?.size).toEqual(vm.size);
    });

    test.each(
      sampled(
        "static memory",
        [
          { Windows: "2012r2", came: "must_be_off", memoryMib: 128 },
          { Windows: "2016", came: "done", memoryMib: 256 },
        ] as const,
        1,
      ),
    )("static memory of a running VM on $Windows: $came", async ({ Windows, came, memoryMib }) => {
      const driver = await open({ Windows });
      const vm = aDesiredVm({ image: world.image });
      await driver.create(vm);
      await driver.start(vm);
      const size = { ...vm.size, memoryMib: 256 };
      const outcome = driver.resize({ ...vm, size }).then(
        () => "done",
        (error: unknown) => (error instanceof Error && "code" in error ? error.code : error),
      );
      expect(await outcome).toBe(came);
      expect((await driver.list())[0]?.size.memoryMib).toBe(memoryMib);
    });

    test.each(
      sampled(
        "memory that is not given",
        [
          { id: "InvalidState", code: "must_be_off" },
          { id: "OutOfMemory", code: "out_of_memory" },
        ],
        1,
      ),
    )("memory that a running guest is not given for $id: $code", async ({ id, code }) => {
      const driver = await open();
      const vm = aDesiredVm({ image: world.image });
      await driver.create(vm);
      await driver.start(vm);
      await world.configure({ FailWith: { "Set-VMMemory": id } });
      const size = { vcpus: 1, memoryMib: 256, diskGib: 2 };
      await expect(driver.resize({ ...vm, size })).rejects.toMatchObject({ code });
      expect((await driver.list())[0]).toMatchObject({ power: "running", size: vm.size });
    });

    it("what no stop helps against is refused before it, whatever else is to change", async () => {
      const driver = await open();
      const vm = aDesiredVm({ image: world.image });
      await driver.create(vm);
      await driver.checkpoint(vm, crypto.randomUUID());
      await driver.start(vm);
      const size = { vcpus: 2, memoryMib: 256, diskGib: 2 };
      await expect(driver.resize({ ...vm, size })).rejects.toMatchObject({ code: "unsupported" });
      expect((await driver.list())[0]).toMatchObject({ power: "running", size: vm.size });
    });

    it("more vCPUs than the host has threads are refused, and nothing has changed", async () => {
      const driver = await open({ LogicalProcessors: 4 });
      const vm = aDesiredVm({ image: world.image });
      const size = { ...vm.size, vcpus: 5 };
      await expect(driver.create({ ...vm, size })).rejects.toMatchObject({ code: "beyond_limits" });
      await driver.create(vm);
      await expect(driver.resize({ ...vm, size })).rejects.toMatchObject({ code: "beyond_limits" });
      expect((await driver.list())[0]?.size).toEqual(vm.size);
    });

    it("the script itself, asked past the driver, changes nothing that it cannot finish", async () => {
      const driver = await open({ LogicalProcessors: 4 });
      const vm = aDesiredVm({ image: world.image });
      await driver.create(vm);
      const [nic] = vm.nics;
      const ask = (size: object) =>
        world.worker().call(
          "resize",
          {
            vmId: vm.vmId,
            epoch: 1,
            iops: null,
            ...vm.size,
            ...size,
            nics: [
              {
                mac: nic?.mac.replaceAll(":", ""),
                address: nic?.ipv4.address,
                vlan: null,
                bandwidthBits: null,
              },
            ],
          },
          { timeoutMs: PATIENCE_MS },
        );
      await expect(ask({ vcpus: 5 })).rejects.toMatchObject({
        code: "driver_failed",
        message: expect.stringContaining("[InvalidParameter,"),
      });
      await expect(ask({ vcpus: 2, memoryMib: 131 })).rejects.toMatchObject({
        code: "unsupported",
      });
      expect((await driver.list())[0]?.size).toEqual(vm.size);
      expect((await only()).ProcessorCount).toBe(1);
    });

    it("memory that is not in whole steps of 2 MiB, or below 32, is refused before anything is made", async () => {
      const driver = await open();
      const vm = aDesiredVm({ image: world.image });
      const sizes = [131, 30].map((memoryMib) => ({ ...vm.size, vcpus: 2, memoryMib }));
      for (const size of sizes)
        await expect(driver.create({ ...vm, size })).rejects.toMatchObject({
          code: "beyond_limits",
        });
      expect(await world.vms()).toEqual([]);
      await driver.create(vm);
      for (const size of sizes)
        await expect(driver.resize({ ...vm, size })).rejects.toMatchObject({
          code: "beyond_limits",
        });
      expect(await only()).toMatchObject({ ProcessorCount: 1, MemoryStartup: 128 * 2 ** 20 });
    });

    it("a host starts what it has memory for, all running VMs together", async () => {
      const driver = await open({ MemoryBytes: 200 * 2 ** 20 });
      const [first, second] = [
        aDesiredVm({ image: world.image }),
        aDesiredVm({ image: world.image }),
      ];
      await driver.create(first);
      await driver.create(second);
      await driver.start(first);
      await expect(driver.start(second)).rejects.toMatchObject({
        code: "out_of_memory",
        message: expect.stringContaining("OutOfMemory"),
      });
      await driver.stop(first, "firm");
      await driver.start(second);
    });

    it("nothing starts by itself when the host does, and Notes of a person stay", async () => {
      const driver = await open();
      const vm = aDesiredVm({ image: world.image });
      await driver.create(vm);
      const made = await only();
      expect(made.AutomaticStartAction).toBe(2);
      const file = path.join(world.env["BERTH_HYPERV_STATE"] ?? "", "vms", `${made.Id}.json`);
      await writeFile(
        file,
        JSON.stringify({ ...made, Notes: `ticket 4711\r\n${made.Notes}\r\nask Ann` }),
      );
      await driver.resize({ ...vm, size: { ...vm.size, diskGib: 3 } });
      expect((await only()).Notes).toMatch(
        /^ticket 4711\r\nberth:1 vm=.* disk_gib=3 state=ready\r?\nask Ann$/,
      );
    });

    it("a disk that is gone makes the VM incomplete, and is not made anew", async () => {
      const driver = await open();
      const vm = aDesiredVm({ image: world.image });
      await driver.create(vm);
      await rm(path.join(world.root, "vms", vm.vmId, "disk.vhdx"));
      expect((await driver.list())[0]).toMatchObject({ complete: false });
      await expect(driver.create(vm)).rejects.toMatchObject({ code: "driver_failed" });
      expect(existsSync(path.join(world.root, "vms", vm.vmId, "disk.vhdx"))).toBe(false);
    });

    it("an image larger than the ordered disk is refused", async () => {
      const driver = await open();
      await writeFile(
        path.join(world.folder, "images", "large.vhdx"),
        JSON.stringify({ Type: "Dynamic", Size: 20 * 2 ** 30, Parent: null }),
      );
      const vm = aDesiredVm({ image: { ...world.image, file: "large" } });
      await expect(driver.create(vm)).rejects.toMatchObject({ code: "unsupported" });
    });

    it("the seed is erased once the guest was seen, and the VM stays complete", async () => {
      const driver = await open();
      const vm = aDesiredVm({ image: world.image });
      await driver.create(vm);
      await driver.start(vm);
      await eventually("the guest is seen", async () => (await driver.list())[0]?.guest);
      await driver.eraseSeed(vm);
      await driver.eraseSeed(vm);
      expect((await only()).DVDDrives[0]?.Path ?? "").toBe("");
      expect(await readdir(path.join(world.root, "vms", vm.vmId))).not.toContain("seed.iso");
      await driver.create(vm);
      expect((await driver.list())[0]).toMatchObject({ complete: true, power: "running" });
    });

    it("a creation that is cut after its drives, and done again, makes a VM that may read its new seed", async () => {
      const driver = await open({ FailWith: { "Set-VMNetworkAdapter": "OperationFailed" } });
      const vm = aDesiredVm({ image: world.image });
      await expect(driver.create(vm)).rejects.toMatchObject({ code: "driver_failed" });
      expect((await only()).DVDDrives[0]?.Path).toMatch(/seed\.iso$/);
      await world.configure({ FailWith: {} });
      await driver.create(vm);
      await driver.start(vm);
      expect((await driver.list())[0]).toMatchObject({ power: "running", seeded: true });
    });

    it("a medium that is gone, or is another file than the one attached, keeps a VM from starting", async () => {
      const driver = await open();
      const vm = aDesiredVm({ image: world.image });
      await driver.create(vm);
      const seed = path.join(world.root, "vms", vm.vmId, "seed.iso");
      await rm(seed);
      await expect(driver.start(vm)).rejects.toThrow("0x80070002");
      await writeFile(seed, "another");
      await expect(driver.start(vm)).rejects.toThrow("0x80070005");
      await driver.eraseSeed(vm);
      await driver.start(vm);
    });

    it("a guest can be asked to reboot from 2016 on, and stays in its boot epoch", async () => {
      const driver = await open({ GuestBootMs: 0 });
      const vm = aDesiredVm({ image: world.image });
      await driver.create(vm);
      await driver.start(vm);
      const [before] = await driver.list();
      await driver.once(vm, "reboot");
      expect((await driver.list())[0]).toMatchObject({ bootEpoch: before?.bootEpoch });
      await world.close();
      const old = await open({ Windows: "2012r2", GuestBootMs: 0 });
      await old.create(vm);
      await old.start(vm);
      await expect(old.once(vm, "reboot")).rejects.toMatchObject({ code: "unsupported" });
    });

    it("a guest that boots cannot be asked to stop yet: the call returns, and it runs on", async () => {
      const driver = await open({ GuestBootMs: 600_000 });
      const vm = aDesiredVm({ image: world.image });
      await driver.create(vm);
      await driver.start(vm);
      await driver.stop(vm, "graceful");
      expect((await driver.list())[0]).toMatchObject({ power: "running", guest: null });
    });

    test.each(
      sampled(
        "names of guests",
        [
          {
            what: "an entity",
            said: "<!DOCTYPE x [<!ENTITY a SYSTEM 'file:///etc/hostname'>]><INSTANCE/>",
            taken: "",
          },
          {
            what: "XML of its own",
            said: "a.example</VALUE></PROPERTY><PROPERTY NAME='Data'><VALUE>b",
            taken: "a.example",
          },
          { what: "no DNS name", said: "-starts-badly", taken: "" },
          { what: "70 KB", said: "x".repeat(70_000), taken: "" },
          { what: "a name with its root", said: "good.example.", taken: "good.example" },
        ],
        2,
      ),
    )("what a guest says of itself is only ever a name: $what", async ({ said, taken }) => {
      world = await aWorld({ GuestBootMs: 0 });
      const env = { ...world.env, BERTH_HYPERV_KVP: said };
      const driver = world.open({
        powershell: { executable: pwsh ?? "", module: standinModule, env },
      });
      const vm = aDesiredVm({ image: world.image });
      await driver.create(vm);
      await driver.start(vm);
      expect((await driver.list())[0]?.guest?.hostname).toBe(taken);
    });

    it("Notes of an older epoch, as a checkpoint brings them back, do not take the VM away", async () => {
      const driver = await open();
      const vm = aDesiredVm({ image: world.image, ownerEpoch: 5 });
      await driver.create(vm);
      const made = await only();
      const file = path.join(world.env["BERTH_HYPERV_STATE"] ?? "", "vms", `${made.Id}.json`);
      const old = made.Notes.replace("epoch=5", "epoch=4");
      await writeFile(file, JSON.stringify({ ...made, Notes: old }));
      expect((await driver.list())[0]?.ownerEpoch).toBe(5);
      await driver.start(vm);
      expect(
        await readFile(path.join(world.root, "vms", vm.vmId, "berth.owner"), "utf8"),
      ).toContain("epoch=5");
    });

    it("the host's disk is the volume that holds the root: a mount point, or a shared volume of a cluster", async () => {
      world = await aWorld();
      const volumes = [
        { Name: "/", Capacity: 100 * 2 ** 30 },
        { Name: `${world.folder}/`, Capacity: 700 * 2 ** 30 },
        // Locked, as by BitLocker: its size is not known.
        { Name: `${world.root}/`, Capacity: 0 },
      ];
      await world.configure({ Volumes: volumes });
      expect((await world.open().facts()).diskGib).toBe(700);
    });

    test.each(
      sampled(
        "automatic checkpoints",
        [
          { Windows: "2016", set: false },
          { Windows: "2019", set: true },
        ] as const,
        1,
      ),
    )(
      "automatic checkpoints on $Windows are forbidden where the module can: $set",
      async ({ Windows, set }) => {
        const driver = await open({ Windows });
        await world.record();
        await driver.create(aDesiredVm({ image: world.image }));
        const calls = await driver.cmdletCalls();
        expect(calls.flatMap((call) => call.missing)).toEqual([]);
        const sets = (await world.recorded()).filter((call) => call.cmdlet === "Set-VM");
        // How it starts and stops, its kind of checkpoint, and its tag twice.
        expect(sets).toHaveLength(set ? 5 : 4);
      },
    );

    test.each(
      sampled(
        "errors by id",
        [
          { cmdlet: "Set-VMProcessor", id: "AccessDenied", code: "hypervisor_unavailable" },
          { cmdlet: "Set-VMProcessor", id: "OutOfMemory", code: "out_of_memory" },
          { cmdlet: "Set-VMProcessor", id: "OperationFailed", code: "driver_failed" },
        ],
        1,
      ),
    )("an error is told by its id: $id is $code", async ({ cmdlet, id, code }) => {
      const driver = await open({ FailWith: { [cmdlet]: id } });
      const vm = aDesiredVm({ image: world.image });
      const call = driver.create({ ...vm, size: { ...vm.size, vcpus: 2 } });
      await expect(call).rejects.toMatchObject({
        code,
        message: expect.stringContaining(`[${id},Microsoft.HyperV.`),
      });
    });

    test.each(
      sampled(
        "dynamic memory",
        [
          { power: "off", came: "done" },
          { power: "on", came: "must_be_off" },
        ],
        1,
      ),
    )("dynamic memory of a VM that is $power, resized: $came", async ({ power, came }) => {
      world = await aWorld();
      const driver = world.open({ dynamicMemoryMinimumPercent: 50 });
      const vm = aDesiredVm({ image: world.image });
      await driver.create(vm);
      if (power === "on") await driver.start(vm);
      const size = { ...vm.size, memoryMib: 514 };
      const outcome = await driver.resize({ ...vm, size }).then(
        () => "done",
        (error: unknown) => (error instanceof Error && "code" in error ? error.code : error),
      );
      expect(outcome).toBe(came);
      const mib = 2 ** 20;
      expect(await only()).toMatchObject({
        DynamicMemoryEnabled: true,
        MemoryStartup: (came === "done" ? 514 : 128) * mib,
        MemoryMinimum: (came === "done" ? 256 : 64) * mib,
      });
      expect((await driver.list())[0]?.size).toEqual(came === "done" ? size : vm.size);
    });

    it("a missing virtual switch is told before any VM is made", async () => {
      world = await aWorld();
      const driver = world.open({ switch: "Elsewhere" });
      await expect(driver.facts()).rejects.toMatchObject({
        code: "hypervisor_unavailable",
        message: expect.stringContaining("Elsewhere"),
      });
    });
  },
);

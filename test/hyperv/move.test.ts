import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { copyFile, mkdir, readdir, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { DesiredVm } from "#core/contracts/agent/desired.ts";
import { DriverError } from "#host-agent/drivers/driver.ts";
import type { HypervDriver } from "#host-agent/drivers/hyperv/driver.ts";
import type { MoveCalls } from "#host-agent/drivers/move-calls.ts";
import { PATIENCE_MS } from "#test/harness/patience.ts";
import { sampled } from "#test/harness/extent.ts";
import { aDesiredVm } from "../drivers/builders.ts";
import {
  aVhdx,
  carry,
  diskOf,
  GIB,
  HOSTILE_DISKS,
  qemuImg,
  readFrom,
  sizeOf,
  writeTo,
} from "./moved-disks.ts";
import { aWorld, noPwsh, noQemuImg, pwsh, standinModule, type World } from "./world.ts";

/* Moves by simulation, with real VHDX files: nothing here was tried on Windows. */

type Host = Readonly<{ world: World; driver: HypervDriver; moves: MoveCalls }>;
const FILE = "a-move";
const FAR = GIB + 4096;
const skip = noPwsh ?? noQemuImg;
const skipped = skip ? ` (skipped: ${skip})` : "";

async function aHost(): Promise<Host> {
  const world = await aWorld();
  const driver = world.open();
  if (driver.moves === null) throw new Error("Hyper-V offers moves");
  await mkdir(driver.moves.folder, { recursive: true });
  // The image, as all clones have it.
  await writeTo(path.join(world.options.images, "tiny.vhdx"), 0, "image image");
  return { world, driver, moves: driver.moves };
}
const fileOn = ({ moves }: Host, name = FILE): string => path.join(moves.folder, name);
const out = (host: Host) => ({ path: fileOn(host), format: "vhdx", base: null }) as const;
const look = async ({ driver }: Host, { vmId }: DesiredVm) =>
  (await driver.list()).find((vm) => vm.vmId === vmId) ?? null;
const outcome = (call: Promise<unknown>): Promise<string> =>
  call.then(
    () => "done",
    (error: unknown) => (error instanceof DriverError ? error.code : String(error)),
  );
/** Whose clone the guest wrote into: over the image, and far behind its end. */
async function written(host: Host, over: Partial<DesiredVm> = {}): Promise<DesiredVm> {
  const size = { vcpus: 1, memoryMib: 128, diskGib: 2 };
  const vm = aDesiredVm({ image: host.world.image, size, ...over });
  await host.driver.create(vm);
  await writeTo(diskOf(host.world, vm), 6, "guest");
  await writeTo(diskOf(host.world, vm), FAR, "far");
  return vm;
}

describe.skipIf(skip !== null)(`moves of Hyper-V's VMs${skipped}`, () => {
  let source: Host;
  let destination: Host;
  beforeAll(async () => {
    [source, destination] = await Promise.all([aHost(), aHost()]);
  });
  afterAll(() => Promise.all([source.world.close(), destination.world.close()]));

  describe("between two hosts", () => {
    test("a linked clone arrives whole, off and as create would have made it, under its new epoch", async () => {
      const image = { ...source.world.image, secureBoot: "microsoft" } as const;
      const before = await written(source, { image, ownerEpoch: 3, diskIops: 500 });
      await source.driver.facts();
      await source.driver.start(before);

      const made = await source.moves.describe(before);
      expect(made).toMatchObject({
        virtualBytes: BigInt(2 * GIB),
        base: { file: "tiny", sha256: expect.stringMatching(/^[0-9a-f]{64}$/) },
      });
      await source.driver.stop(before, "firm");
      await source.moves.exportDisk(before, { ...out(source), base: made.base });
      const exported = path.join(source.world.folder, "kept.vhdx");
      await copyFile(fileOn(source), exported);
      qemuImg("check", exported);
      expect(sizeOf(exported)).toEqual({ format: "vhdx", bytes: 2 * GIB });
      expect((await stat(exported)).size).toBeLessThanOrEqual(Number(made.exportBytes));
      expect(await readFrom(exported, "vhdx", 0, 12)).toBe("image guest\0");

      const after = { ...before, ownerEpoch: 8 };
      const received = await carry(
        { world: source.world, file: FILE },
        { world: destination.world, file: "received.8" },
      );
      await destination.moves.importDisk(after, { path: received, format: "vhdx", base: null });
      expect(existsSync(received)).toBe(false);
      expect(await look(destination, after)).toMatchObject({
        ownerEpoch: 8,
        power: "off",
        complete: true,
        seeded: false,
        size: after.size,
      });
      const [arrived] = await destination.world.vms();
      const [left] = await source.world.vms();
      expect(comparable(arrived)).toEqual(comparable(left));
      qemuImg("compare", "-f", "vhdx", "-F", "vhdx", exported, diskOf(destination.world, after));
      await destination.driver.start(after);
      expect(await look(destination, after)).toMatchObject({ power: "running" });

      // And on from there, where it stands on no image.
      await destination.driver.stop(after, "firm");
      expect(await destination.moves.describe(after)).toMatchObject({
        virtualBytes: BigInt(2 * GIB),
        base: null,
      });
      await destination.driver.destroy(after);
      await source.driver.destroy(before);
    });

    test("what was released starts no more though its Notes were lost, and takes no checkpoint", async () => {
      const vm = await written(source);
      await source.moves.release(vm);
      const { Notes } = await edit(source, vm, { Notes: "a person's" });
      expect(await outcome(source.driver.start(vm))).toBe("stale_epoch");
      await edit(source, vm, { Notes });
      const checkpoint = source.driver.checkpoint(vm, crypto.randomUUID());
      expect(await outcome(checkpoint)).toBe("stale_epoch");
      await source.moves.hold(vm);
      await source.driver.start(vm);
      await source.driver.destroy(vm);
    });

    test("a VM with checkpoints stays, and goes with all its layers once they are merged", async () => {
      const vm = await written(source);
      const checkpoint = crypto.randomUUID();
      await source.driver.checkpoint(vm, checkpoint);
      const layer = (await source.world.vms()).find(({ Name }) => Name === vm.vmId)?.HardDrives[0];
      await writeTo(layer?.Path ?? "", 6, "later");
      expect(await outcome(source.moves.describe(vm))).toBe("unsupported");
      await source.driver.deleteCheckpoint(vm, checkpoint);
      await source.moves.exportDisk(vm, out(source));
      expect(await readFrom(fileOn(source), "vhdx", 0, 12)).toBe("image later\0");
      await source.driver.destroy(vm);
    });

    test("a VM with another disk beside its own stays", async () => {
      const vm = await written(source);
      const other = path.join(source.world.folder, "other.vhdx");
      await copyFile(diskOf(source.world, vm), other);
      const [own] = (await source.world.vms())[0]?.HardDrives ?? [];
      await edit(source, vm, { HardDrives: [own, { ...own, Path: other, ControllerLocation: 2 }] });
      expect(await outcome(source.moves.describe(vm))).toBe("unsupported");
      await edit(source, vm, { HardDrives: [own] });
      await source.driver.destroy(vm);
    });

    test("only files of its own folder and format are written or taken", async () => {
      const vm = await written(source);
      for (const over of [
        { path: path.join(source.world.folder, "elsewhere.vhdx") },
        { path: path.join(source.moves.folder, "..", "elsewhere.vhdx") },
        { path: path.join(source.moves.folder, "CON.vhdx") },
        { format: "qcow2" } as const,
      ]) {
        expect(await outcome(source.moves.exportDisk(vm, { ...out(source), ...over }))).toBe(
          "unsupported",
        );
        expect(await outcome(source.moves.importDisk(vm, { ...out(source), ...over }))).toBe(
          "unsupported",
        );
      }
      await source.driver.destroy(vm);
    });
  });

  describe("between KVM and Hyper-V", () => {
    test("a KVM host makes a qcow2 of what is exported, with every byte", async () => {
      const vm = await written(source);
      await source.moves.exportDisk(vm, out(source));
      const qcow2 = path.join(source.world.folder, "kvm.qcow2");
      qemuImg("convert", "-f", "vhdx", "-O", "qcow2", fileOn(source), qcow2);
      qemuImg("compare", "-f", "vhdx", "-F", "qcow2", fileOn(source), qcow2);
      expect(await readFrom(qcow2, "qcow2", 0, 12)).toBe("image guest\0");
      expect(await readFrom(qcow2, "qcow2", FAR, 4)).toBe("far\0");
      await source.driver.destroy(vm);
    });

    test("a disk that a KVM host converted is taken, and is a disk like any other here", async () => {
      const vm = aDesiredVm({ image: destination.world.image, ownerEpoch: 5 });
      await aVhdx(fileOn(destination));
      await destination.moves.importDisk(vm, out(destination));
      await destination.driver.start(vm);
      await destination.driver.stop(vm, "firm");
      const checkpoint = crypto.randomUUID();
      await destination.driver.checkpoint(vm, checkpoint);
      await destination.driver.revert(vm, checkpoint);
      await destination.driver.deleteCheckpoint(vm, checkpoint);
      const size = { ...vm.size, diskGib: 2 };
      await destination.driver.resize({ ...vm, size });
      expect(await look(destination, vm)).toMatchObject({ size, complete: true });
      // And back.
      await destination.moves.exportDisk(vm, out(destination));
      expect(sizeOf(fileOn(destination))).toEqual({ format: "vhdx", bytes: 2 * GIB });
      expect(await readFrom(fileOn(destination), "vhdx", 0, 16)).toBe("from a KVM host\0");
      await destination.driver.destroy(vm);
    });
  });

  describe("a file that was received", () => {
    let good: string;
    beforeAll(async () => {
      good = path.join(destination.world.folder, "good.vhdx");
      await aVhdx(good);
    });
    const order = () => aDesiredVm({ image: destination.world.image, ownerEpoch: 4 });

    test("is refused before any cmdlet looks at it, where it is not a dynamic disk of that size alone", async () => {
      const vm = order();
      const told: string[] = [];
      for (const { what, make } of HOSTILE_DISKS) {
        await make(fileOn(destination), good);
        await destination.world.record();
        const code = await outcome(destination.moves.importDisk(vm, out(destination)));
        const cmdlets = (await destination.world.recorded()).length;
        if (code !== "unsupported" || cmdlets > 0) told.push(`${what}: ${code}, ${cmdlets}`);
      }
      expect(told).toEqual([]);
      expect(await look(destination, vm)).toBeNull();
      expect(existsSync(fileOn(destination)), "it is the agent's to remove").toBe(true);
    });

    test("is refused by the script itself too, by what Hyper-V says of it", async () => {
      const vm = order();
      const worker = destination.world.worker();
      const parent = path.join(destination.world.options.images, "tiny.vhdx");
      const nic = { mac: "525400000009", address: "192.0.2.9", vlan: null, bandwidthBits: null };
      const fields = { ...vm.size, iops: null, nics: [nic], os: "linux", firmware: null };
      const request = { vmId: vm.vmId, epoch: 4, ...fields, secureBoot: null, file: FILE };
      for (const record of [
        { Type: "Differencing", Size: GIB, Parent: parent },
        { Type: "Fixed", Size: GIB, Parent: null },
        { Type: "Dynamic", Size: 2 * GIB, Parent: null },
      ]) {
        await writeFile(fileOn(destination), JSON.stringify(record));
        const call = worker.call("import", request, { timeoutMs: PATIENCE_MS });
        expect(await outcome(call)).toBe("unsupported");
        expect(existsSync(fileOn(destination))).toBe(true);
      }
      expect((await destination.world.vms()).map(({ Name }) => Name)).not.toContain(vm.vmId);
      expect(existsSync(diskOf(destination.world, vm))).toBe(false);
      await destination.driver.destroy(vm);
    });

    test("is taken in where an attempt before it had put the same disk, which stays", async () => {
      const vm = order();
      await copyFile(good, fileOn(destination));
      await destination.moves.importDisk(vm, out(destination));
      const disk = await stat(diskOf(destination.world, vm));
      const [made] = await destination.world.vms();
      const notes = made?.Notes.replace("state=ready", "state=creating");
      await edit(destination, vm, { Notes: notes });
      await copyFile(good, fileOn(destination));
      await destination.moves.importDisk(vm, out(destination));
      expect(existsSync(fileOn(destination))).toBe(false);
      expect((await stat(diskOf(destination.world, vm))).ino).toBe(disk.ino);
      expect(await look(destination, vm)).toMatchObject({ power: "off", complete: true });
      await destination.driver.destroy(vm);
    });
  });

  test("the stand-in's cmdlets of disks refuse what Hyper-V's refuse, with its error ids", async () => {
    const vm = await written(source);
    const running = await written(source);
    await source.driver.start(running);
    const [disk, used] = [diskOf(source.world, vm), diskOf(source.world, running)];
    const script = path.join(import.meta.dirname, "refusals.ps1");
    const args = ["-Module", standinModule, "-Disk", disk, "-Running", used];
    // Its exit code tells that there were errors, which is what it is for.
    const { stdout: text } = spawnSync(
      pwsh ?? "pwsh",
      ["-NoProfile", "-NonInteractive", "-File", script, ...args, "-Folder", source.world.folder],
      { encoding: "utf8", env: { ...process.env, ...source.world.env } },
    );
    const said = text
      .trim()
      .split("\n")
      .map((line) => line.trimEnd().split("\t"));
    const convert = (id: string) => `${id},Microsoft.Vhd.PowerShell.Cmdlets.ConvertVhd`;
    expect(Object.fromEntries(said)).toEqual({
      "a source that is not there": convert("ObjectNotFound"),
      "a source of another ending": convert("InvalidParameter"),
      "a destination that is there": convert("OperationFailed"),
      "a destination of another ending": convert("InvalidParameter"),
      "a folder that is not there": convert("ObjectNotFound"),
      "a disk that a VM writes to": convert("ObjectInUse"),
      "a block size that is none": convert("InvalidParameter"),
      "a copy without its parent": convert("InvalidParameter"),
      "a look at another ending": "InvalidParameter,Microsoft.Vhd.PowerShell.Cmdlets.GetVhd",
      nothing: "Fixed",
    });
    for (const one of [vm, running]) await source.driver.destroy(one);
  });

  describe("killed in the middle", () => {
    /** Each kill costs a new PowerShell: of many edges so many are taken, other ones each day. */
    const chosen = (operation: string, edges: number, most: number): readonly number[] =>
      sampled(
        `edges of ${operation}`,
        Array.from({ length: edges }, (_, n) => n + 1),
        most,
      );
    const cases = [
      {
        operation: "exportDisk",
        kills: 2,
        given: (host: Host) => written(host),
        run: (host: Host, vm: DesiredVm) => host.moves.exportDisk(vm, out(host)),
        seen: async (host: Host) => {
          expect(await readFrom(fileOn(host), "vhdx", 0, 12)).toBe("image guest\0");
          expect(await readdir(path.join(host.world.root, "staging"))).toEqual([]);
        },
        starts: "done",
      },
      {
        operation: "importDisk",
        kills: 3,
        given: async (host: Host) => {
          await aVhdx(fileOn(host));
          return aDesiredVm({ image: host.world.image });
        },
        run: (host: Host, vm: DesiredVm) => host.moves.importDisk(vm, out(host)),
        seen: async (host: Host, vm: DesiredVm) => {
          expect(existsSync(fileOn(host))).toBe(false);
          expect((await readdir(path.dirname(diskOf(host.world, vm)))).sort()).toEqual([
            "Virtual Machines",
            "berth.owner",
            "disk.vhdx",
          ]);
          expect(await readFrom(diskOf(host.world, vm), "vhdx", 0, 16)).toBe("from a KVM host\0");
        },
        starts: "done",
      },
      {
        operation: "release",
        kills: 1,
        given: (host: Host) => written(host),
        run: (host: Host, vm: DesiredVm) => host.moves.release(vm),
        seen: async () => undefined,
        starts: "stale_epoch",
      },
      {
        operation: "hold",
        kills: 1,
        given: async (host: Host) => {
          const vm = await written(host);
          await host.moves.release(vm);
          return vm;
        },
        run: (host: Host, vm: DesiredVm) => host.moves.hold(vm),
        seen: async () => undefined,
        starts: "done",
      },
    ];

    test.each(cases)("$operation goes on with the same call", async (one) => {
      const host = destination;
      const { world, driver } = host;
      const whole = await one.given(host);
      const edges = await world.countEdges(() => one.run(host, whole));
      expect(edges).toBeGreaterThan(1);
      await driver.destroy(whole);
      const kills = chosen(one.operation, edges, one.kills);
      for (const edge of kills) {
        const vm = await one.given(host);
        await world.killAt(edge);
        const died = (await outcome(one.run(host, vm))) !== "done";
        expect(died, `killed at edge ${edge} of ${edges}, and told as an error`).toBe(
          !(await world.outlived()),
        );
        await one.run(host, vm);
        await one.seen(host, vm);
        expect(await look(host, vm)).toMatchObject({ power: "off", complete: true });
        const left = (await world.vms()).filter(({ Name }) => Name === vm.vmId);
        expect(left.length, "no second VM was left behind").toBe(1);
        expect(await outcome(driver.start(vm))).toBe(one.starts);
        await driver.destroy(vm);
      }
      console.info(`${one.operation} killed at ${kills.length} of ${edges} edges`);
    });
  });
});

/** What two hosts must make alike of one VM, without what each host gives a name of its own. */
function comparable(vm: Awaited<ReturnType<World["vms"]>>[number] | undefined) {
  if (vm === undefined) throw new Error("there is a VM");
  return {
    generation: vm.Generation,
    vcpus: vm.ProcessorCount,
    memory: vm.MemoryStartup,
    starts: vm.AutomaticStartAction,
    secureBoot: [vm.StandinSecureBoot, vm.StandinSecureBootTemplate],
    notes: vm.Notes.replace(/epoch=\d+/, ""),
    iops: vm.HardDrives.map((drive) => drive.MaximumIOPS),
    drives: vm.DVDDrives.length,
    nics: vm.NetworkAdapters.map((nic) => ({
      name: nic.Name,
      on: nic.SwitchName,
      mac: nic.MacAddress,
      spoofing: nic.MacAddressSpoofing,
      limit: nic.BandwidthSetting,
      vlan: nic.StandinVlanId,
      acls: nic.AclList.map(({ Action, Direction, LocalAddress }) => [
        Action,
        Direction,
        LocalAddress,
      ]),
    })),
  };
}

/** As a person at the host would; answers what it was before. */
async function edit({ world }: Host, { vmId }: DesiredVm, over: object) {
  const vm = (await world.vms()).find(({ Notes, Name }) => Name === vmId || Notes.includes(vmId));
  if (vm === undefined) throw new Error("there is a VM");
  const file = path.join(world.env["BERTH_HYPERV_STATE"] ?? "", "vms", `${vm.Id}.json`);
  await writeFile(file, JSON.stringify({ ...vm, ...over }));
  return vm;
}

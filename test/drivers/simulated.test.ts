import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, expect, test } from "vitest";
import type { VmDriver, VmRef } from "#host-agent/drivers/driver.ts";
import { CAPABILITIES } from "#host-agent/drivers/capabilities.ts";
import {
  createSimulatedDriver,
  type SimulatedOptions,
} from "#host-agent/drivers/simulated/driver.ts";
import { NO_DELAYS } from "#host-agent/drivers/simulated/delays.ts";
import { memoryFiles, type MoveFiles, realFiles } from "#host-agent/drivers/simulated/moves.ts";
import { hanging, throwing, when } from "#host-agent/drivers/simulated/faults.ts";
import { plantForeignVm, rebootHost, strikeVm } from "#host-agent/drivers/simulated/host-events.ts";
import {
  folderWorld,
  memoryWorld,
  type SimulatedWorld,
} from "#host-agent/drivers/simulated/world.ts";
import { aDesiredVm, anImage, randomIds, realClock } from "./builders.ts";
import { driverContract } from "./contract.ts";

const temporary = () => mkdtemp(path.join(tmpdir(), "berth-world-"));

function onWorld(world: SimulatedWorld, over: Partial<SimulatedOptions> = {}) {
  const options = { world, clock: realClock, ids: randomIds, images: ["tiny"], ...over };
  return {
    driver: createSimulatedDriver({ delays: NO_DELAYS, ...options }),
    image: anImage(),
    reopen: async () => createSimulatedDriver({ delays: NO_DELAYS, ...options }),
    openFor: async (installation: string | null) =>
      createSimulatedDriver({ delays: NO_DELAYS, ...options, installation: () => installation }),
    plantForeign: (vmId: string) => plantForeignVm(world, vmId),
    close: async () => undefined,
  };
}

/** Two simulated hosts, and what carries between them. */
function twoWorlds(
  [world, other]: readonly [SimulatedWorld, SimulatedWorld],
  files: MoveFiles,
  folders: readonly [string, string],
  over: Partial<SimulatedOptions> = {},
) {
  const opened = onWorld(world, { ...over, moves: { folder: folders[0], files } });
  const second = onWorld(other, { ...over, moves: { folder: folders[1], files } }).driver;
  const diskOf = async (at: SimulatedWorld, vm: VmRef) => {
    const record = await at.vm(vm.vmId);
    if (!record?.disk) throw new Error("there is no disk");
    return { ...record, disk: record.disk };
  };
  return {
    ...opened,
    moves: {
      format: "simulated" as const,
      second,
      mark: async (vm: VmRef) => {
        const record = await diskOf(world, vm);
        await world.putVm({ ...record, disk: { ...record.disk, serial: randomIds.newId() } });
      },
      contentOf: async (driver: VmDriver, vm: VmRef) =>
        (await diskOf(driver === second ? other : world, vm)).disk.serial,
      carry: async (from: string, to: string) => files.write(to, (await files.read(from)) ?? ""),
      isThere: async (file: string) => (await files.read(file)) !== null,
    },
  };
}

driverContract("simulated, in memory", async () =>
  twoWorlds([memoryWorld(), memoryWorld()], memoryFiles(), ["/first/moves", "/second/moves"]),
);

driverContract("simulated, in files, as Hyper-V without hot resize and limits", async () => {
  const folder = await temporary();
  const [first, second] = [path.join(folder, "first"), path.join(folder, "second")] as const;
  const worlds = [folderWorld(first), folderWorld(second)] as const;
  const folders = [path.join(first, "moves"), path.join(second, "moves")] as const;
  const opened = twoWorlds(worlds, realFiles, folders, {
    hypervisor: "hyperv",
    capabilities: {
      hotResize: false,
      hotMemory: false,
      hotDiskGrow: false,
      gracefulStop: false,
      bandwidthLimit: false,
      iopsLimit: false,
    },
    delays: { ...NO_DELAYS, disk: 5, seed: 5, define: 5, firmStop: 5, undefine: 5, guestReady: 30 },
  });
  return { ...opened, close: () => rm(folder, { recursive: true, force: true }) };
});

test("a simulated host of a hypervisor can do what the driver of that hypervisor can", async () => {
  for (const hypervisor of ["kvm", "hyperv"] as const) {
    const { driver } = onWorld(memoryWorld(), { hypervisor });
    expect((await driver.facts()).capabilities).toEqual(CAPABILITIES[hypervisor]);
  }
  expect(CAPABILITIES.hyperv).toMatchObject({ hotMemory: true, hotDiskGrow: true });
});

describe("a simulated disk that was received", () => {
  const vm = aDesiredVm({ ownerEpoch: 2 });
  const disk = { serial: "a", image: "tiny", everStarted: true, diskGib: 1 };
  test.each([
    ["no JSON", "{"],
    ["nothing", ""],
    ["no disk", "[]"],
    ["more than a disk", JSON.stringify({ ...disk, backing: "/etc/shadow" })],
    ["an image that is a path", JSON.stringify({ ...disk, image: "../../etc/shadow" })],
    ["half of one", JSON.stringify({ ...disk, serial: undefined })],
  ])("is refused when it is %s, and makes nothing", async (_what, text) => {
    const files = memoryFiles();
    const { driver } = onWorld(memoryWorld(), { moves: { folder: "/moves", files } });
    const from = { path: "/moves/a", format: "simulated", base: null } as const;
    await files.write(from.path, text);
    const refused: unknown = expect.objectContaining({ code: "unsupported" });
    await expect(driver.moves?.importDisk(vm, from)).rejects.toEqual(refused);
    expect(await driver.list()).toEqual([]);
    await files.write(from.path, JSON.stringify(disk));
    await driver.moves?.importDisk(vm, from);
    expect(await driver.list()).toMatchObject([{ complete: true, ownerEpoch: 2 }]);
  });

  test("of a base that this host does not hold is refused", async () => {
    const files = memoryFiles();
    const { driver } = onWorld(memoryWorld(), { moves: { folder: "/moves", files } });
    const base = { file: "other", sha256: "0".repeat(64) };
    await files.write("/moves/a", JSON.stringify(disk));
    const from = { path: "/moves/a", format: "simulated", base } as const;
    const missing: unknown = expect.objectContaining({ code: "image_missing" });
    await expect(driver.moves?.importDisk(vm, from)).rejects.toEqual(missing);
  });
});

/** A clock that stands still until it is moved. */
function handClock(start = "2026-01-01T00:00:00.000Z") {
  let now = Date.parse(start);
  return {
    now: () => new Date(now),
    sleep: async (ms: number) => {
      now += ms;
    },
    move: (ms: number) => {
      now += ms;
    },
  };
}

describe("the simulated host", () => {
  test("a guest is seen only when its boot time has passed, and again after a reset", async () => {
    const clock = handClock();
    const delays = { ...NO_DELAYS, guestReady: 3000 };
    const { driver } = onWorld(memoryWorld(), { clock, delays });
    const vm = aDesiredVm({ hostname: "a.example" });
    await driver.create(vm);
    await driver.start(vm);
    clock.move(2999);
    expect((await driver.list())[0]).toMatchObject({ power: "running", guest: null });
    clock.move(1);
    const up = { source: "simulated", hostname: "a.example" };
    expect((await driver.list())[0]?.guest).toEqual(up);
    await driver.once(vm, "reset");
    expect((await driver.list())[0]?.guest).toBeNull();
    clock.move(3000);
    expect((await driver.list())[0]?.guest).toEqual(up);
  });

  test("a guest that was asked to stop is off after its shutdown time, or never when deaf", async () => {
    for (const gracefulStop of [2000, null]) {
      const clock = handClock();
      const { driver } = onWorld(memoryWorld(), { clock, delays: { ...NO_DELAYS, gracefulStop } });
      const vm = aDesiredVm();
      await driver.create(vm);
      await driver.start(vm);
      await driver.stop(vm, "graceful");
      clock.move(1999);
      await driver.stop(vm, "graceful");
      expect((await driver.list())[0]?.power).toBe(gracefulStop === null ? "running" : "stopping");
      clock.move(1);
      expect((await driver.list())[0]?.power).toBe(gracefulStop === null ? "running" : "off");
    }
  });

  test("counters depend on the time since the boot epoch alone", async () => {
    const clock = handClock();
    const world = memoryWorld();
    const { driver } = onWorld(world, { clock });
    const vm = aDesiredVm();
    await driver.create(vm);
    await driver.start(vm);
    clock.move(60_000);
    const [minute] = await driver.counters();
    expect(minute?.txBytes[0]).toBeGreaterThan(0n);
    clock.move(60_000);
    const [two] = await driver.counters();
    expect(two?.txBytes[0]).toBe(2n * (minute?.txBytes[0] ?? 0n));
    await driver.stop(vm, "firm");
    await driver.start(vm);
    clock.move(60_000);
    const [again] = await driver.counters();
    expect({ ...again, bootEpoch: "" }).toEqual({ ...minute, bootEpoch: "" });
    expect(again?.bootEpoch).not.toBe(minute?.bootEpoch);
  });

  // Of each id's own weight (countersAt), by which its guest does so much more than one of weight 1.
  test.each([
    ["00000000-0000-4000-8000-000000000001", 3n],
    ["00000000-0000-4000-8000-000000000002", 16n],
  ])("a guest's counters are what it did, each of its own kind: %s", async (vmId, weight) => {
    const clock = handClock();
    const { driver } = onWorld(memoryWorld(), { clock });
    const [nic] = aDesiredVm().nics;
    if (!nic) throw new Error("it has a network card");
    const vm = aDesiredVm({
      vmId,
      size: { vcpus: 1, memoryMib: 128, diskGib: 1 },
      nics: [nic, { ...nic, mac: "52:54:00:00:03:01" }],
    });
    await driver.create(vm);
    clock.move(5_000);
    await driver.start(vm);
    clock.move(90_000);
    const bootEpoch = (await driver.list())[0]?.bootEpoch;
    expect(await driver.counters()).toEqual([
      {
        vmId,
        bootEpoch,
        // A hundredth of a processor, in nanoseconds.
        cpuNs: 900_000_000n * weight,
        rxBytes: [360_000n * weight, 360_000n * weight],
        txBytes: [810_000n * weight, 810_000n * weight],
        readBytes: 180_000n * weight,
        writeBytes: 270_000n * weight,
        memoryBytes: 134_217_728n,
        diskBytes: 209_715_200n + 46_080n * weight,
      },
    ]);
    // A disk never takes more than was ordered.
    clock.move(10 * 365 * 24 * 3_600_000);
    expect((await driver.counters())[0]?.diskBytes).toBe(1_073_741_824n);
    await driver.stop(vm, "firm");
    expect(await driver.counters()).toEqual([]);
  });

  test.each([true, false])(
    "a host reboot ends the boot epoch (autostart %s)",
    async (autostart) => {
      const world = memoryWorld();
      const { driver } = onWorld(world);
      const vm = aDesiredVm();
      await driver.create(vm);
      await driver.start(vm);
      const [before] = await driver.list();
      await rebootHost(world, { autostart, now: new Date(), ids: randomIds });
      const [after] = await driver.list();
      expect(after?.power).toBe(autostart ? "running" : "off");
      expect(after?.bootEpoch).not.toBe(before?.bootEpoch);
    },
  );

  test("a paused VM is resumed by start, in the same boot epoch; a failed one is not", async () => {
    const world = memoryWorld();
    const { driver } = onWorld(world);
    const vm = aDesiredVm();
    await driver.create(vm);
    await driver.start(vm);
    const [before] = await driver.list();
    await strikeVm(world, vm.vmId, "pauses");
    expect((await driver.list())[0]?.power).toBe("paused");
    await driver.start(vm);
    expect((await driver.list())[0]).toMatchObject({
      power: "running",
      bootEpoch: before?.bootEpoch,
    });
    await strikeVm(world, vm.vmId, "fails");
    await expect(driver.start(vm)).rejects.toMatchObject({ code: "driver_failed" });
  });

  test("a disk that was ever started is adopted, not made again", async () => {
    const world = memoryWorld();
    const { driver } = onWorld(world);
    const vm = aDesiredVm();
    await driver.create(vm);
    await driver.start(vm);
    await driver.stop(vm, "firm");
    const record = await world.vm(vm.vmId);
    if (!record) throw new Error("the VM is there");
    await world.putVm({ ...record, definition: null });
    await driver.create(vm);
    expect((await world.vm(vm.vmId))?.disk).toEqual(record.disk);
  });

  test("a fault can fail one step, or hang until the call is aborted", async () => {
    const vm = aDesiredVm();
    const failing = onWorld(memoryWorld(), {
      faults: when({ operation: "create", step: "seed" }, throwing(), 1),
    });
    await expect(failing.driver.create(vm)).rejects.toMatchObject({ code: "driver_failed" });
    expect((await failing.driver.list())[0]).toMatchObject({ complete: false });
    await failing.driver.create(vm);
    expect((await failing.driver.list())[0]).toMatchObject({ complete: true });

    const stuck = onWorld(memoryWorld(), { faults: when({ operation: "create" }, hanging) });
    await expect(stuck.driver.create(vm, AbortSignal.timeout(5))).rejects.toThrow(/timeout/);
  });

  test("a corrupt file is one clear error that names it", async () => {
    const folder = await temporary();
    const { driver } = onWorld(folderWorld(folder));
    const vm = aDesiredVm();
    await driver.create(vm);
    const file = path.join(folder, "vms", `${vm.vmId}.json`);
    await writeFile(file, '{"vmId":');
    await expect(driver.list()).rejects.toMatchObject({
      code: "hypervisor_unavailable",
      message: expect.stringContaining(file),
    });
    await rm(folder, { recursive: true });
  });

  test("its files hold no half-written record", async () => {
    const folder = await temporary();
    const { driver } = onWorld(folderWorld(folder));
    await driver.create(aDesiredVm());
    expect(
      (await readdir(path.join(folder, "vms"))).filter((name) => !name.endsWith(".json")),
    ).toEqual([]);
    await rm(folder, { recursive: true });
  });
});

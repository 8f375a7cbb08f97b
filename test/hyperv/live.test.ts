import { copyFile, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { DesiredVm } from "#core/contracts/agent/desired.ts";
import type { HypervDriver } from "#host-agent/drivers/hyperv/driver.ts";
import type { LiveCalls, MoveCalls } from "#host-agent/drivers/move-calls.ts";
import { judgeLive } from "#host-agent/moves/judge-live.ts";
import { sampled } from "#test/harness/extent.ts";
import { aDesiredVm, eventually } from "../drivers/builders.ts";
import { aVhdx, diskOf, GIB, sumOfContent, writeTo } from "./moved-disks.ts";
import {
  aWorld,
  noPwsh,
  noQemuImg,
  type StandinHost,
  type StandinVm,
  type World,
} from "./world.ts";

/*
 * Moves of VMs that run, by the driver's own calls, between two stand-in hosts that know each other by name. Nothing here was tried on
 * Windows: what the stand-in refuses is what Microsoft's documentation says that Move-VM refuses.
 */

type End = Readonly<{
  world: World;
  driver: HypervDriver;
  moves: MoveCalls;
  live: LiveCalls;
}>;
const skip = noPwsh ?? noQemuImg;
const skipped = skip ? ` (skipped: ${skip})` : "";
const SAVED = 6;
const QUICK_MS = 50;
/** Longer than anything that is done meanwhile. */
const SLOW_MS = 600_000;

const stateOf = (world: World): string => world.env["BERTH_HYPERV_STATE"] ?? "";

async function aLiveHost(name: string): Promise<End> {
  const world = await aWorld({
    Computer: name,
    MigrationEnabled: true,
    Processor: "one",
    MigrationMs: QUICK_MS,
  });
  const driver = world.open({ liveMoves: true });
  const { moves } = driver;
  if (!moves?.live) throw new Error("it moves what runs");
  await mkdir(moves.folder, { recursive: true });
  return { world, driver, moves, live: moves.live };
}

describe.skipIf(skip !== null)(`Hyper-V's own moves of VMs that run${skipped}`, () => {
  let source: End;
  let destination: End;
  beforeAll(async () => {
    [source, destination] = await Promise.all([aLiveHost("HV-ONE"), aLiveHost("HV-TWO")]);
    const Peers = { "HV-ONE": stateOf(source.world), "HV-TWO": stateOf(destination.world) };
    for (const { world } of [source, destination]) await world.configure({ Peers });
  });
  afterAll(() => Promise.all([source.world.close(), destination.world.close()]));

  const movedOf = (vm: DesiredVm): DesiredVm => ({ ...vm, ownerEpoch: vm.ownerEpoch + 5 });
  const inWorld = async ({ world }: End, { vmId }: DesiredVm): Promise<StandinVm> => {
    const vm = (await world.vms()).find(({ Name }) => Name === vmId);
    if (vm === undefined) throw new Error("it is there");
    return vm;
  };
  const edit = async (end: End, vm: DesiredVm, over: object) => {
    const found = await inWorld(end, vm);
    const file = path.join(stateOf(end.world), "vms", `${found.Id}.json`);
    await writeFile(file, JSON.stringify({ ...JSON.parse(await readFile(file, "utf8")), ...over }));
  };
  const ends = async (vm: DesiredVm) =>
    [await source.live.seen(vm), await destination.live.seen(movedOf(vm))] as const;
  const verdict = async (vm: DesiredVm) => judgeLive(...(await ends(vm)));

  /** One whose disk stands alone, as after a cold move. */
  async function running(): Promise<DesiredVm> {
    const vm = aDesiredVm({ image: source.world.image, ownerEpoch: 3 });
    const file = path.join(source.moves.folder, "came");
    await aVhdx(file);
    await source.moves.importDisk(vm, { path: file, format: "vhdx", base: null });
    await source.driver.start(vm);
    return vm;
  }
  const move = async (vm: DesiredVm, over: { mbit?: number; signal?: AbortSignal } = {}) => {
    const moved = movedOf(vm);
    const target = await destination.live.prepareLive(moved, null);
    const to = { moved, target, base: null, tell: () => undefined };
    return source.live.migrateLive(vm, { ...to, mbitPerSecond: over.mbit ?? null }, over.signal);
  };
  /** Of a VM that stayed. */
  async function expectStayed(vm: DesiredVm): Promise<void> {
    expect(await ends(vm)).toEqual(["running", "none"]);
    await destination.driver.destroy(movedOf(vm));
    expect(await readdir(path.join(destination.world.root, "vms"))).toEqual([]);
  }

  test("the guest runs on at the other host alone, with its disk, under the new epoch, and back again", async () => {
    const vm = await running();
    const content = await sumOfContent(diskOf(source.world, vm));
    const { StandinBoot, NetworkAdapters } = await inWorld(source, vm);
    expect(await verdict(vm)).toBe("rolled_back");
    await move(vm);
    expect(await source.live.pauseOf(vm)).toBeNull();
    expect(await ends(vm)).toEqual(["none", "running"]);
    expect(await verdict(vm)).toBe("moved");

    const there = movedOf(vm);
    const arrived = await inWorld(destination, vm);
    // It was not booted again, and lies where one that was made there would.
    expect(arrived).toMatchObject({ StandinBoot, NetworkAdapters });
    expect(arrived.HardDrives.map((drive) => drive.Path)).toEqual([
      diskOf(destination.world, there),
    ]);
    expect(await sumOfContent(diskOf(destination.world, there))).toBe(content);
    expect(await destination.driver.list()).toMatchObject([
      { vmId: vm.vmId, ownerEpoch: 8, power: "running", complete: true, size: vm.size },
    ]);
    await expect(destination.driver.stop(vm, "firm")).rejects.toMatchObject({
      code: "stale_epoch",
    });
    // What is left at the source is put away like any destroyed VM.
    await source.driver.destroy(vm);
    expect(await source.driver.list()).toEqual([]);
    await destination.live.takeLive(there);

    const home = movedOf(there);
    const target = await source.live.prepareLive(home, null);
    const to = { moved: home, target, base: null, mbitPerSecond: null, tell: () => undefined };
    await destination.live.migrateLive(there, to);
    expect(await source.driver.list()).toMatchObject([
      { vmId: vm.vmId, ownerEpoch: 13, power: "running", complete: true },
    ]);
    await source.driver.stop(home, "firm");
    await source.driver.start(home);
    await source.driver.destroy(home);
    await destination.driver.destroy(there);
  });

  describe("is refused before anything is moved", () => {
    const host = (end: () => End, over: Partial<StandinHost>, back: Partial<StandinHost>) => ({
      set: () => end().world.configure(over),
      back: () => end().world.configure(back),
    });
    const here = () => source;
    const there = () => destination;
    const cases: readonly {
      what: string;
      detail: RegExp;
      set: (vm: DesiredVm) => Promise<void>;
      back?: (vm: DesiredVm) => Promise<void>;
    }[] = [
      {
        what: "from a host that takes no part",
        detail: /Enable-VMMigration/,
        ...host(here, { MigrationEnabled: false }, { MigrationEnabled: true }),
      },
      {
        what: "to a host that takes no part",
        detail: /Enable-VMMigration/,
        ...host(there, { MigrationEnabled: false }, { MigrationEnabled: true }),
      },
      {
        what: "to another kind of processor",
        detail: /processor/,
        ...host(there, { Processor: "two" }, { Processor: "one" }),
      },
      {
        what: "to a host without its switch",
        detail: /33012/,
        ...host(there, { Switch: "Private" }, { Switch: "Public" }),
      },
      {
        what: "with a medium in its drive",
        detail: /medium/,
        set: async (vm) => {
          const drive = { ControllerNumber: 0, ControllerLocation: 1, Path: "/some/cd.iso" };
          await edit(source, vm, { DVDDrives: [drive] });
        },
        back: async (vm) => edit(source, vm, { DVDDrives: [] }),
      },
    ];
    test.each(cases)("$what", async ({ detail, set, back }) => {
      const vm = await running();
      await set(vm);
      await expect(move(vm)).rejects.toMatchObject({
        code: "unsupported",
        message: expect.stringMatching(detail),
      });
      await back?.(vm);
      await expectStayed(vm);
      await source.driver.destroy(vm);
    });

    test.each([
      ["off", 3],
      ["saved", SAVED],
    ])("a VM that is %s", async (_, State) => {
      const vm = await running();
      await edit(source, vm, { State });
      await expect(move(vm)).rejects.toMatchObject({ code: "unsupported" });
      expect(await ends(vm)).toEqual(["off", "none"]);
      await source.driver.destroy(vm);
      await destination.driver.destroy(movedOf(vm));
    });

    test("a VM whose disk stands on an image, or has checkpoints over it", async () => {
      const clone = aDesiredVm({ image: source.world.image, ownerEpoch: 3 });
      await source.driver.create(clone);
      await source.driver.eraseSeed(clone);
      await source.driver.start(clone);
      await expect(move(clone)).rejects.toMatchObject({
        code: "unsupported",
        message: expect.stringMatching(/image/),
      });
      await expectStayed(clone);
      const vm = await running();
      await source.driver.checkpoint(vm, crypto.randomUUID());
      await expect(move(vm)).rejects.toMatchObject({ code: "unsupported" });
      await expectStayed(vm);
      for (const one of [clone, vm]) await source.driver.destroy(one);
    });

    test("with a limit, which Hyper-V would not keep, and to a place that is none", async () => {
      const vm = await running();
      await expect(move(vm, { mbit: 100 })).rejects.toMatchObject({ code: "unsupported" });
      for (const definition of ["", "{}", JSON.stringify({ computer: "a b", folder: "/x" })]) {
        const to = { moved: movedOf(vm), target: { definition }, base: null, mbitPerSecond: null };
        const call = source.live.migrateLive(vm, { ...to, tell: () => undefined });
        await expect(call).rejects.toMatchObject({ code: "unsupported" });
      }
      await expectStayed(vm);
      await source.driver.destroy(vm);
    });

    test("at a destination that has something of it already", async () => {
      const vm = await running();
      const moved = movedOf(vm);
      await destination.live.prepareLive(moved, null);
      await copyFile(diskOf(source.world, vm), diskOf(destination.world, moved));
      await expect(move(vm)).rejects.toMatchObject({ code: "unsupported" });
      await expectStayed(vm);
      await source.driver.destroy(vm);
    });
  });

  async function inTheMiddle(vm: DesiredVm, signal?: AbortSignal) {
    await source.world.configure({ MigrationMs: SLOW_MS });
    const came = move(vm, signal ? { signal } : {}).then(
      () => "done",
      (error: unknown) => String(error),
    );
    await eventually("it is on its way", async () => (await ends(vm))[0] === "moving");
    await source.world.configure({ MigrationMs: QUICK_MS });
    return came;
  }

  test("called off in the middle it stays, and can be moved after all", async () => {
    const vm = await running();
    const off = new AbortController();
    const came = inTheMiddle(vm, off.signal);
    await eventually("it is on its way", async () => (await ends(vm))[0] === "moving");
    off.abort(new Error("called off"));
    expect(await came).toBe("Error: called off");
    expect(await verdict(vm)).toBe("rolled_back");
    await move(vm);
    expect(await verdict(vm)).toBe("moved");
    await source.driver.destroy(vm);
    await destination.driver.destroy(movedOf(vm));
  });

  test("whose PowerShell dies goes on by Hyper-V's service, and both ends show what came of it", async () => {
    const vm = await running();
    await source.world.configure({ MigrationMs: 3_000 });
    const edges = await source.world.countEdges(() => move(vm));
    await source.world.configure({ MigrationMs: QUICK_MS });
    expect(await verdict(vm)).toBe("moved");
    await source.driver.destroy(vm);
    await destination.driver.destroy(movedOf(vm));
    const seen: string[] = [];
    const all = Array.from({ length: edges }, (_, n) => n + 1);
    for (const edge of sampled("edges of Move-VM", all, 4)) {
      const next = await running();
      await source.world.killAt(edge);
      await move(next).catch(() => undefined);
      await source.world.outlived();
      const came = await eventually("an end of it", async () => {
        const now = await verdict(next);
        return now === "going_on" ? null : now;
      });
      expect(["moved", "rolled_back"]).toContain(came);
      seen.push(came);
      const copies = [...(await source.world.vms()), ...(await destination.world.vms())];
      expect(copies.filter(({ Name }) => Name === next.vmId).length).toBe(1);
      await source.driver.destroy(next);
      await destination.driver.destroy(movedOf(next));
    }
    // Before it was asked for, nothing comes of it; afterwards nobody can keep Hyper-V from it.
    expect(seen).toEqual(seen.toSorted().toReversed());
    console.info(
      `Move-VM whose PowerShell died at ${seen.length} of ${edges} edges: ${seen.join()}`,
    );
  });

  test("a host is offered for it only where its operator has joined it and Windows takes part", async () => {
    const capable = async (driver: HypervDriver) => (await driver.facts()).capabilities.moveLive;
    expect(await capable(source.driver)).toBe(true);
    const plain = source.world.open();
    expect(await capable(plain)).toBe(false);
    expect(plain.moves?.live ?? null).toBeNull();
    await source.world.configure({ MigrationEnabled: false });
    expect(await capable(source.driver)).toBe(false);
    await source.world.configure({ MigrationEnabled: true });
  });

  test("a record of the stand-in's goes over too", async () => {
    const vm = await running();
    const disk = diskOf(source.world, vm);
    await writeFile(disk, JSON.stringify({ Type: "Dynamic", Size: GIB, Parent: null }));
    await writeTo(disk, 6, "guest");
    const content = await sumOfContent(disk);
    await move(vm);
    expect(await sumOfContent(diskOf(destination.world, vm))).toBe(content);
    await source.driver.destroy(vm);
    await destination.driver.destroy(movedOf(vm));
  });
});

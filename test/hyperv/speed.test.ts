import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterEach, describe, expect } from "vitest";
import { costlyTest as it } from "#test/harness/costly-test.ts";
import type { DesiredVm } from "#core/contracts/agent/desired.ts";
import { aDesiredVm, realClock } from "../drivers/builders.ts";
import { aWorld, noPwsh, type World } from "./world.ts";

declare module "vitest" {
  interface TaskMeta {
    /** Told by `npm run test:hyperv`. */
    figures?: Record<string, number>;
  }
}

/** The median of these counts, after one that nobody counts, as the first is compiled while it runs. */
const LOOKS = 8;
const rounded = (times: readonly number[]) => {
  const sorted = times.toSorted((a, b) => a - b);
  return {
    p50: Math.round(sorted[Math.floor(sorted.length / 2)] ?? Infinity),
    max: Math.round(sorted.at(-1) ?? Infinity),
  };
};

/**
 * What the programs that this process began have taken of the CPU, in milliseconds: of a slow or busy machine as of any other. After
 * the name in parentheses, which may hold anything, the parent is the 2nd of proc(5)'s fields, and the two times the 12th and 13th.
 */
async function cpuOfChildrenMs(): Promise<number> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const stats = await Promise.all(
    pids.map((pid) => readFile(`/proc/${pid}/stat`, "utf8").catch(() => "")),
  );
  const fields = stats.map((stat) => stat.slice(stat.lastIndexOf(")") + 2).split(" "));
  const ours = fields.filter(([, parent]) => Number(parent) === process.pid);
  return ours.reduce((ms, field) => ms + (Number(field[11]) + Number(field[12])) * 10, 0);
}

const skipped = noPwsh ? ` (skipped: ${noPwsh})` : "";
describe.skipIf(noPwsh !== null)(`the time it takes${skipped}`, () => {
  let world: World;
  afterEach(() => world.close());

  /** Copies of a VM that the driver made, with ids, folders and disks of their own. */
  async function populate(template: DesiredVm, count: number): Promise<void> {
    const [vm] = await world.vms();
    if (!vm) throw new Error("there is no VM to copy");
    const text = JSON.stringify(vm);
    for (let n = 1; n < count; n++) {
      const vmId = crypto.randomUUID();
      const id = crypto.randomUUID();
      const folder = path.join(world.root, "vms", vmId);
      await mkdir(folder);
      await writeFile(path.join(folder, "berth.owner"), `berth:1 vm=${vmId} epoch=1\n`);
      await writeFile(path.join(folder, "disk.vhdx"), '{"Type":"Dynamic","Size":1073741824}');
      const copy = text.replaceAll(template.vmId, vmId).replaceAll(vm.Id, id);
      await writeFile(path.join(world.env["BERTH_HYPERV_STATE"] ?? "", "vms", `${id}.json`), copy);
    }
  }

  it("500 VMs are listed in one round trip, for a few seconds of the CPU", async ({ task }) => {
    world = await aWorld();
    // What they are limited to is asked once a minute: here, before they are counted.
    const still = realClock.now();
    const driver = world.open({ clock: { ...realClock, now: () => still } });
    const template = aDesiredVm({ image: world.image });
    await driver.create(template);
    await driver.start(template);
    await populate(template, 500);
    await driver.list();
    await world.record();
    const times: number[] = [];
    const before = await cpuOfChildrenMs();
    for (let n = 0; n < LOOKS; n++) {
      const from = performance.now();
      expect(await driver.list()).toHaveLength(500);
      times.push(performance.now() - from);
    }
    const cpu = ((await cpuOfChildrenMs()) - before) / LOOKS;
    const calls = await world.recorded();
    const cmdlets = calls.map((call) => call.cmdlet);
    // The VMs, and three looks through CIM: systems, their processes, and what the guests say.
    expect(cmdlets.filter((cmdlet) => cmdlet === "Get-VM")).toHaveLength(LOOKS);
    expect(cmdlets.filter((cmdlet) => cmdlet !== "Get-VM" && cmdlet !== "Get-CimInstance")).toEqual(
      [],
    );
    expect(cmdlets).toHaveLength(LOOKS * 4);
    const { p50, max } = rounded(times);
    const own = calls.reduce((sum, call) => sum + call.ms, 0) / LOOKS;
    task.meta.figures = {
      "list of 500 VMs, p50 ms": p50,
      "list of 500 VMs, max ms": max,
      "list of 500 VMs, CPU ms": Math.round(cpu),
      "of which the stand-in's cmdlets, ms on average": Math.round(own),
    };
    expect(cpu).toBeGreaterThan(0);
    // 1.2 to 2 s, by the machine and what it does besides. What this keeps off is a look for each VM, which takes many times that.
    expect(cpu).toBeLessThanOrEqual(4500);
  });

  it("500 running VMs are counted in one round trip, and as many cmdlets as one VM takes", async ({
    task,
  }) => {
    world = await aWorld();
    const driver = world.open();
    const template = aDesiredVm({ image: world.image });
    await driver.create(template);
    await driver.start(template);
    await driver.counters();
    await world.record();
    await driver.counters();
    const ofOne = (await world.recorded()).map((call) => call.cmdlet);
    await populate(template, 500);
    await driver.counters();
    await world.record();
    const times: number[] = [];
    for (let n = 0; n < LOOKS / 2; n++) {
      const from = performance.now();
      expect(await driver.counters()).toHaveLength(500);
      times.push(performance.now() - from);
    }
    const calls = await world.recorded();
    expect(calls).toHaveLength((ofOne.length * LOOKS) / 2);
    const own = calls.reduce((sum, call) => sum + call.ms, 0) / (LOOKS / 2);
    const { p50, max } = rounded(times);
    task.meta.figures = {
      "counters of 500 VMs, p50 ms": p50,
      "counters of 500 VMs, max ms": max,
      "of which the stand-in's cmdlets (counters), ms on average": Math.round(own),
    };
  });

  it("a warm start adds at most 50 ms to the cmdlet's own time, beside 500 VMs", async ({
    task,
  }) => {
    world = await aWorld();
    const driver = world.open();
    const template = aDesiredVm({ image: world.image });
    await driver.create(template);
    await populate(template, 500);
    await world.configure({ DelayMs: { "Start-VM": 200 } });
    await driver.start(template);
    const added: number[] = [];
    const owns: number[] = [];
    for (let n = 0; n < 5; n++) {
      await driver.stop(template, "firm");
      await world.record();
      const from = performance.now();
      await driver.start(template);
      const took = performance.now() - from;
      const own = (await world.recorded()).find((call) => call.cmdlet === "Start-VM");
      expect(own?.ms).toBeGreaterThanOrEqual(200);
      added.push(took - (own?.ms ?? 0));
      owns.push(own?.ms ?? 0);
    }
    const { p50, max } = rounded(added);
    task.meta.figures = {
      "added to Start-VM, p50 ms": p50,
      "added to Start-VM, max ms": max,
      "Start-VM itself, p50 ms": rounded(owns).p50,
    };
    expect(p50).toBeLessThanOrEqual(50);
  });
});

import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Clock } from "#core/ports.ts";
import { sampled } from "#test/harness/extent.ts";
import { selftest } from "#host-agent/drivers/hyperv/selftest.ts";
import { eventually, randomIds, realClock } from "../drivers/builders.ts";
import { aWorld, noPwsh, pwsh, standinModule, WINDOWS, type World } from "./world.ts";

const execute = promisify(execFile);

const skipped = noPwsh ? ` (skipped: ${noPwsh})` : "";
describe.skipIf(noPwsh !== null)(`the self-test of a Hyper-V host${skipped}`, () => {
  let world: World;
  beforeEach(async () => {
    world = await aWorld();
  });
  afterEach(() => world.close());
  const left = async () => ({
    vms: await world.vms(),
    folders: await readdir(path.join(world.root, "vms")),
    trash: await readdir(path.join(world.root, "trash")),
  });
  /** `berth-agent selftest`, but for the image's name. */
  const command = async () => {
    const config = path.join(world.folder, "hyperv.json");
    const { root, images } = world.options;
    const powershell = { executable: pwsh, module: standinModule };
    await writeFile(config, JSON.stringify({ root, images, switch: "Public", powershell }));
    const main = path.join(import.meta.dirname, "../../host-agent/main.ts");
    const place = ["--driver", "hyperv", "--driver-config", config];
    const args = [main, "selftest", ...place, "--image"];
    return [args, { env: { ...process.env, ...world.env } }] as const;
  };
  /** Pauses take no time; what a cmdlet may take, it may take. */
  const aClock = (onPause: (pauses: number) => Promise<void>): Clock => {
    let skipped = 0;
    let pauses = 0;
    return {
      now: () => new Date(realClock.now().getTime() + skipped),
      async sleep(ms, signal) {
        if (ms >= 60_000) return realClock.sleep(ms, signal);
        skipped += ms;
        await onPause(++pauses);
      },
    };
  };
  const nothing = { vms: [], folders: [], trash: [] };

  test.each(sampled("self-test of a host", WINDOWS, 2))(
    "passes on a stand-in of %s and leaves nothing",
    async (Windows) => {
      await world.configure({ Windows });
      const steps = await selftest({ ...world.options, ids: randomIds }, world.image);
      expect(steps.filter((step) => !step.ok)).toEqual([]);
      expect(steps.map((step) => step.step)).toContain("delete checkpoint");
      expect(await left()).toEqual(nothing);
    },
  );

  test("is what `berth-agent selftest` runs, with a PowerShell of the operator's own", async () => {
    const [args, options] = await command();
    const run = (image: string) => execute(process.execPath, [...args, image], options);
    expect((await run("tiny")).stdout).toMatch(/delete checkpoint[^]*nothing is left/);
    await expect(run("missing")).rejects.toMatchObject({ code: 1 });
    expect(await left()).toEqual(nothing);
  });

  test("stops at what fails, says why, and leaves nothing", async () => {
    await world.configure({ MemoryBytes: 2 ** 20 });
    const steps = await selftest({ ...world.options, ids: randomIds }, world.image);
    expect(steps.at(-2)).toMatchObject({
      step: "start",
      ok: false,
      detail: expect.stringContaining("OutOfMemory"),
    });
    expect(steps.at(-1)).toMatchObject({ step: "clean up", ok: true });
    expect(await left()).toEqual(nothing);
  });

  test("tries to clean up again while something holds the VM's files", async () => {
    await world.configure({ FailWith: { "Remove-VM": "OperationFailed" } });
    const clock = aClock(async (pauses) => {
      if (pauses === 2) await world.configure({ FailWith: {} });
    });
    const steps = await selftest({ ...world.options, clock, ids: randomIds }, world.image);
    expect(steps.at(-1)).toMatchObject({ ok: true, detail: "nothing is left, at attempt 3" });
    expect(await left()).toEqual(nothing);
  });

  test("gives the clean-up up after two minutes, and says so", async () => {
    await world.configure({ FailWith: { "Remove-VM": "OperationFailed" } });
    let last = 0;
    const clock = aClock(async (pauses) => void (last = pauses));
    const steps = await selftest({ ...world.options, clock, ids: randomIds }, world.image);
    expect(steps.at(-1)).toMatchObject({ step: "clean up", ok: false });
    expect(steps.at(-1)?.ms).toBeGreaterThanOrEqual(120_000);
    expect(last).toBeGreaterThan(10);
  });

  test.each(["SIGINT", "SIGTERM"] as const)(
    "told to stop by %s, cleans up first",
    async (signal) => {
      await world.configure({ DelayMs: { "Start-VM": 60_000 } });
      const [args, options] = await command();
      const child = spawn(process.execPath, [...args, "tiny"], { ...options, stdio: "pipe" });
      let said = "";
      child.stdout.on("data", (chunk: Buffer) => (said += chunk.toString()));
      const ended = once(child, "close");
      const isWhole = async () =>
        (await world.vms()).some((vm) => vm.Notes.includes("state=ready"));
      await eventually("the VM is made", isWhole);
      child.kill(signal);
      expect(await ended).toEqual([1, null]);
      expect(said).toMatch(new RegExp(`told to stop .${signal}[^]*nothing is left`));
      expect(await left()).toEqual(nothing);
    },
  );
});

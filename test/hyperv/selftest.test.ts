import { execFile } from "node:child_process";
import { readdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { selftest } from "#host-agent/drivers/hyperv/selftest.ts";
import { randomIds } from "../drivers/builders.ts";
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
  const nothing = { vms: [], folders: [], trash: [] };

  test.each(WINDOWS)("passes on a stand-in of %s and leaves nothing", async (Windows) => {
    await world.configure({ Windows });
    const steps = await selftest({ ...world.options, ids: randomIds }, world.image);
    expect(steps.filter((step) => !step.ok)).toEqual([]);
    expect(steps.map((step) => step.step)).toContain("delete checkpoint");
    expect(await left()).toEqual(nothing);
  });

  test("is what `berth-agent selftest` runs, with a PowerShell of the operator's own", async () => {
    const config = path.join(world.folder, "hyperv.json");
    const { root, images } = world.options;
    const powershell = { executable: pwsh, module: standinModule };
    await writeFile(config, JSON.stringify({ root, images, switch: "Public", powershell }));
    const main = path.join(import.meta.dirname, "../../host-agent/main.ts");
    const place = ["--driver", "hyperv", "--driver-config", config];
    const run = (image: string) =>
      execute(process.execPath, [main, "selftest", ...place, "--image", image], {
        env: { ...process.env, ...world.env },
      });
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
});

import { mkdir, rm } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { EXAMINERS } from "#host-agent/doctor/examine-host.ts";
import { randomIds } from "../drivers/builders.ts";
import { aWorld, noPwsh, pwsh, standinModule, type World } from "./world.ts";

const skipped = noPwsh ? ` (skipped: ${noPwsh})` : "";
describe.skipIf(noPwsh !== null)(`item 4: a doctor on a Hyper-V host${skipped}`, () => {
  let world: World;
  beforeEach(async () => {
    world = await aWorld();
    // The operator's part (docs/runbooks/hyper-v-host.md).
    await mkdir(world.options.root, { recursive: true });
  });
  afterEach(() => world.close());

  const wrong = async (over: Record<string, unknown> = {}) => {
    const { root, images } = world.options;
    const powershell = { executable: pwsh, module: standinModule };
    const config = { root, images, switch: "Public", powershell, ...over };
    const ports = { ...world.options, ids: randomIds, root: "/" };
    const checks = await EXAMINERS.hyperv.examine(config, null, ports);
    return checks.filter(({ ok }) => !ok).map(({ name }) => name);
  };

  test("finds nothing wrong with a good one, and what is planted by name", async () => {
    expect(await wrong()).toEqual([]);
    const powershell = { executable: "/no-powershell-here" };
    expect(await wrong({ powershell })).toEqual(expect.arrayContaining(["hypervisor", "cmdlets"]));
    await rm(world.options.images, { recursive: true });
    expect(await wrong()).toContain("folders");
  });
});

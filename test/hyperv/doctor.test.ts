import { mkdir, rm } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { EXAMINERS } from "#host-agent/doctor/examine-host.ts";
import { randomIds } from "../drivers/builders.ts";
import { aWorld, noPwsh, pwsh, standinModule, type World } from "./world.ts";

const skipped = noPwsh ? ` (skipped: ${noPwsh})` : "";
describe.skipIf(noPwsh !== null)(`item 4: a doctor on a Hyper-V host${skipped}`, () => {
  let world: World;
  beforeEach(async () => {
    world = await aWorld();
    for (const [name, value] of Object.entries(world.env)) vi.stubEnv(name, value);
    // The operator's part (docs/runbooks/hyper-v-host.md).
    await mkdir(world.options.root, { recursive: true });
  });
  afterEach(async () => {
    vi.unstubAllEnvs();
    await world.close();
  });

  const wrong = async (over: Record<string, unknown> = {}) => {
    const { root, images } = world.options;
    const powershell = { executable: pwsh, module: standinModule };
    const config = { root, images, switch: "Public", powershell, ...over };
    const { clock, log, agentVersion } = world.options;
    const ports = { clock, log, agentVersion, ids: randomIds, root: "/" };
    const checks = await EXAMINERS.hyperv.examine(config, null, ports);
    return checks.filter(({ ok }) => !ok).map(({ name }) => name);
  };

  test("finds nothing wrong with a good one, and what is planted by name", async () => {
    expect(await wrong()).toEqual([]);
    expect(await wrong({ switch: "Renamed" })).toContain("hypervisor");
    const powershell = { executable: "/no-powershell-here" };
    expect(await wrong({ powershell })).toEqual(expect.arrayContaining(["hypervisor", "cmdlets"]));
    await rm(world.options.images, { recursive: true });
    expect(await wrong()).toContain("folders");
  });
});

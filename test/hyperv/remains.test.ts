import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import type { VmRef } from "#host-agent/drivers/driver.ts";
import { aDesiredVm } from "../drivers/builders.ts";
import { aWorld, noPwsh, type World } from "./world.ts";

/** A VM that Hyper-V has lost, or that a person removed, leaves its folder, and with it what its owner stored. */
const skipped = noPwsh ? ` (skipped: ${noPwsh})` : "";
describe.skipIf(noPwsh !== null)(`a VM of which only the folder is left${skipped}`, () => {
  let world: World;
  afterEach(() => world.close());

  async function aFolderOf(ref: VmRef, owner: string | null): Promise<string> {
    world = await aWorld();
    const folder = path.join(world.root, "vms", ref.vmId);
    await mkdir(folder, { recursive: true });
    await writeFile(path.join(folder, "disk.vhdx"), "the customer's");
    if (owner !== null) await writeFile(path.join(folder, "berth.owner"), owner);
    return folder;
  }
  const ref: VmRef = { vmId: aDesiredVm().vmId, ownerEpoch: 7 };
  const stillThere = async (folder: string) =>
    expect(await readFile(path.join(folder, "disk.vhdx"), "utf8")).toBe("the customer's");

  test.each([6, 8])(
    "is not destroyed for who owned it in epoch %i, when it is epoch 7's",
    async (ownerEpoch) => {
      const folder = await aFolderOf(ref, `berth:1 vm=${ref.vmId} epoch=7\n`);
      const destroy = world.open().destroy({ ...ref, ownerEpoch });
      await expect(destroy).rejects.toMatchObject({ code: "stale_epoch" });
      await stillThere(folder);
    },
  );

  test.each([
    ["no owner file", null],
    ["another VM's owner file", `berth:1 vm=${aDesiredVm().vmId} epoch=7\n`],
    ["an owner file that says nothing", "\n"],
  ])("is nobody's with %s", async (_what, owner) => {
    const folder = await aFolderOf(ref, owner);
    await expect(world.open().destroy(ref)).rejects.toMatchObject({ code: "not_ours" });
    await stillThere(folder);
  });

  test("lies whole in the trash once its owner destroys it", async () => {
    await aFolderOf(ref, `berth:1 vm=${ref.vmId} epoch=7\n`);
    await world.open().destroy(ref);
    expect(await readdir(path.join(world.root, "vms"))).toEqual([]);
    const [lies, ...more] = await readdir(path.join(world.root, "trash"));
    expect(lies).toMatch(new RegExp(`_${ref.vmId}_7$`));
    expect(more).toEqual([]);
    await stillThere(path.join(world.root, "trash", lies ?? ""));
  });
});

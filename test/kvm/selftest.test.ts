import { readdir } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { selftest } from "#host-agent/drivers/kvm/selftest.ts";
import { randomIds } from "#test/drivers/builders.ts";
import { openKvmTestHost, type KvmTestHost } from "./host.ts";
import { openGround } from "./libvirt-daemon.ts";

const ground = await openGround();
const skipped = ground.available ? "" : ` (skipped: ${ground.reason})`;

describe.skipIf(!ground.available)(`item 4: the self-test of a KVM host${skipped}`, () => {
  let host: KvmTestHost;
  beforeEach(async () => {
    const opened = await openKvmTestHost({ network: "isolated" });
    if (!opened.available) throw new Error(opened.reason);
    host = opened;
  });
  afterEach(() => host.close());
  const left = async () =>
    (
      await Promise.all(
        [host.dirs.diskDir, host.dirs.seedDir, host.dirs.trashDir].map((dir) => readdir(dir)),
      )
    )
      .flat()
      .filter((name) => name !== "images.json");

  test("passes on real libvirt, whose files nobody else may open, and leaves nothing", async () => {
    const made: string[] = [];
    const newId = () => {
      made.push(randomIds.newId());
      return made.at(-1) ?? "";
    };
    const steps = await selftest({ ...host.options, ids: { newId } }, host.image);
    expect(steps.filter((step) => !step.ok)).toEqual([]);
    expect(steps.map(({ step }) => step)).toEqual([
      "facts",
      "create",
      "create again",
      "start",
      "counters",
      "guard",
      "reset",
      "stop",
      "resize",
      "file rights",
      "erase seed",
      "clean up",
    ]);
    expect(await left()).toEqual([]);
    // Other tests have VMs of their own on this libvirt.
    const defined = await host.virsh("list", "--all", "--name");
    expect(made.length).toBeGreaterThan(0);
    expect(made.filter((id) => defined.includes(id))).toEqual([]);
  });

  test("ends at the step that fails, says what failed, and still cleans up", async () => {
    const image = { ...host.image, file: "not-there" };
    const steps = await selftest({ ...host.options, ids: randomIds }, image);
    expect(steps.map(({ step, ok }) => [step, ok])).toEqual([
      ["facts", true],
      ["create", false],
      ["clean up", true],
    ]);
    expect(steps[1]?.detail).toContain("not-there");
    expect(await left()).toEqual([]);
  });
});

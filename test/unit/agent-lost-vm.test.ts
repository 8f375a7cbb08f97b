import { describe, expect, test } from "vitest";
import type { DesiredVm } from "#core/contracts/agent/desired.ts";
import { loseVm } from "#host-agent/drivers/simulated/host-events.ts";
import { memoryStore, type StateStore } from "#host-agent/state/state-store.ts";
import { createTestHost, type TestHost } from "#test/drivers/agent-harness.ts";
import { aDesiredVm } from "#test/drivers/builders.ts";

/* 5.1: what an agent does about a VM that somebody took away from its hypervisor. */

/** A VM that runs, and that its control plane knows to have been whole. */
async function aRunningVm(host: TestHost): Promise<DesiredVm> {
  const vm = aDesiredVm();
  host.plane.want([vm]);
  await host.agent.pass();
  host.plane.change(vm.vmId, { mayCreate: false });
  await host.agent.pass();
  return vm;
}
const recordOf = async (host: TestHost, vm: DesiredVm) => {
  const record = await host.world.vm(vm.vmId);
  if (record === null) throw new Error("it is gone");
  return record;
};
const stop = async (host: TestHost, vm: DesiredVm) => {
  host.plane.change(vm.vmId, { power: "off", stopMode: "firm" });
  await host.agent.pass();
};

describe("a VM without its definition", () => {
  test("that runs is defined again, and its guest notices nothing", async () => {
    const host = createTestHost();
    const vm = await aRunningVm(host);
    const before = await recordOf(host, vm);
    await loseVm(host.world, vm.vmId, "definition");
    await host.agent.pass();
    expect(await recordOf(host, vm)).toEqual(before);
    expect(host.plane.last(vm.vmId)).toMatchObject({ settled: true, error: null });
    await stop(host, vm);
    expect(host.plane.last(vm.vmId)).toMatchObject({ observed: { power: "off", complete: true } });
  });

  test("that is off is lost: it is told, and logged once at its beginning and once at its end", async () => {
    const host = createTestHost();
    const vm = await aRunningVm(host);
    await stop(host, vm);
    await loseVm(host.world, vm.vmId, "definition");
    for (let n = 0; n < 3; n++) await host.agent.pass();
    expect(host.plane.last(vm.vmId)).toMatchObject({
      settled: false,
      observed: { complete: false },
      error: { code: "vm_missing" },
    });
    expect(host.errors.filter((event) => event === "vm_refused")).toHaveLength(1);
    const lost = await recordOf(host, vm);
    host.plane.change(vm.vmId, { repair: "adopt_disk", needs: ["repair"] });
    await host.agent.pass();
    expect(host.plane.last(vm.vmId)).toMatchObject({ settled: true, observed: { complete: true } });
    expect(await recordOf(host, vm)).toMatchObject({ disk: lost.disk, definition: {} });
    await loseVm(host.world, vm.vmId, "definition");
    host.plane.change(vm.vmId, { repair: undefined, needs: undefined });
    await host.agent.pass();
    expect(host.errors.filter((event) => event === "vm_refused")).toHaveLength(2);
  });
});

describe("a VM that was whole here, and of which the document in hand says still that it is to be made", () => {
  test("is not made again, by this agent or by the next one", async () => {
    const host = createTestHost();
    const vm = aDesiredVm({ mayCreate: true });
    host.plane.want([vm]);
    await host.agent.pass();
    await loseVm(host.world, vm.vmId, "all");
    await host.agent.pass();
    expect(host.plane.last(vm.vmId)).toMatchObject({
      observed: null,
      error: { code: "vm_missing" },
    });
    await host.restart().pass();
    expect(host.plane.last(vm.vmId)).toMatchObject({
      observed: null,
      error: { code: "vm_missing" },
    });
    expect(await host.world.vm(vm.vmId)).toBeNull();
  });

  test("runs on though that cannot be written down, and is not made again by this agent", async () => {
    const plain = memoryStore();
    const store: StateStore = {
      ...plain,
      write: async (name, text) => {
        if (name.startsWith("made")) throw new Error("no space is left");
        await plain.write(name, text);
      },
    };
    const host = createTestHost({ store });
    const vm = aDesiredVm({ mayCreate: true });
    host.plane.want([vm]);
    await host.agent.pass();
    expect(host.plane.last(vm.vmId)).toMatchObject({ observed: { power: "running" } });
    await loseVm(host.world, vm.vmId, "all");
    await host.agent.pass();
    expect(host.plane.last(vm.vmId)).toMatchObject({
      observed: null,
      error: { code: "vm_missing" },
    });
  });

  test("is made anew when staff say so", async () => {
    const host = createTestHost();
    const vm = aDesiredVm({ mayCreate: true });
    host.plane.want([vm]);
    await host.agent.pass();
    await loseVm(host.world, vm.vmId, "all");
    host.plane.change(vm.vmId, { repair: "recreate", needs: ["repair"] });
    await host.agent.pass();
    expect(host.plane.last(vm.vmId)).toMatchObject({ settled: true, observed: { complete: true } });
  });
});

describe("a VM that was made anew, and of which the document in hand says still that it is to be", () => {
  const recreate = { repair: "recreate" as const, needs: ["repair"] };
  async function made() {
    const host = createTestHost();
    const vm = await aRunningVm(host);
    await stop(host, vm);
    await loseVm(host.world, vm.vmId, "all");
    host.plane.change(vm.vmId, recreate);
    await host.agent.pass();
    return { host, vm };
  }

  // 5, item 8: an agent that starts on a stored document while the control plane is away.
  test.each(["definition", "all"] as const)(
    "is not made anew once more (%s gone), by this agent or by the next one",
    async (what) => {
      const { host, vm } = await made();
      const { disk } = await recordOf(host, vm);
      await loseVm(host.world, vm.vmId, what);
      for (const begin of [() => host.agent, () => host.restart()]) {
        await begin().pass();
        expect(host.plane.last(vm.vmId)).toMatchObject({ error: { code: "vm_missing" } });
      }
      expect((await host.world.vm(vm.vmId))?.disk).toEqual(what === "all" ? undefined : disk);
    },
  );

  test("is made anew again when staff say so again", async () => {
    const { host, vm } = await made();
    const { disk } = await recordOf(host, vm);
    host.plane.change(vm.vmId, { repair: undefined, needs: undefined });
    await host.agent.pass();
    await loseVm(host.world, vm.vmId, "all");
    host.plane.change(vm.vmId, recreate);
    await host.agent.pass();
    expect(host.plane.last(vm.vmId)).toMatchObject({ settled: true, observed: { complete: true } });
    expect((await recordOf(host, vm)).disk?.serial).not.toBe(disk?.serial);
  });
});

describe("a VM that is brought back", () => {
  test("on a disk that is another one than it had is refused, and the disk stays", async () => {
    const host = createTestHost();
    const vm = await aRunningVm(host);
    await stop(host, vm);
    await loseVm(host.world, vm.vmId, "definition");
    const record = await recordOf(host, vm);
    const disk = { serial: "another", image: "another", everStarted: true };
    await host.world.putVm({ ...record, disk });
    host.plane.change(vm.vmId, { repair: "adopt_disk", needs: ["repair"] });
    await host.agent.pass();
    expect(host.plane.last(vm.vmId)).toMatchObject({ error: { code: "unsupported" } });
    expect(await recordOf(host, vm)).toMatchObject({ disk, definition: null });
  });

  test.each(["definition", "all"] as const)(
    "anew has a disk of its own; what was left of it (%s gone) lies in the trash",
    async (what) => {
      const host = createTestHost();
      const vm = await aRunningVm(host);
      await stop(host, vm);
      const { disk } = await recordOf(host, vm);
      await loseVm(host.world, vm.vmId, what);
      host.plane.change(vm.vmId, { power: "running", repair: "recreate", needs: ["repair"] });
      await host.agent.pass();
      expect(host.plane.last(vm.vmId)).toMatchObject({
        settled: true,
        observed: { power: "running", complete: true },
      });
      expect((await recordOf(host, vm)).disk?.serial).not.toBe(disk?.serial);
      const trash = (await host.world.trash()).map(({ serial }) => serial);
      expect(trash).toEqual(what === "definition" ? [disk?.serial] : []);
    },
  );

  test("from the trash has its disk again, and what lay in its place is not touched", async () => {
    const host = createTestHost();
    const vm = await aRunningVm(host);
    await stop(host, vm);
    const before = await recordOf(host, vm);
    host.plane.change(vm.vmId, { presence: "absent" });
    await host.agent.pass();
    const words = { repair: "restore_trash", needs: ["repair", "restore-trash"] } as const;
    host.plane.change(vm.vmId, {
      presence: "present",
      power: "running",
      ...words,
      needs: [...words.needs],
    });
    const other = {
      ...before,
      definition: null,
      disk: { ...before.disk, serial: "another", image: "x", everStarted: true },
    };
    await host.world.putVm(other);
    await host.agent.pass();
    expect(host.plane.last(vm.vmId)).toMatchObject({ error: { code: "unsupported" } });
    expect(await recordOf(host, vm)).toEqual(other);
    await host.world.removeVm(vm.vmId);
    host.plane.change(vm.vmId, {});
    await host.agent.pass();
    expect(host.plane.last(vm.vmId)).toMatchObject({
      settled: true,
      observed: { power: "running", complete: true },
    });
    expect((await recordOf(host, vm)).disk).toEqual(before.disk);
    expect(await host.world.trash()).toEqual([]);
  });
});

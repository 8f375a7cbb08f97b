import { randomUUID } from "node:crypto";
import { describe, expect, test } from "vitest";
import type { DesiredVm } from "#core/contracts/agent/desired.ts";
import { desiredHash } from "#host-agent/converge/desired.ts";
import { readDocument } from "#host-agent/converge/read-document.ts";
import { DriverError } from "#host-agent/drivers/driver.ts";
import { runAt } from "#host-agent/drivers/simulated/guest.ts";
import { when } from "#host-agent/drivers/simulated/faults.ts";
import { createTestHost, type TestHost } from "#test/drivers/agent-harness.ts";
import { aDesiredVm } from "#test/drivers/builders.ts";
import { unreachable } from "#test/drivers/fake-control-plane.ts";

const MINUTE = 60_000;

/** The control plane sends this from now on, whatever it is, in a generation of its own. */
let generation = 100;
function send(host: TestHost, vms: readonly unknown[]) {
  generation += 1;
  host.plane.sendInstead = {
    ...host.plane.document(),
    generation,
    vms: [...vms],
    hash: desiredHash(vms),
  };
}

const isOn = async (host: TestHost, vmId: string) => {
  const vm = await host.world.vm(vmId);
  return vm !== null && runAt(vm, host.clock.now().getTime()) !== null;
};

const next = (vm: DesiredVm): DesiredVm => ({ ...vm, generation: vm.generation + 1 });

const UNKNOWN: [string, (vm: DesiredVm) => object, RegExp][] = [
  ["a word", (vm) => ({ ...vm, needs: ["second-disk"] }), /does not know second-disk/],
  ["a shape", (vm) => ({ ...vm, size: { vcpus: { cores: 1 }, memoryMib: 1 } }), /size.vcpus/],
  ["a value", (vm) => ({ ...vm, power: "hibernated" }), /cannot read power/],
  [
    "a kind of one-shot work",
    (vm) => ({ ...vm, pendingActions: [{ id: randomUUID(), type: "dump" }] }),
    /pendingActions.0.type/,
  ],
  ["needs that are no list", (vm) => ({ ...vm, needs: "all" }), /cannot read needs/],
];

describe("a VM that holds something unknown", () => {
  test.each(UNKNOWN)("%s: is refused alone and stays as it is", async (_, change, why) => {
    const host = createTestHost();
    const [odd, other] = [aDesiredVm(), aDesiredVm()];
    host.plane.want([odd, other]);
    await host.agent.pass();
    // It would be stopped, if it were understood.
    send(host, [
      change({ ...next(odd), power: "off", stopMode: "firm" }),
      { ...next(other), power: "off", stopMode: "firm" },
    ]);
    await host.agent.pass();
    expect(host.plane.last(odd.vmId)).toMatchObject({
      generation: 2,
      settled: false,
      observed: { power: "running" },
      error: { code: "unsupported_by_agent", detail: expect.stringMatching(why) },
    });
    expect(await isOn(host, odd.vmId)).toBe(true);
    expect(host.plane.last(other.vmId)).toMatchObject({
      settled: true,
      observed: { power: "off" },
    });
    expect(host.plane.reports.at(-1)?.strangers).toEqual([]);
    expect(host.plane.reports.at(-1)?.desiredGeneration).toBe(generation);
    // It is understood again: then it is done.
    send(host, [{ ...next(odd), power: "off", stopMode: "firm" }, next(other)]);
    await host.agent.pass();
    expect(await isOn(host, odd.vmId)).toBe(false);
  });

  test.each(["present", "absent"])(
    "that is to be %s and never was is not made, nor called gone",
    async (presence) => {
      const host = createTestHost();
      const vm = aDesiredVm();
      send(host, [{ ...vm, presence, needs: ["second-disk"] }]);
      await host.agent.pass();
      expect(await host.world.vms()).toEqual([]);
      expect(host.plane.last(vm.vmId)).toMatchObject({
        observed: null,
        settled: false,
        error: { code: "unsupported_by_agent" },
      });
    },
  );

  test("is still metered, and not run past by a restart of the agent", async () => {
    const host = createTestHost();
    const vm = aDesiredVm();
    host.plane.want([vm]);
    await host.agent.pass();
    send(host, [{ ...next(vm), needs: ["second-disk"] }]);
    await host.agent.pass();
    host.restart();
    await host.clock.advance(MINUTE);
    await host.agent.pass();
    expect(await host.agent.sampleUsage()).toBe(1);
    expect(await host.agent.flushUsage()).toBe(1);
    expect(await isOn(host, vm.vmId)).toBe(true);
  });

  test("keeps the journal of its one-shot work: nothing is done twice when it is understood again", async () => {
    const host = createTestHost();
    const vm = aDesiredVm();
    host.plane.want([vm]);
    await host.agent.pass();
    const rebooting = {
      ...next(vm),
      pendingActions: [{ id: randomUUID(), type: "reset" as const }],
    };
    send(host, [rebooting]);
    await host.agent.pass();
    const before = (await host.world.vm(vm.vmId))?.run;
    const done = () => host.plane.reports.flatMap((report) => report.actions).length;
    expect(done()).toBeGreaterThan(0);
    send(host, [{ ...next(rebooting), power: "hibernated" }]);
    await host.agent.pass();
    await host.clock.advance(MINUTE);
    send(host, [{ ...rebooting, vmId: 7 }]);
    await host.agent.pass();
    host.restart();
    await host.agent.pass();
    send(host, [next(next(rebooting))]);
    await host.agent.pass();
    expect((await host.world.vm(vm.vmId))?.run).toEqual(before);
  });

  test.each([
    { ends: "well", failure: null },
    { ends: "badly", failure: new DriverError("out_of_disk", "full") },
  ])(
    "is left where its step under way has brought it, when that ends $ends",
    async ({ failure }) => {
      let release = () => undefined as void;
      const held = new Promise<void>((resolve) => {
        release = resolve;
      });
      const fault = async () => {
        await held;
        if (failure) throw failure;
      };
      const host = createTestHost({
        driver: { faults: when({ operation: "create", step: "disk" }, fault, 1) },
      });
      const vm = aDesiredVm();
      host.plane.want([vm]);
      const passing = host.agent.pass();
      await host.clock.advance(1);
      send(host, [{ ...next(vm), needs: ["second-disk"] }]);
      const refused = host.agent.pass({ full: false });
      await host.clock.advance(1);
      release();
      await Promise.all([passing, refused]);
      // Made, as that step was under way, and not started; and a step's end says nothing of it any more.
      expect((await host.world.vm(vm.vmId))?.starts ?? 0).toBe(0);
      expect(host.plane.last(vm.vmId)).toMatchObject({ error: { code: "unsupported_by_agent" } });
    },
  );
});

describe("a received document", () => {
  test("of a newer control plane is hashed, and kept, as it came", async () => {
    const host = createTestHost();
    const vm = { ...aDesiredVm(), tomorrow: { more: [1, { deep: null }] } };
    send(host, [vm]);
    const sent = host.plane.sendInstead;
    if (sent) sent["alsoNew"] = "kept";
    await host.agent.pass();
    expect(await isOn(host, vm.vmId)).toBe(true);
    expect(host.errors).toEqual([]);
    expect(JSON.parse((await host.store.read("desired-2.json")) ?? "")).toEqual(sent);
  });

  test("with a VM that cannot even be named costs no other VM", async () => {
    const host = createTestHost();
    const vm = aDesiredVm();
    send(host, [vm, { vmId: "x" }, null, 7]);
    await host.agent.pass();
    expect(await isOn(host, vm.vmId)).toBe(true);
    expect(host.errors).toContain("desired_vms_nameless");
  });

  test("names the VMs that this agent understands by its words", () => {
    const vm = { ...aDesiredVm(), needs: ["second-disk"] };
    const received = {
      hostId: randomUUID(),
      generation: 1,
      hash: "",
      entitlementGraceSeconds: 1,
      vms: [vm],
    };
    expect(readDocument(received).refused).toMatchObject([{ vmId: vm.vmId }]);
    expect(readDocument(received, ["second-disk"]).vms).toEqual([vm]);
  });
});

describe("the document on the disk", () => {
  const OLD = "desired.json";
  const NEW = "desired-2.json";

  test("of an agent of protocol 1 is gone by until there is a newer one, and then removed", async () => {
    const host = createTestHost();
    const vm = aDesiredVm();
    host.plane.want([vm]);
    await host.store.write(OLD, JSON.stringify(host.plane.document()));
    host.plane.sendInstead = null;
    await host.agent.pass();
    expect(await isOn(host, vm.vmId)).toBe(true);
    expect(host.plane.reports.at(-1)?.desiredGeneration).toBe(1);
    host.plane.want([{ ...next(vm), power: "off", stopMode: "firm" }]);
    await host.agent.pass();
    expect(await host.store.read(OLD)).toBeNull();
    expect(await host.store.read(NEW)).not.toBeNull();
  });

  test("that an agent which was rolled back left is gone by when it is the newer one", async () => {
    const host = createTestHost();
    const vm = aDesiredVm();
    host.plane.want([vm]);
    await host.agent.pass();
    host.plane.want([{ ...next(vm), power: "off", stopMode: "firm" }]);
    await host.store.write(OLD, JSON.stringify(host.plane.document()));
    host.plane.outage = unreachable();
    host.restart();
    await host.agent.pass();
    expect(await isOn(host, vm.vmId)).toBe(false);
  });

  test("that is older and was left by a crash is removed: an agent that is rolled back must not find it", async () => {
    const host = createTestHost();
    host.plane.want([]);
    await host.store.write(OLD, JSON.stringify(host.plane.document()));
    const before = await host.store.read(OLD);
    host.plane.want([aDesiredVm()]);
    await host.agent.pass();
    await host.store.write(OLD, before ?? "");
    host.restart();
    await host.agent.pass();
    expect(await host.store.read(OLD)).toBeNull();
  });
});

test("state files with a field more, of a newer agent that was rolled back, are read", async () => {
  const host = createTestHost();
  const vm = aDesiredVm();
  host.plane.want([vm]);
  await host.agent.pass();
  await host.clock.advance(MINUTE);
  await host.agent.sampleUsage();
  const more = (value: unknown): unknown =>
    Array.isArray(value)
      ? value.map(more)
      : typeof value === "object" && value !== null
        ? {
            ...Object.fromEntries(Object.entries(value).map(([k, v]) => [k, more(v)])),
            tomorrow: 1,
          }
        : value;
  const pages = (await host.store.list("spool")).map((name) => `spool/${name}`);
  for (const name of ["desired-2.json", ...pages]) {
    const text = await host.store.read(name);
    await host.store.write(name, JSON.stringify(more(JSON.parse(text ?? ""))));
  }
  const at = host.clock.now().toISOString();
  await host.store.write("destroys.json", JSON.stringify([{ vmId: vm.vmId, at, tomorrow: 1 }]));
  await host.store.write(
    "actions.json",
    JSON.stringify({ [randomUUID()]: { vmId: vm.vmId, report: null, tomorrow: 1 } }),
  );
  host.plane.want([vm]);
  host.restart();
  await host.agent.pass();
  expect(await host.agent.flushUsage()).toBe(1);
  expect(host.errors).toEqual([]);
});

test("a VM that is named no longer and named again during a step gets no second worker", async () => {
  let creating = 0;
  let most = 0;
  let release = () => undefined as void;
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const host = createTestHost({
    driver: {
      faults: when({ operation: "create", step: "disk" }, async () => {
        creating += 1;
        most = Math.max(most, creating);
        await held;
        creating -= 1;
      }),
    },
  });
  const vm = aDesiredVm();
  host.plane.want([vm]);
  const passes = [host.agent.pass()];
  await host.clock.advance(1);
  expect(creating).toBe(1);
  host.plane.want([]);
  passes.push(host.agent.pass());
  await host.clock.advance(1);
  host.plane.want([vm]);
  passes.push(host.agent.pass());
  await host.clock.advance(1);
  release();
  await Promise.all(passes);
  await host.agent.pass();
  expect(most).toBe(1);
  expect((await host.world.vm(vm.vmId))?.starts).toBe(1);
  expect(host.plane.last(vm.vmId)).toMatchObject({ settled: true, observed: { power: "running" } });
});

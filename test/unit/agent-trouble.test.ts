import { describe, expect, test } from "vitest";
import { ControlPlaneError, IdentityRevoked } from "#host-agent/channel/control-plane.ts";
import { DriverError } from "#host-agent/drivers/driver.ts";
import { hanging, throwing, when } from "#host-agent/drivers/simulated/faults.ts";
import { strikeVm } from "#host-agent/drivers/simulated/host-events.ts";
import { createTestHost } from "#test/drivers/agent-harness.ts";
import { aDesiredVm } from "#test/drivers/builders.ts";
import { unreachable } from "#test/drivers/fake-control-plane.ts";

describe("a VM in trouble", () => {
  test("delays no other, and is tried again until it works", async () => {
    const [bad, good] = [aDesiredVm(), aDesiredVm()];
    const fault = when(
      { operation: "create", step: "disk", vmId: bad.vmId },
      throwing(new DriverError("out_of_disk", "full")),
      2,
    );
    const host = createTestHost({ driver: { faults: fault } });
    host.plane.want([bad, good]);
    await host.agent.pass();
    expect(host.plane.last(bad.vmId)).toMatchObject({
      settled: false,
      observed: null,
      error: { code: "out_of_disk", detail: "full" },
    });
    expect(host.plane.last(good.vmId)).toMatchObject({ settled: true });
    await host.clock.advance(5000);
    expect(host.plane.last(bad.vmId)).toMatchObject({ settled: true, error: null });
  });

  test("that hangs is given up after its limit, while others go on", async () => {
    const [stuck, good] = [aDesiredVm(), aDesiredVm()];
    const faults = when({ operation: "start", vmId: stuck.vmId }, hanging, 1);
    const host = createTestHost({ driver: { faults }, settings: { stepLimitSeconds: 60 } });
    host.plane.want([stuck, good]);
    const passed = host.agent.pass();
    await host.clock.advance(1000);
    expect(host.plane.last(good.vmId)).toMatchObject({ settled: true });
    await host.clock.advance(60_000);
    await passed;
    expect(host.plane.reports.flatMap((r) => r.vms).find((vm) => vm.error)).toMatchObject({
      vmId: stuck.vmId,
      error: { code: "timed_out" },
    });
    await host.clock.advance(5000);
    expect(host.plane.last(stuck.vmId)).toMatchObject({ settled: true });
  });

  test("that dies as soon as it starts does not spin the host", async () => {
    let starts = 0;
    const host = createTestHost({
      driver: {
        faults: when({ operation: "start", step: "done" }, async ({ vmId }) => {
          starts += 1;
          await strikeVm(host.world, vmId ?? "", "powers_off");
        }),
      },
    });
    const vm = aDesiredVm();
    host.plane.want([vm]);
    await host.agent.pass();
    await host.clock.advance(10 * 60_000);
    expect(host.plane.last(vm.vmId)).toMatchObject({
      settled: false,
      error: { code: "driver_failed" },
    });
    expect(starts).toBeGreaterThan(3);
    expect(starts).toBeLessThan(30);
  });

  test("that has failed is not restarted by itself", async () => {
    const host = createTestHost();
    const vm = aDesiredVm();
    host.plane.want([vm]);
    await host.agent.pass();
    await strikeVm(host.world, vm.vmId, "fails");
    await host.agent.pass();
    expect(host.plane.last(vm.vmId)).toMatchObject({
      settled: false,
      observed: { power: "failed" },
      error: { code: "driver_failed" },
    });
  });

  test("a hypervisor that cannot be looked at makes the agent report nothing, not absence", async () => {
    const host = createTestHost({ driver: { faults: when({ operation: "list" }, throwing(), 1) } });
    host.plane.want([aDesiredVm()]);
    await host.agent.pass();
    expect(host.plane.reports.flatMap((report) => report.vms)).toEqual([]);
    expect(host.errors).toContain("look_failed");
    await host.agent.pass();
    expect(host.plane.reports.flatMap((report) => report.vms)).toHaveLength(1);
  });
});

test("a revoked identity ends the agent with that reason", async () => {
  const host = createTestHost();
  host.plane.outage = new IdentityRevoked(401, "identity_revoked", "another key was enrolled");
  const running = host.agent.run(new AbortController().signal);
  await expect(running).rejects.toThrow(IdentityRevoked);
});

test("an identity that is revoked when it asks what is desired ends the agent too; an outage then does not", async () => {
  const host = createTestHost();
  const pull = host.plane.desired.bind(host.plane);
  host.plane.want([aDesiredVm()]);
  host.plane.desired = () => Promise.reject(unreachable());
  await host.agent.pass();
  expect(host.errors).toEqual(["pull_failed"]);
  host.plane.desired = pull;
  await host.agent.pass();
  expect(await host.world.vms()).toHaveLength(1);
  const why = new IdentityRevoked(401, "identity_revoked", "another key was enrolled");
  host.plane.desired = () => Promise.reject(why);
  await expect(host.agent.pass()).rejects.toBe(why);
});

test("a VM whose report is refused for good keeps back no other, and is reported again when it changes", async () => {
  const host = createTestHost();
  const [good, bad] = [aDesiredVm(), aDesiredVm()];
  host.plane.want([bad, good]);
  const report = host.plane.report.bind(host.plane);
  let refusals = 0;
  host.plane.report = async (given, signal) => {
    if (given.vms.some((vm) => vm.vmId === bad.vmId)) {
      refusals += 1;
      throw new ControlPlaneError(400, "invalid_request", "not understood");
    }
    return report(given, signal);
  };
  await host.agent.pass();
  expect(host.plane.last(good.vmId)).toMatchObject({ settled: true });
  expect(host.plane.reports.some((r) => r.facts !== null)).toBe(true);
  expect(host.errors).toContain("report_refused");
  const before = refusals;
  await host.clock.advance(120_000);
  expect(refusals).toBe(before);
  host.plane.report = report;
  host.plane.change(bad.vmId, { power: "off" });
  await host.agent.pass();
  expect(host.plane.last(bad.vmId)).toMatchObject({ settled: true, observed: { power: "off" } });
});

describe("5.6: a hypervisor that does not answer", () => {
  const away = new DriverError("hypervisor_unavailable", "no libvirt");
  const MINUTE = 60_000;
  async function aHostWhoseHypervisorFails(looks: number) {
    const faults = when({ operation: "list" }, throwing(away), looks);
    const host = createTestHost({ driver: { faults } });
    const told = () => host.plane.reports.map(({ hypervisorAway }) => hypervisorAway?.code ?? null);
    const pass = async () => {
      await host.agent.pass();
      await host.clock.advance(MINUTE);
    };
    return { pass, told };
  }

  test("is told once it has been away for two minutes, and when it is back", async () => {
    const { pass, told } = await aHostWhoseHypervisorFails(4);
    await pass();
    await pass();
    expect(told()).not.toContain("hypervisor_unavailable");
    const before = told().length;
    await pass();
    await pass();
    expect(told().slice(before)).toEqual(["hypervisor_unavailable", "hypervisor_unavailable"]);
    await pass();
    expect(told().at(-1)).toBeNull();
    expect(told().length).toBeGreaterThan(before + 2);
  });

  test("and is back sooner is not told", async () => {
    const { pass, told } = await aHostWhoseHypervisorFails(2);
    for (let n = 0; n < 5; n++) await pass();
    expect(told()).not.toContain("hypervisor_unavailable");
  });
});

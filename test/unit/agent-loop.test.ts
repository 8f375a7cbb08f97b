import { describe, expect, test } from "vitest";
import { NO_DELAYS } from "#host-agent/drivers/simulated/delays.ts";
import { throwing, when } from "#host-agent/drivers/simulated/faults.ts";
import { createTestHost, type TestHost } from "#test/drivers/agent-harness.ts";
import { aDesiredVm } from "#test/drivers/builders.ts";
import { unreachable } from "#test/drivers/fake-control-plane.ts";

/** Runs the agent by itself while `during` moves the clock, and stops it. */
async function whileRunning(host: TestHost, during: () => Promise<void>): Promise<void> {
  const stop = new AbortController();
  const running = host.agent.run(stop.signal);
  await host.clock.advance(0);
  try {
    await during();
  } finally {
    stop.abort();
    await running;
  }
}

describe("an agent that runs by itself", () => {
  test("answers a doorbell at once", async () => {
    const host = createTestHost();
    const vm = aDesiredVm();
    await whileRunning(host, async () => {
      host.plane.want([vm]);
      host.doorbell.ring(1);
      await host.clock.advance(0);
      expect(host.plane.last(vm.vmId)).toMatchObject({ settled: true });
    });
  });

  test("converges by its timer when every doorbell is lost", async () => {
    const host = createTestHost();
    const vm = aDesiredVm();
    await whileRunning(host, async () => {
      host.plane.want([vm]);
      await host.clock.advance(33_000);
      expect(host.plane.last(vm.vmId)).toMatchObject({ settled: true });
      host.plane.change(vm.vmId, { presence: "absent" });
      await host.clock.advance(33_000);
      expect(host.plane.last(vm.vmId)).toMatchObject({ settled: true, observed: null });
    });
  });

  test("pulls few times for fifty doorbells, and starts new VMs while older ones are in work", async () => {
    const delays = { ...NO_DELAYS, start: 400, list: 17 };
    const host = createTestHost({ driver: { delays }, settings: { concurrency: 50 } });
    await whileRunning(host, async () => {
      const before = host.plane.pulls;
      const vms = Array.from({ length: 50 }, () => aDesiredVm());
      for (const [n] of vms.entries()) {
        host.plane.want(vms.slice(0, n + 1));
        host.doorbell.ring(n + 1);
        await host.clock.advance(1);
      }
      // The last came after 50 ms and takes two looks and a start; one after another it would take 20 s.
      await host.clock.advance(500);
      expect(vms.filter((vm) => host.plane.last(vm.vmId)?.settled)).toHaveLength(50);
      expect(host.plane.pulls - before).toBeLessThan(10);
    });
  });

  test("samples and sends usage by its timers, and lives through an outage", async () => {
    const host = createTestHost();
    const vm = aDesiredVm();
    host.plane.want([vm]);
    await whileRunning(host, async () => {
      await host.clock.advance(125_000);
      expect(host.plane.samples.size).toBeGreaterThanOrEqual(1);
      host.plane.outage = unreachable();
      await host.clock.advance(600_000);
      host.plane.outage = null;
      await host.clock.advance(121_000);
      expect(host.plane.samples.size).toBeGreaterThanOrEqual(12);
      expect(host.errors).toContain("usage_flush_failed");
    });
  });

  test("looks again soon when the hypervisor is not up yet", async () => {
    const faults = when({ operation: "list" }, throwing(), 1);
    const host = createTestHost({ driver: { faults } });
    const vm = aDesiredVm();
    host.plane.want([vm]);
    host.plane.session_.intervals.resyncSeconds = 3600;
    await whileRunning(host, async () => {
      expect(host.plane.last(vm.vmId)).toBeUndefined();
      await host.clock.advance(11_000);
      expect(host.plane.last(vm.vmId)).toMatchObject({ settled: true });
    });
  });

  test("stops at once when it is told to, with a step in work", async () => {
    const host = createTestHost({ driver: { delays: { ...NO_DELAYS, start: 60_000 } } });
    const vm = aDesiredVm();
    host.plane.want([vm]);
    await whileRunning(host, () => host.clock.advance(1000));
    expect((await host.world.vm(vm.vmId))?.run).toBeNull();
    // The next agent goes on from there.
    host.restart();
    await whileRunning(host, () => host.clock.advance(61_000));
    expect((await host.world.vm(vm.vmId))?.run).not.toBeNull();
  });
});

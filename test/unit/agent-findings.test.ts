import { describe, expect, test } from "vitest";
import { MOST_FINDINGS } from "#core/contracts/agent/report.ts";
import { meddleWith } from "#host-agent/drivers/simulated/host-events.ts";
import { createTestHost, type TestHost } from "#test/drivers/agent-harness.ts";
import { aDesiredVm } from "#test/drivers/builders.ts";
import { unreachable } from "#test/drivers/fake-control-plane.ts";

const told = ({ plane }: TestHost) => plane.reports.flatMap((report) => report.findings ?? []);

describe("4b B9: what an agent finds that others did", () => {
  test("a memory that cannot be restored is dropped, the VM runs, and staff are told once", async () => {
    const host = createTestHost();
    const vm = aDesiredVm();
    host.plane.want([vm]);
    await host.agent.pass();
    await meddleWith(host.world, vm.vmId, "saves_and_spoils_its_memory");
    await host.agent.pass();
    await host.agent.pass();
    expect(host.plane.last(vm.vmId)).toMatchObject({ observed: { power: "running" } });
    expect(told(host)).toMatchObject([{ vmId: vm.vmId, code: "saved_state_dropped" }]);
  });

  test("what keeps a guest from foreign addresses is looked at by the agent's own timer", async () => {
    const host = createTestHost();
    const vm = aDesiredVm();
    host.plane.want([vm]);
    const stop = new AbortController();
    const running = host.agent.run(stop.signal);
    await host.clock.advance(0);
    await meddleWith(host.world, vm.vmId, "takes_its_guard_away");
    await host.clock.advance(6 * 60_000);
    expect(await host.world.vm(vm.vmId)).not.toHaveProperty("unguarded");
    expect(told(host)).toMatchObject([{ vmId: vm.vmId, code: "spoof_guard_restored" }]);
    stop.abort();
    await running;
  });

  test("is told when the control plane is back, the newest of it, and costs no report beside it", async () => {
    const host = createTestHost();
    const vm = aDesiredVm();
    host.plane.want([vm]);
    await host.agent.pass();
    host.plane.outage = unreachable();
    for (let n = 0; n <= MOST_FINDINGS; n++) {
      await meddleWith(host.world, vm.vmId, "takes_its_guard_away");
      await host.agent.guardNetwork();
    }
    host.plane.outage = null;
    await host.agent.pass();
    await host.agent.pass();
    expect(told(host)).toHaveLength(MOST_FINDINGS);
  });
});

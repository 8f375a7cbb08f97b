import { createServer } from "node:net";
import { describe, expect, test } from "vitest";
import { createMetricsRegistry, METRICS_TYPE } from "#core/metrics-registry.ts";
import type { Log } from "#core/ports.ts";
import { DriverError } from "#host-agent/drivers/driver.ts";
import { throwing, when } from "#host-agent/drivers/simulated/faults.ts";
import { AGENT_METRICS, tellReadings } from "#host-agent/metrics.ts";
import { listenAddress, serveOwnMetrics } from "#host-agent/serve-metrics.ts";
import { createTestHost } from "#test/drivers/agent-harness.ts";
import { aDesiredVm } from "#test/drivers/builders.ts";
import { unreachable } from "#test/drivers/fake-control-plane.ts";

/* 5 item 5: what an agent tells Prometheus. */

const MINUTE = 60_000;

function metered(over: Parameters<typeof createTestHost>[0] = {}) {
  const metrics = createMetricsRegistry(AGENT_METRICS);
  const host = createTestHost({ ...over, metrics });
  const page = () => {
    tellReadings(metrics, host.agent.readings());
    return metrics.text();
  };
  /** The value of one series; undefined when it is not told. */
  const told = (series: string) => {
    const line = page()
      .split("\n")
      .find((text) => text.startsWith(`${series} `));
    return line === undefined ? undefined : Number(line.slice(series.length + 1));
  };
  return { metrics, host, page, told };
}

describe("an agent's metrics", () => {
  test("before the first pass nothing is told of guests, and nothing was done", () => {
    const { told } = metered();
    expect(told('berth_agent_guests{state="running"}')).toBeUndefined();
    expect(told("berth_agent_clock_offset_seconds")).toBeUndefined();
    expect(told("berth_agent_desired_generation")).toBe(0);
    expect(told('berth_agent_passes_total{outcome="whole"}')).toBe(0);
  });

  test("count passes and steps, and show guests and the generation that is held", async () => {
    const { host, told } = metered();
    host.plane.want([aDesiredVm(), aDesiredVm(), aDesiredVm({ power: "off" })]);
    await host.agent.pass();
    await host.agent.pass();
    expect(told('berth_agent_passes_total{outcome="whole"}')).toBe(2);
    expect(told('berth_agent_steps_total{step="create",outcome="done"}')).toBe(3);
    expect(told('berth_agent_steps_total{step="start",outcome="done"}')).toBe(2);
    expect(told('berth_agent_guests{state="running"}')).toBe(2);
    expect(told('berth_agent_guests{state="off"}')).toBe(1);
    expect(told('berth_agent_guests{state="failed"}')).toBe(0);
    expect(told("berth_agent_desired_generation")).toBe(1);
  });

  test("count a step that failed once by its kind, and its error by its code", async () => {
    const faults = when(
      { operation: "create", step: "disk" },
      throwing(new DriverError("out_of_disk", "full")),
      1,
    );
    const { host, told } = metered({ driver: { faults } });
    host.plane.want([aDesiredVm()]);
    await host.agent.pass();
    expect(told('berth_agent_steps_total{step="create",outcome="failed"}')).toBe(1);
    expect(told('berth_agent_errors_total{code="out_of_disk"}')).toBe(1);
  });

  test("show how long ago a report was acknowledged, and count what could not be reached", async () => {
    const { host, told } = metered();
    await host.clock.advance(2 * MINUTE);
    expect(told("berth_agent_report_age_seconds")).toBe(120);
    await host.agent.pass();
    expect(told("berth_agent_report_age_seconds")).toBe(0);
    host.plane.outage = unreachable();
    await host.agent.pass();
    await host.clock.advance(MINUTE / 2);
    expect(told("berth_agent_report_age_seconds")).toBe(30);
    expect(told('berth_agent_passes_total{outcome="partial"}')).toBe(1);
    expect(told('berth_agent_errors_total{code="unreachable"}')).toBeGreaterThanOrEqual(2);
  });

  test("count a look that the hypervisor did not answer", async () => {
    const faults = when(
      { operation: "list" },
      throwing(new DriverError("hypervisor_unavailable", "gone")),
      1,
    );
    const { host, told } = metered({ driver: { faults } });
    await host.agent.pass();
    expect(told('berth_agent_errors_total{code="hypervisor_unavailable"}')).toBe(1);
    expect(told('berth_agent_passes_total{outcome="partial"}')).toBe(1);
  });

  test("show what waits in the spool, and since when, also after a restart, until it is sent", async () => {
    const { host, told } = metered();
    host.plane.want([aDesiredVm()]);
    await host.agent.pass();
    expect(told("berth_agent_spool_oldest_sample_age_seconds")).toBe(0);
    for (let n = 0; n < 3; n++) {
      await host.clock.advance(MINUTE);
      await host.agent.sampleUsage();
    }
    expect(told("berth_agent_spool_samples")).toBe(3);
    expect(told("berth_agent_spool_oldest_sample_age_seconds")).toBe(120);
    host.restart();
    await host.agent.pass();
    expect(told("berth_agent_spool_oldest_sample_age_seconds")).toBe(120);
    await host.agent.flushUsage();
    expect(told("berth_agent_spool_samples")).toBe(0);
    expect(told("berth_agent_spool_oldest_sample_age_seconds")).toBe(0);
  });

  test("name no VM and nothing of a guest, and have as many series with one VM as with twenty", async () => {
    const vms = Array.from({ length: 20 }, (_, n) =>
      aDesiredVm({ hostname: `guest-${n}.example` }),
    );
    const sizes: number[] = [];
    for (const count of [1, 20]) {
      const { host, page } = metered();
      host.plane.want(vms.slice(0, count));
      await host.agent.pass();
      const text = page();
      for (const vm of vms) expect(text).not.toContain(vm.vmId);
      expect(text).not.toContain("guest-");
      sizes.push(text.split("\n").length);
    }
    expect(sizes[0]).toBe(sizes[1]);
  });
});

describe("where metrics are served", () => {
  test.each([
    ["9109", { host: "127.0.0.1", port: 9109 }],
    ["127.0.0.1:9109", { host: "127.0.0.1", port: 9109 }],
    ["[::1]:9109", { host: "::1", port: 9109 }],
    ["10.0.0.7:80", { host: "10.0.0.7", port: 80 }],
  ])("%s is an address", (text, address) => expect(listenAddress(text)).toEqual(address));

  test.each(["", "on", ":9109", "127.0.0.1", "127.0.0.1:70000", "http://127.0.0.1:9109", "a b:1"])(
    "%j is none",
    (text) => expect(listenAddress(text)).toBeNull(),
  );

  const quiet: Log = { info: () => undefined, error: () => undefined };
  const serving = (port: number, log: Log = quiet) => {
    const { metrics, host } = metered();
    const options = { metricsListen: { host: "127.0.0.1", port }, driver: "simulated" };
    return serveOwnMetrics(options, { metrics, agent: host.agent, agentVersion: "9.8.7", log });
  };

  test("is one page for who reads, with the agent's version", async () => {
    const served = await serving(0);
    const answer = await fetch(served?.url ?? "");
    expect(answer.headers.get("content-type")).toBe(METRICS_TYPE);
    expect(await answer.text()).toContain(
      'berth_agent_build_info{version="9.8.7",driver="simulated"} 1\n',
    );
    expect((await fetch(served?.url ?? "", { method: "POST" })).status).toBe(405);
    expect((await fetch(new URL("/", served?.url))).status).toBe(404);
    await served?.close();
    await expect(fetch(served?.url ?? "")).rejects.toThrow("fetch failed");
  });

  test("is nowhere when the port is taken: that is told, and costs the agent nothing", async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
    const bound = taken.address();
    const port = typeof bound === "object" && bound !== null ? bound.port : 0;
    const errors: string[] = [];
    expect(await serving(port, { ...quiet, error: (event) => void errors.push(event) })).toBe(
      undefined,
    );
    expect(errors).toEqual(["metrics_not_served"]);
    await new Promise((resolve) => taken.close(resolve));
  });
});

import { expect, test } from "vitest";
import { ControlPlaneError } from "#host-agent/channel/control-plane.ts";
import { memoryStore } from "#host-agent/state/state-store.ts";
import { createTestHost } from "#test/drivers/agent-harness.ts";
import { aDesiredVm } from "#test/drivers/builders.ts";

/* 4b B4: reports are numbered, by the agent's life and within it. */

const serials = (host: ReturnType<typeof createTestHost>) =>
  host.plane.reports.map((report) => [report.serial?.process, report.serial?.seq]);

test("each report of an agent has a number of its own, and each life of it a later one", async () => {
  const host = createTestHost();
  host.plane.want([aDesiredVm()]);
  await host.agent.pass();
  await host.agent.pass();
  const first = serials(host);
  expect(first.length).toBeGreaterThan(1);
  expect(first).toEqual(first.map((_, n) => [1, n + 1]));
  host.plane.reports = [];
  await host.restart().pass();
  expect(serials(host)[0]).toEqual([2, 1]);
  host.agent.close();
});

test("a life is on the disk before its first report", async () => {
  const saved: (string | null)[] = [];
  const host = createTestHost({
    wrap: (plane) => ({
      ...plane,
      report: async (report, signal) => {
        saved.push(await host.store.read("process.json"));
        return plane.report(report, signal);
      },
    }),
  });
  host.plane.want([aDesiredVm()]);
  await host.agent.pass();
  expect(saved[0]).toBe('{"process":1}');
  host.agent.close();
});

test("a report that could not be sent goes under another number", async () => {
  const numbers: unknown[] = [];
  let lost = 1;
  const host = createTestHost({
    wrap: (plane) => ({
      ...plane,
      report: async (report, signal) => {
        numbers.push(report.serial?.seq);
        if (lost-- > 0) throw new ControlPlaneError(null, "unreachable", "down for the test");
        return plane.report(report, signal);
      },
    }),
  });
  host.plane.want([aDesiredVm()]);
  await host.agent.pass();
  await host.agent.pass();
  expect(numbers.length).toBeGreaterThan(1);
  expect(numbers).toEqual(numbers.map((_, n) => n + 1));
  host.agent.close();
});

test("a disk that is full at its start ends no agent: it reports, under its life's number, when there is room", async () => {
  const store = memoryStore();
  let full = true;
  const host = createTestHost({
    store: {
      ...store,
      write: async (name, text) => {
        if (full && name === "process.json") throw new Error("ENOSPC: no space left on device");
        await store.write(name, text);
      },
    },
  });
  host.plane.want([aDesiredVm()]);
  await host.agent.pass();
  expect(host.plane.reports).toEqual([]);
  full = false;
  await host.agent.pass();
  expect(serials(host)[0]).toEqual([1, 1]);
  expect(await store.read("process.json")).toBe('{"process":1}');
  host.agent.close();
});

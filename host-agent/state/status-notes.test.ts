import { expect, test } from "vitest";
import type { AgentReport, VmReport } from "#core/contracts/agent/report.ts";
import { randomIds } from "#test/drivers/builders.ts";
import { createVirtualClock } from "#test/drivers/virtual-clock.ts";
import { memoryStore } from "./state-store.ts";
import { createStatusNotes, readStatus } from "./status-notes.ts";

const WHO = { pid: 7, version: "1.2.3", driver: "kvm", api: "https://a.example", hostId: "h" };

function reportOf(
  vmId: string,
  power: "running" | "off" | null,
  error: VmReport["error"],
): VmReport {
  const observed =
    power === null
      ? null
      : {
          vmId,
          ownerEpoch: 1,
          power,
          size: { vcpus: 1, memoryMib: 512, diskGib: 10 },
          complete: true,
          bootEpoch: null,
          guest: null,
          seeded: false,
        };
  return { vmId, generation: 1, ownerEpoch: 1, observed, settled: error === null, error };
}
const report = (...vms: VmReport[]): AgentReport => ({
  desiredGeneration: 5,
  vms,
  actions: [],
  strangers: [],
  facts: null,
});

test("item 4: what was acknowledged is noted, VM by VM over many reports, and a failure beside it", async () => {
  const store = memoryStore();
  const clock = createVirtualClock();
  const notes = createStatusNotes(store, clock, WHO);
  const [one, two, three] = [randomIds.newId(), randomIds.newId(), randomIds.newId()] as const;
  await notes.started();
  expect(await readStatus(store)).toMatchObject({ ...WHO, lastReport: null, vms: {} });

  const full = { code: "out_of_disk", detail: "full" } as const;
  await notes.acknowledged(report(reportOf(one, "running", null), reportOf(two, null, full)));
  const first = clock.now().toISOString();
  await clock.advance(60_000);
  await notes.failed(new Error("no way out"));
  expect(await readStatus(store)).toMatchObject({
    lastReport: { at: first, desiredGeneration: 5 },
    vms: { running: 1, out_of_disk: 1 },
    reportError: { at: clock.now().toISOString(), error: "Error: no way out" },
  });

  await notes.acknowledged(report(reportOf(two, null, null), reportOf(three, "running", null)));
  expect(await readStatus(store)).toMatchObject({ vms: { running: 2 }, reportError: null });
});

test("item 4: a note that cannot be written stops nothing", async () => {
  const full = { ...memoryStore(), write: () => Promise.reject(new Error("disk full")) };
  const notes = createStatusNotes(full, createVirtualClock(), WHO);
  await expect(notes.acknowledged(report())).resolves.toBeUndefined();
});

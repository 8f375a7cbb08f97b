import { describe, expect, test } from "vitest";
import { hostFacts } from "#test/builders.ts";
import { oneFieldMore } from "#test/compat/one-field-more.ts";
import { withField } from "#test/harness/with-field.ts";
import { AGENT_ERROR_CODES, AgentReport, ReceivedReport, ReportReceipt } from "./report.ts";

const VM = {
  vmId: "0199f0a2-b3c4-7d5e-8f90-000000000001",
  generation: 12,
  ownerEpoch: 3,
  observed: {
    vmId: "0199f0a2-b3c4-7d5e-8f90-000000000001",
    ownerEpoch: 4,
    power: "starting",
    size: { vcpus: 2, memoryMib: 2048, diskGib: 40 },
    limits: { bandwidthMbit: 200, diskIops: 900 },
    hotVcpus: 8,
    complete: true,
    bootEpoch: "boot-7",
    guest: { source: "console", hostname: "web-1" },
    seeded: false,
  },
  settled: false,
  error: { code: "must_be_off", detail: "it runs" },
};
const ACTION = {
  actionId: "0199f0a2-b3c4-7d5e-8f90-000000000002",
  vmId: "0199f0a2-b3c4-7d5e-8f90-000000000003",
  outcome: "error",
  error: { code: "timed_out", detail: "30 s" },
};
const STRANGER = { vmId: "0199f0a2-b3c4-7d5e-8f90-000000000005", ownerEpoch: 6 };
const REPORT = {
  desiredGeneration: 34,
  vms: [VM],
  actions: [ACTION],
  strangers: [STRANGER],
  facts: hostFacts({ capabilities: { ...hostFacts().capabilities, hotResize: false } }),
  refusedDesired: { generation: 33, hash: "ab12", reason: "wrong_hash" },
};
const several = <T>(n: number, of: T): T[] => Array.from({ length: n }, () => of);

test("a report is read whole, by who sends it and by who receives it", () => {
  expect(AgentReport.parse(oneFieldMore(REPORT))).toEqual(REPORT);
  expect(ReceivedReport.parse(oneFieldMore(REPORT))).toEqual(REPORT);
});

test("a report may have nothing in it", () => {
  const nothing = { desiredGeneration: 0, vms: [], actions: [], strangers: [], facts: null };
  expect(AgentReport.parse(nothing)).toEqual(nothing);
  expect(ReceivedReport.parse(nothing)).toEqual(nothing);
});

describe("in a report", () => {
  test.each<[string, unknown]>([
    ["vms.0.generation", 1],
    ["vms.0.ownerEpoch", 1],
    ["vms.0.observed", null],
    ["vms.0.observed.ownerEpoch", 1],
    ...["running", "off", "stopping", "paused", "failed"].map((power): [string, unknown] => [
      "vms.0.observed.power",
      power,
    ]),
    ["vms.0.observed.size", { vcpus: 1, memoryMib: 1, diskGib: 1 }],
    ["vms.0.observed.size.vcpus", 2048],
    ["vms.0.observed.complete", false],
    ["vms.0.observed.bootEpoch", "b".repeat(64)],
    ["vms.0.observed.bootEpoch", null],
    ["vms.0.observed.guest", null],
    ["vms.0.observed.guest.source", "guest_agent"],
    ["vms.0.observed.guest.source", "simulated"],
    ["vms.0.observed.guest.hostname", "h".repeat(253)],
    ["vms.0.observed.seeded", true],
    ["vms.0.settled", true],
    ["vms.0.error", null],
    ["vms.0.error.detail", "d".repeat(1000)],
    ...AGENT_ERROR_CODES.map((code): [string, unknown] => ["vms.0.error.code", code]),
    ["actions.0.outcome", "success"],
    ["actions.0.error", null],
    ["strangers.0.ownerEpoch", 1],
    ["facts.hypervisor", "hyperv"],
    ["facts.hypervisorVersion", "v".repeat(200)],
    ["facts.accelerator", "tcg"],
    ["facts.accelerator", "simulated"],
    ["facts.cpuThreads", 1],
    ["facts.cpuThreads", 65_536],
    ["facts.memoryMib", 1],
    ["facts.memoryMib", 1_073_741_824],
    ["facts.diskGib", 0],
    ["facts.diskGib", 1_073_741_824],
    ["facts.agentVersion", "a".repeat(50)],
    ["refusedDesired", undefined],
    ["refusedDesired.generation", 0],
    ["refusedDesired.hash", "f".repeat(100)],
    ["refusedDesired.reason", "older_generation"],
    ["refusedDesired.reason", "same_generation_other_hash"],
    ["refusedDesired.reason", "wrong_host"],
  ])("%s may be %j", (path, value) => {
    const report = withField(REPORT, path, value);
    expect(AgentReport.parse(report)).toEqual(report);
    expect(ReceivedReport.parse(report)).toEqual(report);
  });

  /** What costs only the thing that it is in, which is then read as null. */
  test.each<[string, string, unknown]>([
    ["vms.0", "vmId", "vm"],
    ["vms.0", "generation", 0],
    ["vms.0", "ownerEpoch", 0],
    ["vms.0", "observed", undefined],
    ["vms.0", "observed.vmId", "vm"],
    ["vms.0", "observed.ownerEpoch", 0],
    ["vms.0", "observed.power", "asleep"],
    ["vms.0", "observed.size.vcpus", 0],
    ["vms.0", "observed.size.vcpus", 2049],
    ["vms.0", "observed.size.memoryMib", 0],
    ["vms.0", "observed.size.diskGib", 0],
    ["vms.0", "observed.complete", undefined],
    ["vms.0", "observed.bootEpoch", "b".repeat(65)],
    ["vms.0", "observed.bootEpoch", undefined],
    ["vms.0", "observed.guest.source", "hearsay"],
    ["vms.0", "observed.guest.hostname", "h".repeat(254)],
    ["vms.0", "observed.seeded", undefined],
    ["vms.0", "settled", undefined],
    ["vms.0", "error", undefined],
    ["vms.0", "error.detail", "d".repeat(1001)],
    ["vms.0", "error.code", ""],
    ["vms.0", "error.code", "Out_of_disk"],
    ["vms.0", "error.code", "out of disk"],
    ["vms.0", "error.code", "1_disk"],
    ["vms.0", "error.code", " disk"],
    ["vms.0", "error.code", "disk\n"],
    ["vms.0", "error.code", "c".repeat(51)],
    ["actions.0", "actionId", "act"],
    ["actions.0", "vmId", "vm"],
    ["actions.0", "outcome", "half"],
    ["actions.0", "error.detail", "d".repeat(1001)],
    ["strangers.0", "vmId", "vm"],
    ["strangers.0", "ownerEpoch", 0],
    ["facts", "hypervisor", "xen"],
    ["facts", "hypervisorVersion", "v".repeat(201)],
    ["facts", "accelerator", "quantum"],
    ["facts", "capabilities.hotResize", undefined],
    ["facts", "capabilities.hotDiskGrow", undefined],
    ["facts", "capabilities.gracefulStop", undefined],
    ["facts", "capabilities.liveSnapshot", undefined],
    ["facts", "capabilities.bandwidthLimit", undefined],
    ["facts", "capabilities.iopsLimit", undefined],
    ["facts", "cpuThreads", 0],
    ["facts", "cpuThreads", 65_537],
    ["facts", "memoryMib", 0],
    ["facts", "memoryMib", 1_073_741_825],
    ["facts", "diskGib", -1],
    ["facts", "diskGib", 1_073_741_825],
    ["facts", "agentVersion", "a".repeat(51)],
  ])("%s cannot be read with %s of %j, and all else can", (thing, field, value) => {
    const report = withField(REPORT, `${thing}.${field}`, value);
    expect(AgentReport.safeParse(report).success).toBe(false);
    expect(ReceivedReport.parse(report)).toEqual(withField(REPORT, thing, null));
  });

  test.each<[string, unknown]>([
    ["desiredGeneration", -1],
    ["desiredGeneration", undefined],
    ["vms", undefined],
    // Not even a thing that cannot be read.
    ["vms.0", "a VM"],
    ["vms.0", null],
    ["actions", undefined],
    ["actions.0", 1],
    ["strangers", undefined],
    ["strangers.0", true],
    ["facts", undefined],
    ["facts", "all"],
    ["refusedDesired", null],
    ["refusedDesired.generation", -1],
    ["refusedDesired.hash", "f".repeat(101)],
    ["refusedDesired.reason", "r".repeat(101)],
  ])("%s of %j refuses it whole", (path, value) => {
    const report = withField(REPORT, path, value);
    expect(AgentReport.safeParse(report).success).toBe(false);
    expect(ReceivedReport.safeParse(report).success).toBe(false);
  });

  test("there may be 2,000 of each thing, and no more of any", () => {
    const report = {
      ...REPORT,
      vms: several(2000, VM),
      actions: several(2000, ACTION),
      strangers: several(2000, STRANGER),
    };
    expect(AgentReport.safeParse(report).success).toBe(true);
    expect(ReceivedReport.safeParse(report).success).toBe(true);
    for (const more of [
      { vms: several(2001, VM) },
      { actions: several(2001, ACTION) },
      { strangers: several(2001, STRANGER) },
    ]) {
      expect(AgentReport.safeParse({ ...REPORT, ...more }).success).toBe(false);
      expect(ReceivedReport.safeParse({ ...REPORT, ...more }).success).toBe(false);
    }
  });

  test.each([
    ["vms.0.error.code", "of_tomorrow_2"],
    ["vms.0.error.code", "c"],
    ["vms.0.error.code", `c${"_".repeat(49)}`],
    ["actions.0.error.code", "of_tomorrow_2"],
    ["refusedDesired.reason", "r".repeat(100)],
  ])("%s of %j, which only a newer agent has, is kept as it is", (path, value) => {
    const report = withField(REPORT, path, value);
    expect(AgentReport.safeParse(report).success).toBe(false);
    expect(ReceivedReport.parse(report)).toEqual(report);
  });

  test.each([
    "vms.0.observed.bootEpoch",
    "vms.0.observed.guest.hostname",
    "vms.0.error.detail",
    "actions.0.error.detail",
    "facts.hypervisorVersion",
    "facts.agentVersion",
  ])("%s is kept without what no database keeps", (path) => {
    const received = ReceivedReport.parse(withField(REPORT, path, "a\0b\0\ud800c🚀"));
    expect(received).toEqual(withField(REPORT, path, "a\ufffdb\ufffd\ufffdc🚀"));
  });
});

test("a receipt tells how many counted, and how many did not", () => {
  const receipt = { accepted: 8, ignored: 9 };
  expect(ReportReceipt.parse(oneFieldMore(receipt))).toEqual(receipt);
  expect(ReportReceipt.safeParse({ accepted: 8 }).success).toBe(false);
  expect(ReportReceipt.safeParse({ accepted: 8, ignored: 0.5 }).success).toBe(false);
});

import { expect, test } from "vitest";
import { hostFacts } from "#test/builders.ts";
import { jumpOf } from "./facts-jump.ts";

/* 4b B2: a jump in what a host says of itself is told. */

const before = hostFacts({ cpuThreads: 100, memoryMib: 1000, diskGib: 500 });

test.each([
  [{ cpuThreads: 111 }, { cpu_threads: "100 to 111" }],
  [{ memoryMib: 2 ** 30 }, { memory_mib: "1000 to 1073741824" }],
  [{ diskGib: 449 }, { disk_gib: "500 to 449" }],
  [{ accelerator: "simulated" as const }, { accelerator: "hardware to simulated" }],
  [{ hypervisorVersion: "QEMU 11.0" }, { hypervisor_version: "QEMU 10.1 to QEMU 11.0" }],
  [
    { memoryMib: 500, accelerator: "tcg" as const },
    { memory_mib: "1000 to 500", accelerator: "hardware to tcg" },
  ],
])("%j is a jump", (after, told) => {
  expect(jumpOf(before, { ...before, ...after })).toEqual(told);
});

test.each([
  {},
  { cpuThreads: 110, memoryMib: 900, diskGib: 550 },
  { agentVersion: "0.2.0", images: [] },
])("%j is none", (after) => {
  expect(jumpOf(before, { ...before, ...after })).toBeNull();
});

test("what is said for the first time is none", () => {
  expect(jumpOf(null, before)).toBeNull();
});

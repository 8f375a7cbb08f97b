import { describe, expect, test } from "vitest";
import type { z } from "zod";
import { Counters, SeenVm, toObserved } from "./answers.ts";

const VM_ID = "00000000-0000-4000-8000-000000000001";

/** What `agent.ps1` says of a running VM. */
const seen = (over: Partial<z.infer<typeof SeenVm>> = {}) =>
  toObserved(
    SeenVm.parse({
      vmId: VM_ID,
      epoch: 3,
      state: "Running",
      vcpus: 2,
      memoryMib: 512,
      diskGib: 20,
      complete: true,
      bootEpoch: "812-638",
      guest: "a.example.com",
      seeded: true,
      ...over,
    }),
  );

describe("what agent.ps1 saw of a VM", () => {
  test("is the VM, each figure in its place", () => {
    expect(seen()).toEqual({
      vmId: VM_ID,
      ownerEpoch: 3,
      power: "running",
      size: { vcpus: 2, memoryMib: 512, diskGib: 20 },
      complete: true,
      bootEpoch: "812-638",
      guest: { source: "guest_agent", hostname: "a.example.com" },
      seeded: true,
    });
  });

  test("has a boot epoch unless the VM is off: a process that still ends counts for nobody", () => {
    expect(seen({ state: "Off" }).bootEpoch).toBeNull();
    expect(seen({ state: "Stopping" }).bootEpoch).toBe("812-638");
  });

  test("tells a guest that is up and has no name from one that was not seen", () => {
    expect(seen({ guest: "" }).guest).toEqual({ source: "guest_agent", hostname: "" });
    expect(seen({ guest: null }).guest).toBeNull();
  });

  test("is of one GiB at least where the size was lost with the VM's notes", () => {
    expect(seen({ diskGib: 0 }).size.diskGib).toBe(1);
  });

  // Microsoft's VMState. What is saved keeps its memory on disk, and what is critical needs staff.
  test.each([
    ["Running", "running"],
    ["Off", "off"],
    ["Stopping", "stopping"],
    ["ForceShutdown", "stopping"],
    ["Saving", "stopping"],
    ["FastSaving", "stopping"],
    ["Pausing", "stopping"],
    ["Saved", "paused"],
    ["FastSaved", "paused"],
    ["Paused", "paused"],
    ["Starting", "starting"],
    ["Resuming", "starting"],
    ["Reset", "starting"],
    ["ForceReboot", "starting"],
    ["OffCritical", "failed"],
    ["Double", "failed"],
  ])("in the state %s is %s", (state, power) => {
    expect(seen({ state }).power).toBe(power);
  });
});

describe("a counter of Windows", () => {
  test("is read as the number that it is, each in its place", () => {
    const row = {
      vmId: VM_ID,
      bootEpoch: "812-638",
      cpuTicks: "1",
      rxBytes: ["2", "3"],
      txBytes: ["4", "5"],
      layers: [{ name: "-disk.vhdx", read: "6", write: "7" }],
      memoryBytes: "8",
      diskBytes: "9",
    };
    expect(Counters.parse({ vms: [row] }).vms).toEqual([
      {
        ...row,
        cpuTicks: 1n,
        rxBytes: [2n, 3n],
        txBytes: [4n, 5n],
        layers: [{ name: "-disk.vhdx", read: 6n, write: 7n }],
        memoryBytes: 8n,
        diskBytes: 9n,
      },
    ]);
  });

  const counters = (count: unknown) =>
    Counters.safeParse({
      vms: [
        {
          vmId: VM_ID,
          bootEpoch: "812-638",
          cpuTicks: count,
          rxBytes: [],
          txBytes: [],
          layers: [],
          memoryBytes: "0",
          diskBytes: "0",
        },
      ],
    }).data?.vms[0]?.cpuTicks;

  test("comes whole, up to all of its 64 bits", () => {
    expect(counters("18446744073709551615")).toBe(18_446_744_073_709_551_615n);
  });

  test.each(["", "-1", "1.5", "0x10", " 7", "7 ", "1e3", "1".repeat(21), 7])(
    "is a string of digits and nothing else: %j is refused",
    (count) => {
      expect(counters(count)).toBeUndefined();
    },
  );
});

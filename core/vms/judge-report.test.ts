import { describe, expect, test } from "vitest";
import type { VmReport } from "#core/contracts/agent/report.ts";
import { AT, aVmReport, minutesAfter, whatIsKnown } from "#test/builders.ts";
import { isLost, judgeReport, whatChanged, type KnownOfVm } from "./judge-report.ts";

describe("a report", () => {
  const vm = { generation: 5, ownerEpoch: 2, observedGeneration: 3 };
  test.each([
    { name: "of what is wanted now", over: { generation: 5 }, is: "current" },
    { name: "of what was seen last", over: { generation: 3 }, is: "current" },
    { name: "older than what was seen", over: { generation: 2 }, is: "stale" },
    { name: "ahead of what is wanted", over: { generation: 6 }, is: "foreign" },
    { name: "of an earlier owner", over: { ownerEpoch: 1 }, is: "foreign" },
    { name: "of a later owner", over: { ownerEpoch: 3 }, is: "foreign" },
    { name: "of a domain with another tag", over: { observed: { ownerEpoch: 1 } }, is: "foreign" },
    { name: "that the VM is not there", over: { observed: null }, is: "current" },
    {
      name: "that an earlier owner's VM is not there",
      over: { observed: null, ownerEpoch: 1 },
      is: "foreign",
    },
  ] as const)("$name is $is", ({ over, is }) => {
    expect(judgeReport(vm, aVmReport({ ownerEpoch: 2, generation: 5, ...over }))).toBe(is);
  });
});

describe("what a report changes", () => {
  const on = (now: Date, lastWordAt: Date | null = null) => ({ now, lastWordAt });
  const guest = (hostname: string) =>
    ({ observed: { guest: { source: "console", hostname } } }) as const;

  test("is nothing when it says what is known", () => {
    const first = whatChanged(whatIsKnown(), aVmReport(), on(AT));
    if (!first) throw new Error("nothing changed");
    expect(
      whatChanged({ ...whatIsKnown(), ...first }, aVmReport(), on(minutesAfter(1))),
    ).toBeUndefined();
  });

  test("is every column that is observed, each by itself", () => {
    const machine = {
      size: { vcpus: 2, memoryMib: 1024, diskGib: 20 },
      limits: { bandwidthMbit: 200, diskIops: 900 },
      hotVcpus: 8,
    };
    const running = aVmReport({ observed: { ...machine, ...guest("web-1").observed } });
    const off = aVmReport({ observed: { ...machine, power: "off", bootEpoch: null } });
    const unlimited = { bandwidthMbit: null, diskIops: null };
    const free = aVmReport({ observed: { ...running.observed, limits: unlimited } });
    const before = minutesAfter(-9);
    const known = whatIsKnown({
      firstSeenAt: before,
      guestReadyAt: before,
      observedGeneration: 1,
      seenVcpus: 2,
      seenMemoryMib: 1024,
      seenDiskGib: 20,
      seenLimitsKnown: true,
      seenBandwidthMbit: 200,
      seenDiskIops: 900,
      seenHotVcpus: 8,
    });
    const up: KnownOfVm = {
      ...known,
      observedPower: "running",
      runningSince: before,
      firstRunningAt: before,
      ranMs: 5,
      bootEpoch: "boot-1",
    };
    const down: KnownOfVm = { ...known, observedPower: "off", firstRunningAt: before };
    const changes: readonly [KnownOfVm, VmReport, Partial<KnownOfVm>][] = [
      [{ ...up, observedPower: "starting" }, running, { observedPower: "running" }],
      [{ ...up, observedGeneration: 0 }, running, { observedGeneration: 1 }],
      [{ ...up, firstSeenAt: null }, running, { firstSeenAt: AT }],
      [{ ...up, runningSince: null }, running, { runningSince: AT }],
      [{ ...up, firstRunningAt: null }, running, { firstRunningAt: AT }],
      [{ ...up, guestReadyAt: null }, running, { guestReadyAt: AT }],
      [{ ...down, bootEpoch: "boot-1" }, off, { bootEpoch: null }],
      [{ ...up, lostAt: before }, running, { lostAt: null }],
      // 6a 2: what of its plan is seen.
      [{ ...up, seenVcpus: 1 }, running, { seenVcpus: 2 }],
      [{ ...up, seenMemoryMib: 512 }, running, { seenMemoryMib: 1024 }],
      [{ ...up, seenDiskGib: 10 }, running, { seenDiskGib: 20 }],
      [{ ...up, seenBandwidthMbit: null }, running, { seenBandwidthMbit: 200 }],
      [{ ...up, seenDiskIops: 0 }, running, { seenDiskIops: 900 }],
      [{ ...up, seenHotVcpus: null }, running, { seenHotVcpus: 8 }],
      [
        { ...up, seenLimitsKnown: false, seenBandwidthMbit: null, seenDiskIops: null },
        free,
        { seenLimitsKnown: true },
      ],
    ];
    for (const [last, report, column] of changes) {
      const { hostname: _, generation: _g, ownerEpoch: _e, presence: _p, ...columns } = last;
      expect(whatChanged(last, report, on(AT))).toEqual({ ...columns, ...column, observedAt: AT });
      expect(whatChanged({ ...last, ...column }, report, on(AT))).toBeUndefined();
    }
  });

  test("6a 2: of a machine that is not there, or not whole, its size is not known; nor its limits of who does not say", () => {
    const known = { ...whatIsKnown(), ...whatChanged(whatIsKnown(), aVmReport(), on(AT)) };
    expect(known).toMatchObject({ seenVcpus: 1, seenMemoryMib: 1024, seenDiskGib: 20 });
    expect(known).toMatchObject({ seenLimitsKnown: false, seenBandwidthMbit: null });
    const none = { seenVcpus: null, seenMemoryMib: null, seenDiskGib: null };
    for (const observed of [null, { complete: false }])
      expect(whatChanged(known, aVmReport({ observed }), on(AT))).toMatchObject(none);
  });

  test("5.6: is an error with its age and its times, which another code begins anew", () => {
    const says = (code: "out_of_disk" | "timed_out", detail: string) =>
      aVmReport({ error: { code, detail } });
    let known = whatIsKnown();
    const after = (minutes: number, report: VmReport) => {
      known = { ...known, ...whatChanged(known, report, on(minutesAfter(minutes))) };
      const { lastErrorCode, lastErrorDetail, lastErrorSince, lastErrorTimes } = known;
      return [lastErrorCode, lastErrorDetail, lastErrorSince, lastErrorTimes];
    };
    expect(after(1, says("timed_out", "late"))).toEqual(["timed_out", "late", minutesAfter(1), 1]);
    const since = minutesAfter(3);
    expect(after(3, says("out_of_disk", "full"))).toEqual(["out_of_disk", "full", since, 1]);
    expect(after(4, says("out_of_disk", "fuller"))).toEqual(["out_of_disk", "fuller", since, 2]);
    expect(after(5, aVmReport())).toEqual([null, null, null, 0]);
    // One of before this was kept.
    known = { ...known, lastErrorCode: "timed_out", lastErrorDetail: "late" };
    expect(after(6, says("timed_out", "late"))).toEqual(["timed_out", "late", minutesAfter(6), 1]);
  });

  // 5.1
  test("dates the loss of a VM once, and takes it back only when the VM is seen whole", () => {
    const missing = { code: "vm_missing", detail: "it was here and is gone" } as const;
    const gone = aVmReport({ observed: null, error: missing });
    const known = whatIsKnown({ firstSeenAt: minutesAfter(-9), observedPower: "running" });
    expect(whatChanged(known, gone, on(AT))).toMatchObject({ lostAt: AT, observedPower: null });
    const lost = { ...known, lostAt: AT };
    for (const still of [gone, aVmReport({ observed: { complete: false } })])
      expect(whatChanged(lost, still, on(minutesAfter(1)))).toMatchObject({ lostAt: AT });
    expect(whatChanged(lost, aVmReport(), on(minutesAfter(2)))).toMatchObject({ lostAt: null });
  });

  test("dates what was first seen whole once: not what is half made, nor again after", () => {
    const half = aVmReport({ observed: { complete: false } });
    expect(whatChanged(whatIsKnown(), half, on(AT))).toMatchObject({ firstSeenAt: null });
    const known = whatIsKnown({ firstSeenAt: AT });
    expect(whatChanged(known, aVmReport(), on(minutesAfter(1)))).toMatchObject({ firstSeenAt: AT });
    const gone = aVmReport({ observed: null });
    expect(whatChanged(known, gone, on(minutesAfter(1)))).toMatchObject({ firstSeenAt: AT });
  });

  test.each(["web-1", "WEB-1.lan", "web-1.example.com"])(
    "is a ready guest when it gives its ordered name (%s)",
    (hostname) => {
      expect(whatChanged(whatIsKnown(), aVmReport(guest(hostname)), on(AT))).toMatchObject({
        guestReadyAt: AT,
      });
    },
  );

  test.each(["localhost", "web-10", ""])(
    "is no ready guest under another name (%j)",
    (hostname) => {
      expect(whatChanged(whatIsKnown(), aVmReport(guest(hostname)), on(AT))).toMatchObject({
        guestReadyAt: null,
      });
    },
  );

  test("keeps since when it runs over one boot, and counts anew over a reboot", () => {
    const known = whatIsKnown({ observedPower: "running", runningSince: AT, bootEpoch: "boot-1" });
    const later = minutesAfter(7);
    expect(whatChanged(known, aVmReport(), on(later))).toMatchObject({ runningSince: AT });
    expect(
      whatChanged(known, aVmReport({ observed: { bootEpoch: "boot-2" } }), on(later)),
    ).toMatchObject({
      runningSince: later,
    });
    const off = { observed: { power: "off", bootEpoch: null } } as const;
    expect(whatChanged(known, aVmReport(off), on(later))).toMatchObject({ runningSince: null });
  });

  test("4b A1: sums how long it was seen running over all boots, to its host's last word and no further", () => {
    const times = { first: AT, word: minutesAfter(8), later: minutesAfter(9) };
    const boot = (bootEpoch: string) => aVmReport({ observed: { bootEpoch } });
    const off = aVmReport({ observed: { power: "off", bootEpoch: null } });
    const known = whatIsKnown({
      observedPower: "running",
      runningSince: times.first,
      firstRunningAt: times.first,
      ranMs: 7,
      bootEpoch: "boot-1",
    });
    const after = (report: VmReport, lastWordAt: Date | null) =>
      whatChanged(known, report, on(times.later, lastWordAt));
    expect(after(boot("boot-1"), times.word)).toMatchObject({ ranMs: 7 });
    const summed = { ranMs: 8 * 60_000 + 7, firstRunningAt: times.first };
    expect(after(boot("boot-2"), times.word)).toMatchObject(summed);
    expect(after(off, times.word)).toMatchObject({ ...summed, runningSince: null });
    expect(after(aVmReport({ observed: null }), times.word)).toMatchObject(summed);
    expect(after(off, null)).toMatchObject({ ranMs: 7 });
    expect(after(off, minutesAfter(-1))).toMatchObject({ ranMs: 7 });
    const stopped = { ...known, ...after(off, times.word) };
    const again = whatChanged(stopped, boot("boot-3"), on(minutesAfter(20), minutesAfter(19)));
    expect(again).toMatchObject({ ...summed, runningSince: minutesAfter(20) });
  });

  test("calls a VM that is still being made off, and one that is not there unknown", () => {
    expect(
      whatChanged(whatIsKnown(), aVmReport({ observed: { complete: false } }), on(AT)),
    ).toMatchObject({
      observedPower: "off",
      runningSince: null,
      guestReadyAt: null,
    });
    const known = whatIsKnown({ observedPower: "running" });
    expect(whatChanged(known, aVmReport({ observed: null }), on(AT))).toMatchObject({
      observedPower: null,
    });
  });

  test("once a guest was ready, it stays so", () => {
    const known = whatIsKnown({ guestReadyAt: AT });
    expect(whatChanged(known, aVmReport(), on(minutesAfter(1)))).toMatchObject({
      guestReadyAt: AT,
    });
  });

  test("forgets an error that is over", () => {
    const known = whatIsKnown({ lastErrorCode: "out_of_disk", lastErrorDetail: "full" });
    expect(whatChanged(known, aVmReport(), on(AT))).toMatchObject({
      lastErrorCode: null,
      lastErrorDetail: null,
    });
  });
});

// 5.1
describe("a VM is lost", () => {
  const missing = { code: "vm_missing", detail: "gone" } as const;
  const seen = { firstSeenAt: AT, presence: "present" } as const;
  test.each([
    { name: "when its host looked and it is not there", is: true },
    { name: "when a part of it is not there", report: { observed: { complete: false } }, is: true },
    { name: "not while it is whole", report: { observed: {} }, is: false },
    { name: "not when it was never seen whole", vm: { firstSeenAt: null }, is: false },
    { name: "not when it is to go", vm: { presence: "absent" }, is: false },
    { name: "not when its host says nothing of why", report: { error: null }, is: false },
    {
      name: "not when its agent does not understand it",
      report: { error: { code: "unsupported_by_agent", detail: "newer" } },
      is: false,
    },
  ] as const)("$name", ({ vm = {}, report = {}, is }) => {
    const told = aVmReport({ observed: null, error: missing, ...report });
    expect(isLost({ ...seen, ...vm }, told)).toBe(is);
  });
});

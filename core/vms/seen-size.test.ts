import { describe, expect, test } from "vitest";
import { aDesiredVm } from "#test/drivers/builders.ts";
import { commonLimit, desiredLimits, NOT_ALIKE, seenSizeFromRow, sizeIsSeen } from "./seen-size.ts";

const size = { vcpus: 2, memoryMib: 2048, diskGib: 40 };
const limits = { bandwidthMbit: 200, diskIops: 900 };
const wanted = { ...size, ...limits };

describe("6a 2: a size", () => {
  test("is seen when every field of the plan is", () => {
    expect(sizeIsSeen(wanted, { size, limits })).toBe("seen");
  });

  test.each([
    ["vcpus", 1],
    ["memoryMib", 2047],
    ["diskGib", 41],
    ["bandwidthMbit", 100],
    ["bandwidthMbit", null],
    ["bandwidthMbit", NOT_ALIKE],
    ["diskIops", 901],
    ["diskIops", null],
  ] as const)("with %s of %j differs", (field, value) => {
    expect(sizeIsSeen({ ...wanted, [field]: value }, { size, limits })).toBe("differs");
  });

  test("with no limits where none are wanted is seen, and with limits it differs", () => {
    const free = { bandwidthMbit: null, diskIops: null };
    expect(sizeIsSeen({ ...size, ...free }, { size, limits: free })).toBe("seen");
    expect(sizeIsSeen({ ...size, ...free }, { size, limits })).toBe("differs");
  });

  test("of which something is not known is no proof, unless what is known differs", () => {
    expect(sizeIsSeen(wanted, { size: null, limits: null })).toBe("unknown");
    expect(sizeIsSeen(wanted, { size, limits: null })).toBe("unknown");
    expect(sizeIsSeen(wanted, { size: null, limits })).toBe("unknown");
    expect(sizeIsSeen({ ...wanted, vcpus: 4 }, { size, limits: null })).toBe("differs");
    expect(sizeIsSeen({ ...wanted, diskIops: 4 }, { size: null, limits })).toBe("differs");
  });
});

test("cards that are not limited alike have no limit that anybody orders, unless that is wanted", () => {
  expect(commonLimit([])).toBeNull();
  expect(commonLimit([null, null])).toBeNull();
  expect(commonLimit([200, 200])).toBe(200);
  expect(commonLimit([200, null])).toBe(NOT_ALIKE);
  expect(commonLimit([null, 200])).toBe(NOT_ALIKE);
  const [nic] = aDesiredVm().nics;
  if (!nic) throw new Error("no card");
  const nics = [100, 200].map((bandwidthMbit) => ({ ...nic, bandwidthMbit }));
  expect(desiredLimits({ nics, diskIops: 7 })).toEqual({ bandwidthMbit: NOT_ALIKE, diskIops: 7 });
});

test("what is kept of a VM says apart what is not limited and what is not known", () => {
  const row = {
    seenVcpus: 2,
    seenMemoryMib: 2048,
    seenDiskGib: 40,
    seenLimitsKnown: true,
    seenBandwidthMbit: null,
    seenDiskIops: 900,
    seenHotVcpus: null,
  };
  expect(seenSizeFromRow(row)).toEqual({ size, limits: { bandwidthMbit: null, diskIops: 900 } });
  const unsaid = { ...row, seenLimitsKnown: false, seenDiskIops: null };
  expect(seenSizeFromRow(unsaid)).toEqual({ size, limits: null });
  const unseen = { ...unsaid, seenVcpus: null, seenMemoryMib: null, seenDiskGib: null };
  expect(seenSizeFromRow(unseen)).toEqual({ size: null, limits: null });
});

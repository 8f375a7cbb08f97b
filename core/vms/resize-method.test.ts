import { describe, expect, test } from "vitest";
import { LIMITS } from "#core/hosts/limits.ts";
import { ALL_CAPABILITIES } from "#test/builders.ts";
import {
  howToResize,
  RESIZE_REFUSALS,
  type ResizedFrom,
  type ResizeMeans,
} from "./resize-method.ts";
import type { WholeSize } from "./seen-size.ts";

const SIZE = { vcpus: 2, memoryMib: 2048, diskGib: 40 };
const LIMITED = { bandwidthMbit: 200, diskIops: 900 };
const FROM: ResizedFrom = { size: SIZE, limits: LIMITED, hotVcpus: 8 };
/** As KVM's driver. */
const KVM: ResizeMeans = {
  capabilities: { ...ALL_CAPABILITIES, hotMemory: false },
  limits: LIMITS.kvm,
  imageMinMemoryMib: 1024,
};

describe("6a 2: how a VM would be given another size", () => {
  const how = (to: Partial<WholeSize>, over: Partial<ResizeMeans> = {}, from = FROM) =>
    howToResize(from, { ...SIZE, ...LIMITED, ...to }, { ...KVM, ...over }, "running");
  const codes = (...of: Parameters<typeof how>) => how(...of).refusals.map(({ code }) => code);

  test.each<[Partial<WholeSize>, string]>([
    [{}, "none"],
    [{ vcpus: 8 }, "live"],
    [{ vcpus: 9 }, "restart"],
    [{ vcpus: 1 }, "restart"],
    [{ memoryMib: 4096 }, "restart"],
    [{ memoryMib: 1024 }, "restart"],
    [{ diskGib: 80 }, "live"],
    [{ bandwidthMbit: null }, "live"],
    [{ bandwidthMbit: 400, diskIops: 100, vcpus: 4, diskGib: 80 }, "live"],
    [{ diskIops: 100, memoryMib: 4096 }, "restart"],
  ])("to %j is %s", (to, method) => {
    expect(how(to)).toEqual({ method, refusals: [] });
  });

  test("is nothing that a guest notices while it is off, and a restart of one that is paused", () => {
    const to = { ...SIZE, ...LIMITED, vcpus: 4 };
    expect(howToResize(FROM, to, KVM, "off")).toEqual({ method: "none", refusals: [] });
    expect(howToResize(FROM, to, KVM, "paused")).toEqual({ method: "restart", refusals: [] });
  });

  test("is refused by stable codes, each for its own reason, and all of them at once", () => {
    const deaf = { capabilities: { ...KVM.capabilities, iopsLimit: false, bandwidthLimit: false } };
    expect(codes({ vcpus: 256 })).toEqual(["beyond_limits"]);
    expect(codes({ diskGib: 39 })).toEqual(["disk_shrinks"]);
    expect(codes({ memoryMib: 1023 })).toEqual(["memory_below_image"]);
    expect(codes({ diskIops: 901 }, deaf)).toEqual(["limit_unsupported"]);
    expect(codes({ bandwidthMbit: 201 }, deaf)).toEqual(["limit_unsupported"]);
    expect(how({ bandwidthMbit: 201, diskIops: 901 }, deaf).refusals[0]?.detail).toMatch(
      /bandwidth and IOPS/,
    );
    const all = { vcpus: 256, diskGib: 1, memoryMib: 512, diskIops: 1 };
    expect(how(all, deaf)).toMatchObject({ method: "none" });
    expect(codes(all, deaf)).toEqual(RESIZE_REFUSALS);
    // What stays, or is taken away, needs no capability.
    expect(how({ vcpus: 4 }, deaf)).toEqual({ method: "live", refusals: [] });
    expect(how({ bandwidthMbit: null, diskIops: null }, deaf).refusals).toEqual([]);
  });

  test("goes by what an agent of before says: one word for vCPUs and memory, and no limits", () => {
    const { hotVcpus: _, hotMemory: __, ...before } = ALL_CAPABILITIES;
    const old: ResizedFrom = { size: SIZE, limits: null, hotVcpus: null };
    expect(how({ memoryMib: 4096, vcpus: 64 }, { capabilities: before }, old).method).toBe("live");
    const cold = { capabilities: { ...before, hotResize: false } };
    expect(how({ vcpus: 3 }, cold, old).method).toBe("restart");
    expect(how({ diskIops: 1 }, cold, old)).toEqual({ method: "none", refusals: [] });
  });
});

import { describe, expect, test } from "vitest";
import { hostFacts } from "#test/builders.ts";
import { capacityOf } from "./capacity.ts";
import { LIMITS, limitsOf, PLATFORMS, platformOf, whyBeyondLimits } from "./limits.ts";

const SIZE = { vcpus: 1, memoryMib: 1024, diskGib: 20 };
const windows = (build: string) => `Microsoft Windows Server Datacenter 10.0.${build}`;
const hyperv = (over: Partial<Parameters<typeof hostFacts>[0]> = {}) =>
  hostFacts({ hypervisor: "hyperv", hypervisorVersion: windows("20348"), ...over });

describe("the limits of a host", () => {
  test.each([
    ["6.3.9600", "hyperv-2012r2"],
    [windows("14393"), "hyperv-2016"],
    [windows("17763"), "hyperv-2019"],
    [windows("20348"), "hyperv-2022"],
    [windows("26100"), "hyperv-2025"],
    [windows("27842"), "hyperv-2025"],
    [windows("26099"), "hyperv-2022"],
    [windows("14392"), "hyperv-2012r2"],
    ["10.10.26100", "hyperv-2025"],
    ["something else", "hyperv-2012r2"],
  ])("are those of its version: %s is %s", (hypervisorVersion, platform) => {
    expect(platformOf({ hypervisor: "hyperv", hypervisorVersion })).toBe(platform);
    expect(platformOf({ hypervisor: "kvm", hypervisorVersion })).toBe("kvm");
  });

  test("let a VM of Hyper-V have no more vCPUs than the host has threads; KVM's may have more", () => {
    const eight = { ...SIZE, vcpus: 8 };
    expect(whyBeyondLimits(eight, limitsOf(hyperv({ cpuThreads: 8 })))).toBeNull();
    expect(whyBeyondLimits(eight, limitsOf(hyperv({ cpuThreads: 4 })))).toMatch(/more than the 4/);
    expect(whyBeyondLimits(eight, limitsOf(hostFacts({ cpuThreads: 4 })))).toBeNull();
    const huge = hyperv({ cpuThreads: 4000, hypervisorVersion: windows("14393") });
    expect(limitsOf(huge).vmVcpus).toBe(240);
  });

  test.each([
    { memoryMib: 1025, kvm: true, hyperv: false },
    { memoryMib: 1026, kvm: true, hyperv: true },
    { memoryMib: 30, kvm: true, hyperv: false },
    { memoryMib: 32, kvm: true, hyperv: true },
  ])("memory of $memoryMib MiB: KVM $kvm, Hyper-V $hyperv", ({ memoryMib, ...fits }) => {
    for (const platform of PLATFORMS) {
      const why = whyBeyondLimits({ ...SIZE, memoryMib }, LIMITS[platform]);
      expect(why === null).toBe(platform === "kvm" ? fits.kvm : fits.hyperv);
    }
  });
});

test("a size that is refused is told what it may be", () => {
  const why = (size: Partial<typeof SIZE>) =>
    whyBeyondLimits({ ...SIZE, ...size }, LIMITS["hyperv-2012r2"]);
  expect(why({ vcpus: 65 })).toMatch(/65 vCPUs .*\b64\b/);
  expect(why({ memoryMib: 1024 * 1024 + 2 })).toMatch(/1048578 MiB .*\b1048576\b/);
  expect(why({ diskGib: 65_537 })).toMatch(/65537 GiB .*\b65536\b/);
  expect(why({ memoryMib: 30 })).toMatch(/30 MiB .*\b32\b/);
  expect(why({ memoryMib: 1025 })).toMatch(/1025 MiB .*\b2 MiB/);
  expect(why({ vcpus: 64, memoryMib: 1024 * 1024, diskGib: 65_536 })).toBeNull();
});

describe("what a Hyper-V host may give away", () => {
  test("is 1,024 VMs and 2,048 vCPUs, however large it is", () => {
    const large = hyperv({ cpuThreads: 1024, memoryMib: 8 * 1024 * 1024 });
    expect(capacityOf(large, 8)).toMatchObject({ vms: 1024, vcpus: 2048 });
    expect(capacityOf(hyperv({ cpuThreads: 4 }), 4)).toMatchObject({ vms: 1024, vcpus: 16 });
  });

  test("is of no more threads and memory than its version of Windows uses", () => {
    const old = { hypervisorVersion: "6.3.9600" };
    const TIB = 1024 * 1024;
    expect(capacityOf(hyperv({ ...old, cpuThreads: 400 }), 1).vcpus).toBe(320);
    expect(capacityOf(hyperv({ ...old, memoryMib: 8 * TIB }), 1).memoryMib).toBe(
      4 * TIB - (4 * TIB) / 16,
    );
    expect(capacityOf(hostFacts({ cpuThreads: 400, memoryMib: 8 * TIB }), 1)).toMatchObject({
      vcpus: 400,
      memoryMib: 8 * TIB - (8 * TIB) / 16,
    });
  });
});

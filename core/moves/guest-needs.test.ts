import { expect, test } from "vitest";
import { PLAIN_HARDWARE, type ImageHardware } from "#core/vms/image-hardware.ts";
import type { OsFamily } from "#core/vms/vm.ts";
import { driversAfter, firmwareAfter } from "./guest-needs.ts";

const guest = (os: OsFamily, hardware: Partial<ImageHardware> = {}) => ({
  os,
  hardware: { ...PLAIN_HARDWARE, ...hardware },
});
const UEFI = { firmware: "uefi" } as const;

test.each([
  ["an image that says no firmware, to Hyper-V", guest("linux"), "kvm", "hyperv", /BIOS.*UEFI/],
  ["an image that says no firmware, to KVM", guest("linux"), "hyperv", "kvm", /UEFI.*BIOS/],
  ["a loader that may not be signed", guest("linux", UEFI), "kvm", "hyperv", /signed/],
] as const)("%s: it is not known to boot", (_, of, from, to, detail) => {
  expect(firmwareAfter(of, from, to)).toEqual({ ok: false, detail: expect.stringMatching(detail) });
});

test.each([
  ["BIOS", guest("linux", { firmware: "bios" }), "kvm", "hyperv"],
  ["a loader that is signed", guest("linux", { ...UEFI, secureBoot: "uefi-ca" }), "kvm", "hyperv"],
  ["a loader that nobody checks", guest("linux", { ...UEFI, secureBoot: "off" }), "kvm", "hyperv"],
  ["KVM, which checks none unasked", guest("linux", UEFI), "hyperv", "kvm"],
  ["FreeBSD, which Hyper-V checks not", guest("freebsd", UEFI), "kvm", "hyperv"],
  ["Windows, which Microsoft has signed", guest("windows", UEFI), "kvm", "hyperv"],
] as const)("%s: it boots on both", (_, of, from, to) => {
  expect(firmwareAfter(of, from, to)).toMatchObject({ ok: true });
});

test("Windows finds its disk on KVM where that is one it knows, and every other guest finds its own", () => {
  expect(driversAfter(guest("windows"), "kvm")).toMatchObject({ ok: false });
  expect(driversAfter(guest("windows", { diskBus: "virtio" }), "kvm")).toMatchObject({ ok: false });
  for (const [of, to] of [
    [guest("windows", { diskBus: "sata" }), "kvm"],
    [guest("windows"), "hyperv"],
    [guest("linux"), "kvm"],
    [guest("linux"), "hyperv"],
    [guest("freebsd"), "kvm"],
    [guest("freebsd"), "hyperv"],
  ] as const)
    expect(driversAfter(of, to)).toMatchObject({ ok: true });
});

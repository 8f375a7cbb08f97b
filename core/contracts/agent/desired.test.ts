import { describe, expect, test } from "vitest";
import { aVmOfEveryField } from "#test/builders.ts";
import { oneFieldMore } from "#test/compat/one-field-more.ts";
import { withField } from "#test/harness/with-field.ts";
import { DesiredDocument, DesiredVm, InitialPasswordAnswer, ReceivedDocument } from "./desired.ts";

const VM = aVmOfEveryField();
const [NIC] = VM.nics;
const several = <T>(n: number, of: T): T[] => Array.from({ length: n }, () => of);

describe("a desired VM", () => {
  test("is read whole, with what it needs", () => {
    const vm = { ...VM, needs: ["ipv6", "second-disk"] };
    expect(DesiredVm.parse(vm)).toEqual(vm);
    expect(DesiredVm.parse(VM)).toEqual(VM);
  });

  test("is read without what is of tomorrow", () => {
    expect(DesiredVm.parse(oneFieldMore(VM))).toEqual(VM);
  });

  test.each<[string, unknown]>([
    ["generation", 1],
    ["ownerEpoch", 1],
    ["presence", "absent"],
    ["mayCreate", true],
    ["power", "running"],
    ["stopMode", "graceful"],
    ["size", { vcpus: 1, memoryMib: 1, diskGib: 1 }],
    // What is too much for its hypervisor is for the host to say.
    ["size.vcpus", 2049],
    ["image.file", "a"],
    ["image.file", `0${"._-".repeat(33)}`],
    ["image.os", "linux"],
    ["image.os", "windows"],
    ["image.minMemoryMib", 1],
    ["nics", several(8, NIC)],
    ["nics.0.ipv4.prefix", 0],
    ["nics.0.ipv4.prefix", 32],
    ["nics.0.vlan", 1],
    ["nics.0.vlan", 4094],
    ["nics.0.vlan", null],
    ["nics.0.bandwidthMbit", 1],
    ["nics.0.bandwidthMbit", null],
    ["nameservers", []],
    ["nameservers", several(4, "192.0.2.53")],
    ["sshKeys", []],
    ["sshKeys", several(32, "a key")],
    ["userData", ""],
    ["userData", null],
    ["diskIops", 1],
    ["diskIops", null],
    ["pendingActions", []],
    ["pendingActions.0.type", "reboot"],
    ["needs", []],
  ])("may have %s of %j", (path, value) => {
    const vm = withField(VM, path, value);
    expect(DesiredVm.parse(vm)).toEqual(vm);
  });

  test.each<[string, unknown]>([
    ["vmId", "vm_0199f0a2b3c47d5e8f90000000000001"],
    ["generation", 0],
    ["generation", 1.5],
    ["ownerEpoch", 0],
    ["presence", "gone"],
    ["mayCreate", undefined],
    ["power", "paused"],
    ["stopMode", "gentle"],
    ["entitledUntil", "2026-04-01T12:00:00Z"],
    ["entitledUntil", "2026-04-01T12:00:00.001+01:00"],
    ["hostname", null],
    ["size.vcpus", 0],
    ["size.memoryMib", 0],
    ["size.diskGib", 0],
    ["image.id", "img"],
    ["image.file", ""],
    ["image.file", ".hidden"],
    ["image.file", "../secret"],
    ["image.file", "a/b"],
    ["image.file", "Debian"],
    ["image.file", "debian\n"],
    ["image.file", " debian"],
    ["image.file", "a".repeat(101)],
    ["image.os", "plan9"],
    ["image.minMemoryMib", 0],
    ["nics", []],
    ["nics", several(9, NIC)],
    ["nics.0.mac", "52:54:00:0a:0b"],
    ["nics.0.mac", "52:54:00:0a:0b:0c:0d"],
    ["nics.0.mac", "52:54:00:0A:0B:0C"],
    ["nics.0.mac", "52-54-00-0a-0b-0c"],
    ["nics.0.mac", "x52:54:00:0a:0b:0c"],
    ["nics.0.mac", "52:54:00:0a:0b:0cx"],
    ["nics.0.ipv4.address", "192.0.2"],
    ["nics.0.ipv4.address", "2001:db8::1"],
    ["nics.0.ipv4.prefix", -1],
    ["nics.0.ipv4.prefix", 33],
    ["nics.0.ipv4.gateway", "192.0.2.256"],
    ["nics.0.vlan", 0],
    ["nics.0.vlan", 4095],
    ["nics.0.vlan", undefined],
    ["nics.0.bandwidthMbit", 0],
    ["nameservers", several(5, "192.0.2.53")],
    ["nameservers", ["ns1.example.com"]],
    ["sshKeys", several(33, "a key")],
    ["userData", undefined],
    ["diskIops", 0],
    ["pendingActions.0.id", "act"],
    ["pendingActions.0.type", "resize"],
    ["needs", [6]],
    ["needs", null],
  ])("may not have %s of %j", (path, value) => {
    expect(DesiredVm.safeParse(withField(VM, path, value)).success).toBe(false);
  });
});

describe("a desired document", () => {
  const DOCUMENT = {
    hostId: "0199f0a2-b3c4-7d5e-8f90-000000000004",
    generation: 34,
    hash: "ab12",
    entitlementGraceSeconds: 7200,
    vms: [VM],
  };

  test("is read whole, and without what is of tomorrow", () => {
    expect(DesiredDocument.parse(oneFieldMore(DOCUMENT))).toEqual(DOCUMENT);
  });

  test("is kept by its agent with what is of tomorrow, and with VMs that are not read yet", () => {
    const received = oneFieldMore({
      ...DOCUMENT,
      vms: [{ ...VM, power: "asleep" }, "no VM", null],
    });
    expect(ReceivedDocument.parse(received)).toEqual(received);
  });

  test.each<[string, unknown]>([
    ["generation", 0],
    ["entitlementGraceSeconds", 0],
    ["vms", []],
  ])("may have %s of %j", (path, value) => {
    const document = withField(DOCUMENT, path, value);
    expect(DesiredDocument.parse(document)).toEqual(document);
    expect(ReceivedDocument.parse(document)).toEqual(document);
  });

  test.each<[string, unknown]>([
    ["hostId", "host"],
    ["generation", -1],
    ["hash", undefined],
    ["entitlementGraceSeconds", -1],
    ["entitlementGraceSeconds", 0.5],
    ["vms", undefined],
    ["vms", {}],
  ])("may not have %s of %j", (path, value) => {
    const document = withField(DOCUMENT, path, value);
    expect(DesiredDocument.safeParse(document).success).toBe(false);
    expect(ReceivedDocument.safeParse(document).success).toBe(false);
  });
});

describe("an initial password", () => {
  test.each(["!".repeat(12), `Aa0~${"z".repeat(116)}`])("may be %s", (password) => {
    expect(InitialPasswordAnswer.parse(oneFieldMore({ password }))).toEqual({ password });
  });

  test.each([
    "!".repeat(11),
    "!".repeat(121),
    `${"a".repeat(11)} a`,
    `${"a".repeat(12)}\n`,
    ` ${"a".repeat(12)}`,
    `${"a".repeat(12)}é`,
    `${"a".repeat(12)}\x7f`,
  ])("may not be %j", (password) => {
    expect(InitialPasswordAnswer.safeParse({ password }).success).toBe(false);
  });
});

import { describe, expect, test } from "vitest";
import { aVmOfEveryField } from "#test/builders.ts";
import { oneFieldMore } from "#test/compat/one-field-more.ts";
import { withField } from "#test/harness/with-field.ts";
import type { AgentSession } from "./channel.ts";
import type { UsageReceipt } from "./usage.ts";
import {
  documentInProtocol1,
  enrollAnswerInProtocol1,
  initialPasswordInProtocol1,
  reportReceiptInProtocol1,
  sessionInProtocol1,
  usageReceiptInProtocol1,
  vmsInProtocol1,
} from "./protocol-1.ts";

/*
 * What an agent of protocol 1 is sent, field by field. It refuses whatever holds a field that it does not know, so each
 * answer is given with fields of tomorrow, and must come without. Written out, as protocol 1 itself is.
 */

const VM = aVmOfEveryField();
const [NIC] = VM.nics;
const several = <T>(n: number, of: T): T[] => Array.from({ length: n }, () => of);

describe("a VM", () => {
  test("is sent whole", () => {
    expect(vmsInProtocol1([VM])).toStrictEqual([
      {
        vmId: "0199f0a2-b3c4-7d5e-8f90-000000000001",
        generation: 12,
        ownerEpoch: 3,
        presence: "present",
        mayCreate: false,
        power: "off",
        stopMode: "firm",
        entitledUntil: "2026-04-01T12:00:00.001Z",
        hostname: "web-1.example.com",
        size: { vcpus: 2, memoryMib: 2048, diskGib: 40 },
        image: {
          id: "0199f0a2-b3c4-7d5e-8f90-000000000002",
          file: "freebsd-15",
          os: "freebsd",
          minMemoryMib: 512,
        },
        nics: [
          {
            mac: "52:54:00:0a:0b:0c",
            ipv4: { address: "192.0.2.10", prefix: 24, gateway: "192.0.2.1" },
            vlan: 7,
            bandwidthMbit: 200,
          },
        ],
        nameservers: ["192.0.2.53", "198.51.100.53"],
        sshKeys: VM.sshKeys,
        userData: "#cloud-config\n",
        diskIops: 900,
        pendingActions: [{ id: "0199f0a2-b3c4-7d5e-8f90-000000000003", type: "reset" }],
      },
    ]);
  });

  test("is sent without what is of tomorrow", () => {
    expect(vmsInProtocol1([oneFieldMore(VM)])).toStrictEqual([VM]);
  });

  test("is sent without its needs when it has none, and not at all when it has one", () => {
    expect(vmsInProtocol1([{ ...VM, needs: [] }])).toStrictEqual([VM]);
    expect(vmsInProtocol1([{ ...VM, needs: ["ipv6"] }])).toEqual([]);
  });

  test("that cannot be sent costs no other", () => {
    const [first, last] = [
      { ...VM, generation: 1 },
      { ...VM, generation: 2 },
    ];
    const strange = withField(VM, "power", "asleep");
    expect(vmsInProtocol1([first, strange, { ...VM, needs: ["ipv6"] }, last])).toEqual([
      first,
      last,
    ]);
    expect(vmsInProtocol1([])).toEqual([]);
  });

  test.each<[string, unknown]>([
    ["generation", 1],
    ["ownerEpoch", 1],
    ["presence", "absent"],
    ["mayCreate", true],
    ["power", "running"],
    ["stopMode", "graceful"],
    ["size", { vcpus: 1, memoryMib: 1, diskGib: 1 }],
    ["size.vcpus", 2048],
    ["image.file", "a"],
    ["image.file", `0${"._-".repeat(33)}`],
    ["image.os", "linux"],
    ["image.os", "windows"],
    ["nics", several(8, NIC)],
    ["nics.0.ipv4.prefix", 0],
    ["nics.0.ipv4.prefix", 32],
    ["nics.0.vlan", 1],
    ["nics.0.vlan", 4094],
    ["nics.0.vlan", null],
    ["nics.0.bandwidthMbit", null],
    ["nameservers", several(4, "192.0.2.53")],
    ["sshKeys", several(32, "a key")],
    ["userData", null],
    ["diskIops", null],
    ["pendingActions", []],
    ["pendingActions.0.type", "reboot"],
  ])("is sent with %s of %j", (path, value) => {
    const vm = withField(VM, path, value);
    expect(vmsInProtocol1([vm])).toStrictEqual([vm]);
  });

  test.each<[string, unknown]>([
    ["vmId", "vm"],
    ["generation", 0],
    ["ownerEpoch", 0],
    ["presence", "moved"],
    ["power", "asleep"],
    ["stopMode", "gentle"],
    ["entitledUntil", "2026-04-01T12:00:00Z"],
    ["size.vcpus", 0],
    ["size.vcpus", 2049],
    ["size.memoryMib", 0],
    ["size.diskGib", 0],
    ["image.id", "img"],
    ["image.file", "Debian"],
    ["image.file", "debian/13"],
    ["image.file", "debian\n"],
    ["image.file", " debian"],
    ["image.file", "a".repeat(101)],
    ["image.os", "plan9"],
    ["image.minMemoryMib", 0],
    ["nics", []],
    ["nics", several(9, NIC)],
    ["nics.0.mac", "52:54:00:0A:0B:0C"],
    ["nics.0.mac", "52:54:00:0a:0b"],
    ["nics.0.mac", "x52:54:00:0a:0b:0c"],
    ["nics.0.mac", "52:54:00:0a:0b:0cx"],
    ["nics.0.ipv4.address", "2001:db8::1"],
    ["nics.0.ipv4.prefix", -1],
    ["nics.0.ipv4.prefix", 33],
    ["nics.0.ipv4.gateway", "none"],
    ["nics.0.vlan", 0],
    ["nics.0.vlan", 4095],
    ["nics.0.bandwidthMbit", 0],
    ["nameservers", several(5, "192.0.2.53")],
    ["sshKeys", several(33, "a key")],
    ["diskIops", 0],
    ["pendingActions.0.id", "act"],
    ["pendingActions.0.type", "resize"],
  ])("is left out with %s of %j", (path, value) => {
    expect(vmsInProtocol1([withField(VM, path, value)])).toEqual([]);
  });
});

const REFUSED: UsageReceipt = {
  stored: 21,
  duplicates: 22,
  refused: [
    { index: 0, code: "sequence_reused", detail: "seen", nextSeq: 24 },
    { index: 3, code: "vm_unknown", detail: "not here" },
  ],
};
const sent: readonly { name: string; sent: unknown; is: unknown }[] = [
  {
    name: "a document, with the hash of the VMs that are in it",
    sent: documentInProtocol1(
      oneFieldMore({ hostId: "host-1", generation: 34, entitlementGraceSeconds: 7200 }),
      vmsInProtocol1([VM]),
      "ab12",
    ),
    is: {
      hostId: "host-1",
      generation: 34,
      hash: "ab12",
      entitlementGraceSeconds: 7200,
      vms: [VM],
    },
  },
  {
    name: "an answer to an enrolment",
    sent: enrollAnswerInProtocol1(oneFieldMore({ hostId: "host-1", identityEpoch: 5 })),
    is: { hostId: "host-1", identityEpoch: 5 },
  },
  {
    name: "a report's receipt",
    sent: reportReceiptInProtocol1(oneFieldMore({ accepted: 8, ignored: 9 })),
    is: { accepted: 8, ignored: 9 },
  },
  {
    name: "a receipt of usage, with the next number only where there is one",
    sent: usageReceiptInProtocol1(oneFieldMore(REFUSED)),
    is: REFUSED,
  },
  {
    name: "an initial password",
    sent: initialPasswordInProtocol1(oneFieldMore({ password: "Once-0nly-Pass" })),
    is: { password: "Once-0nly-Pass" },
  },
];

test.each(sent)("$name is sent in the fields of protocol 1 and no other", ({ sent, is }) => {
  expect(sent).toStrictEqual(is);
});

describe("a session", () => {
  const SESSION = {
    doorbell: {
      queueUrl: "https://sqs.example/host-1",
      region: "eu-west-1",
      credentials: {
        accessKeyId: "AKIA1",
        secretAccessKey: "a-secret",
        sessionToken: "a-token",
        expiresAt: "2026-04-01T12:00:00.002Z",
      },
    },
    intervals: { resyncSeconds: 61, usageSampleSeconds: 62, usageFlushSeconds: 63 },
  } as const satisfies AgentSession;

  test("5 item 3: is sent without the releases, of which such an agent knows nothing", () => {
    const releases = { key: "k".repeat(43), wanted: null };
    expect(sessionInProtocol1({ ...SESSION, releases })).toStrictEqual(SESSION);
    const enrolled = { hostId: "0199f0a2-b3c4-7d5e-8f90-000000000001", identityEpoch: 1 };
    expect(enrollAnswerInProtocol1({ ...enrolled, releaseKey: releases.key })).toStrictEqual(
      enrolled,
    );
  });

  test("is sent with its doorbell, or with null for one", () => {
    expect(sessionInProtocol1(SESSION)).toStrictEqual(SESSION);
    const noDoorbell = { ...SESSION, doorbell: null };
    expect(sessionInProtocol1(noDoorbell)).toStrictEqual(noDoorbell);
    const noToken = withField<AgentSession>(SESSION, "doorbell.credentials.sessionToken", null);
    expect(sessionInProtocol1(noToken)).toStrictEqual(noToken);
  });

  test("is sent without what is of tomorrow", () => {
    expect(sessionInProtocol1(oneFieldMore<AgentSession>(SESSION))).toStrictEqual(SESSION);
  });
});

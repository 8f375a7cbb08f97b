import { parse } from "yaml";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import type { DesiredVm } from "#core/contracts/agent/desired.ts";
import { seedFiles } from "./seed.ts";

const aVm = (over: Partial<DesiredVm> = {}): DesiredVm => ({
  vmId: "0190f000-0000-7000-8000-000000000001",
  generation: 1,
  ownerEpoch: 1,
  presence: "present",
  mayCreate: true,
  power: "running",
  stopMode: "graceful",
  entitledUntil: "2027-01-01T00:00:00.000Z",
  hostname: "web-1.example.com",
  size: { vcpus: 1, memoryMib: 512, diskGib: 10 },
  image: {
    id: "0190f000-0000-7000-8000-0000000000ff",
    file: "debian-12",
    os: "linux",
    minMemoryMib: 128,
  },
  nics: [
    {
      mac: "52:54:00:00:00:01",
      ipv4: { address: "198.51.100.7", prefix: 24, gateway: "198.51.100.1" },
      vlan: null,
      bandwidthMbit: null,
    },
  ],
  nameservers: ["192.0.2.53"],
  sshKeys: ["ssh-ed25519 AAAAC3Nza one@example"],
  userData: null,
  diskIops: null,
  pendingActions: [],
  ...over,
});

const MetaData = z.strictObject({
  "instance-id": z.string(),
  "local-hostname": z.string(),
  "public-keys": z.array(z.string()),
});
/** cloud-init reads YAML 1.1. */
const read = (text: string): unknown => parse(text, { version: "1.1" });
const metaData = (vm: DesiredVm) => MetaData.parse(read(seedFiles(vm)["meta-data"]));

const HOSTILE = [
  `"quoted' name`,
  "a]]>b",
  "$(reboot)`id`",
  "a: b\\n- c # d",
  "\u202Eevil",
  "no",
  "0190",
  "k".repeat(65_536),
];

describe("the seed", () => {
  test("gives the guest its name, keys and static address", () => {
    const files = seedFiles(aVm());
    expect(read(files["meta-data"])).toEqual({
      "instance-id": "0190f000-0000-7000-8000-000000000001",
      "local-hostname": "web-1.example.com",
      "public-keys": ["ssh-ed25519 AAAAC3Nza one@example"],
    });
    expect(read(files["network-config"])).toEqual({
      version: 2,
      ethernets: {
        nic0: {
          match: { macaddress: "52:54:00:00:00:01" },
          "set-name": "eth0",
          dhcp4: false,
          addresses: ["198.51.100.7/24"],
          routes: [{ to: "0.0.0.0/0", via: "198.51.100.1" }],
          nameservers: { addresses: ["192.0.2.53"] },
        },
      },
    });
  });

  test("reaches a gateway outside the address's own network on the link", () => {
    const [nic] = aVm().nics;
    if (nic === undefined) throw new Error("the builder has a NIC");
    const routed = {
      ...nic,
      ipv4: { address: "203.0.113.9", prefix: 32, gateway: "198.51.100.1" },
    };
    expect(read(seedFiles(aVm({ nics: [routed] }))["network-config"])).toMatchObject({
      ethernets: { nic0: { routes: [{ via: "198.51.100.1", "on-link": true }] } },
    });
  });

  test("gives only the first of several NICs the default route", () => {
    const [nic] = aVm().nics;
    if (nic === undefined) throw new Error("the builder has a NIC");
    const second = { ...nic, mac: "52:54:00:00:00:02" };
    const config = seedFiles(aVm({ nics: [nic, second] }))["network-config"];
    expect(config.match(/0\.0\.0\.0\/0/g)).toHaveLength(1);
    expect(read(config)).toMatchObject({
      ethernets: { nic1: { match: { macaddress: second.mac }, "set-name": "eth1" } },
    });
  });

  test.each(["#!/bin/sh\necho $(id)\n", "#cloud-config\nhostname: other\n", "]]>\r\n\u202E\ttext"])(
    "carries the customer's user-data byte for byte beside hostname and keys",
    (userData) => {
      const files = seedFiles(aVm({ userData }));
      expect(files["user-data"]).toBe(userData);
      expect(read(files["meta-data"])).toMatchObject({ "local-hostname": "web-1.example.com" });
    },
  );

  test.each(HOSTILE)("keeps a hostile hostname or key as plain data", (text) => {
    expect(metaData(aVm({ hostname: text }))["local-hostname"]).toBe(text);
    expect(metaData(aVm({ sshKeys: [`ssh-rsa ${text}`] }))["public-keys"]).toEqual([
      `ssh-rsa ${text}`,
    ]);
  });

  test.each(["a\0b", "a\nb", "a\u0085b", "a\u2028b", "\ud800"])(
    "refuses a name or key that the guest could not read back",
    (text) => {
      const refusal = expect.objectContaining({ code: "unsupported" });
      expect(() => seedFiles(aVm({ hostname: text }))).toThrow(refusal);
      expect(() => seedFiles(aVm({ sshKeys: [`ssh-rsa ${text} x`] }))).toThrow(refusal);
    },
  );

  test.each(["#!/bin/sh\n\0", "\udc00"])(
    "refuses user-data that no text file holds",
    (userData) => {
      expect(() => seedFiles(aVm({ userData }))).toThrow(
        expect.objectContaining({ code: "unsupported" }),
      );
    },
  );
});

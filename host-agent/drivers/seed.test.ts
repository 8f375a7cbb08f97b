import fc from "fast-check";
import { parse } from "yaml";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import type { DesiredVm } from "#core/contracts/agent/desired.ts";
import { Hostname, SshKeys } from "#core/contracts/api/orders.ts";
import { firstLabel } from "#core/vms/guest-name.ts";
import { isWholeText } from "#core/vms/seed-text.ts";
import { AN_SSH_KEY } from "#test/builders.ts";
import { isoImage } from "./iso9660.ts";
import { domainXml } from "./kvm/domain-xml.ts";
import { filesOf } from "./kvm/files.ts";
import { seedFiles } from "./seed.ts";
import { windowsSeedFiles } from "./windows-first-boot.ts";

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

const FOLDERS = { imageDir: "/i", diskDir: "/d", seedDir: "/s", consoleDir: "/c", trashDir: "/t" };

const Vendor = z.object({
  write_files: z.array(z.object({ path: z.string(), content: z.string() })).optional(),
});
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
      "local-hostname": "web-1",
      "public-keys": ["ssh-ed25519 AAAAC3Nza one@example"],
    });
    expect(read(files["network-config"])).toEqual({
      version: 2,
      ethernets: {
        eth0: {
          match: { macaddress: "52:54:00:00:00:01" },
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
      ethernets: { eth0: { routes: [{ via: "198.51.100.1", "on-link": true }] } },
    });
  });

  test("gives only the first of several NICs the default route", () => {
    const [nic] = aVm().nics;
    if (nic === undefined) throw new Error("the builder has a NIC");
    const second = { ...nic, mac: "52:54:00:00:00:02" };
    const config = seedFiles(aVm({ nics: [nic, second] }))["network-config"];
    expect(config.match(/0\.0\.0\.0\/0/g)).toHaveLength(1);
    expect(read(config)).toMatchObject({
      ethernets: { eth1: { match: { macaddress: second.mac } } },
    });
  });

  test("4b A4: renames no NIC: what the image calls it stays", () => {
    expect(seedFiles(aVm())["network-config"]).not.toContain("set-name");
  });

  test.each(["#!/bin/sh\necho $(id)\n", "#cloud-config\nhostname: other\n", "]]>\r\n\u202E\ttext"])(
    "carries the customer's user-data byte for byte beside hostname and keys",
    (userData) => {
      const files = seedFiles(aVm({ userData }));
      expect(files["user-data"]).toBe(userData);
      expect(read(files["meta-data"])).toMatchObject({ "local-hostname": "web-1" });
    },
  );

  test("4b A4: a name of one label is no domain name, and a long one leaves the label alone", () => {
    const vendor = read(seedFiles(aVm({ hostname: "web-1" }))["vendor-data"]);
    expect(vendor).not.toHaveProperty("fqdn");
    const hostname = `${"a".repeat(63)}.${"b".repeat(63)}.example.com`;
    const files = seedFiles(aVm({ hostname }));
    expect(read(files["meta-data"])).toMatchObject({ "local-hostname": "a".repeat(63) });
    expect(read(files["vendor-data"])).toMatchObject({ fqdn: hostname });
  });

  // 6a 2: the kernel of Debian, of itself, leaves a vCPU that comes later unused.
  test("has Linux take the vCPUs that come while it runs, and tells no other system", () => {
    const [rule] = Vendor.parse(read(seedFiles(aVm())["vendor-data"])).write_files ?? [];
    expect(rule?.path).toMatch(/^\/etc\/udev\/rules\.d\/[\w-]+\.rules$/);
    expect(rule?.content).toMatch(/^SUBSYSTEM=="cpu", ACTION=="add".*ATTR{online}="1"\n$/);
    const freebsd = { ...aVm().image, os: "freebsd" } as const;
    expect(read(seedFiles(aVm({ image: freebsd }))["vendor-data"])).not.toHaveProperty(
      "write_files",
    );
  });

  // 4b A8: a Linux VM without a key may have a password.
  test("lets root in by the password that was ordered, and by none otherwise", () => {
    expect(read(seedFiles(aVm())["vendor-data"])).toEqual({
      disable_root: false,
      fqdn: "web-1.example.com",
      prefer_fqdn_over_hostname: false,
      ssh_pwauth: false,
      write_files: expect.any(Array),
    });
    const vendor = seedFiles(aVm({ sshKeys: [] }), "Vm1-a: 'b'\"#")["vendor-data"];
    expect(vendor.startsWith("#cloud-config\n")).toBe(true);
    expect(read(vendor)).toMatchObject({
      disable_root: false,
      ssh_pwauth: true,
      chpasswd: {
        expire: false,
        users: [{ name: "root", password: "Vm1-a: 'b'\"#", type: "text" }],
      },
      bootcmd: [["cloud-init-per", "instance", "berth-root-login", "sh", "-c", expect.any(String)]],
    });
  });

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

// 4b A8: an SSH comment with U+2028 was taken, paid for, and never made.
test("whatever the API takes for a name, a key or user-data, every seed and definition takes and gives back", () => {
  const odd = fc.constantFrom(
    ...Array.from("\u2028\u2029\ufeff\ufffe\uffff\u0085\0\x1b\x7f\u00a0\t\r\n\ud800"),
    ...Array.from("\u202e\u200d&<>\"'#: -%🦊é"),
  );
  const text = fc.string({
    unit: fc.oneof(odd, fc.constantFrom("a", "A", "1", "-", "."), odd),
    maxLength: 12,
  });
  const given = fc.record({
    hostname: fc.oneof(text, fc.domain()),
    key: text.map((comment) => `${AN_SSH_KEY} ${comment}`),
    userData: text,
  });
  let taken = 0;
  fc.assert(
    fc.property(given, ({ hostname, key, userData }) => {
      const [name, keys] = [Hostname.safeParse(hostname), SshKeys.safeParse(key)];
      const vm = aVm({
        ...(name.success && { hostname: name.data }),
        ...(keys.success && { sshKeys: [...keys.data] }),
        ...(isWholeText(userData) && { userData }),
      });
      if (keys.success) taken++;
      expect(metaData(vm)).toMatchObject({
        "local-hostname": firstLabel(vm.hostname),
        "public-keys": vm.sshKeys,
      });
      isoImage({ volume: "cidata", files: seedFiles(vm), at: new Date(0) });
      const windows = windowsSeedFiles(vm, "Vm1-Pass");
      expect(Object.values(windows).join("")).toContain(vm.hostname.slice(0, 2));
      expect(
        domainXml(vm, {
          files: filesOf(FOLDERS, vm),
          network: { kind: "user" },
          accelerator: "tcg",
          installation: null,
        }),
      ).toContain(`<title>${vm.hostname}</title>`);
    }),
    { numRuns: 300 },
  );
  expect(taken).toBeGreaterThan(20);
});

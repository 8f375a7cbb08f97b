import { XMLParser } from "fast-xml-parser";
import { describe, expect, test } from "vitest";
import type { DesiredVm } from "#core/contracts/agent/desired.ts";
import { z } from "zod";
import { type DomainPlace, domainXml } from "./domain-xml.ts";
import { filesOf } from "./files.ts";
import { parseDomain } from "./parse-domain.ts";

const VM: DesiredVm = {
  vmId: "0190f000-0000-7000-8000-000000000001",
  generation: 1,
  ownerEpoch: 7,
  presence: "present",
  mayCreate: true,
  power: "running",
  stopMode: "graceful",
  entitledUntil: "2027-01-01T00:00:00.000Z",
  hostname: "web-1.example.com",
  size: { vcpus: 2, memoryMib: 512, diskGib: 10 },
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
  nameservers: [],
  sshKeys: [],
  userData: null,
  diskIops: null,
  pendingActions: [],
};
const folders = {
  imageDir: "/srv/images",
  diskDir: '/srv/di\'sks & "more" <x>',
  seedDir: "/srv/seeds",
  consoleDir: "/srv/consoles",
  trashDir: "/srv/trash",
};
const define = (over: Partial<DesiredVm> = {}, place: Partial<DomainPlace> = {}): string => {
  const vm = { ...VM, ...over };
  return domainXml(vm, {
    files: filesOf(folders, vm),
    network: { kind: "bridge", name: "br0" },
    accelerator: "hardware",
    installation: null,
    ...place,
  });
};
const read = (xml: string): unknown =>
  new XMLParser({ ignoreAttributes: false, attributeNamePrefix: "@", parseTagValue: false }).parse(
    xml,
  );
const Cpus = z.object({
  domain: z.object({
    vcpu: z.unknown(),
    cpu: z.object({ topology: z.record(z.string(), z.string()).optional() }).optional(),
  }),
});
const nic = (over: Partial<(typeof VM.nics)[number]>) =>
  VM.nics.map((one) => ({ ...one, ...over }));

describe("the definition of a domain", () => {
  test("carries the tag and the size, and reads back as they were", () => {
    // libvirt adds what it would otherwise answer itself.
    const answered = define().replace(
      "<vcpu ",
      '<currentMemory unit="KiB">524288</currentMemory><vcpu ',
    );
    expect(parseDomain(answered)).toMatchObject({
      name: `berth-${VM.vmId}`,
      own: {
        tag: { vmId: VM.vmId, ownerEpoch: 7 },
        vcpus: 2,
        mostVcpus: 8,
        memoryMib: 512,
        diskGib: 10,
        nics: 1,
        agentConnected: false,
      },
    });
    expect(read(define())).toMatchObject({
      domain: {
        "@type": "kvm",
        uuid: VM.vmId,
        name: `berth-${VM.vmId}`,
        metadata: { "berth:vm": { "@id": VM.vmId, "@ownerEpoch": "7", "@diskGib": "10" } },
        memory: { "#text": "512", "@unit": "MiB" },
        vcpu: { "#text": "8", "@current": "2" },
        cpu: { "@mode": "host-model" },
      },
    });
  });

  // 6a 2
  test("has room for vCPUs on one socket, as far as a VM may have them, and exactly its memory", () => {
    const cpus = (vcpus: number, over: Partial<DesiredVm["image"]> = {}, place = {}) => {
      const vm = { size: { ...VM.size, vcpus }, image: { ...VM.image, ...over } };
      const { domain } = Cpus.parse(read(define(vm, place)));
      const {
        "@cores": cores,
        "@sockets": sockets,
        "@threads": threads,
      } = domain.cpu?.topology ?? {};
      return [domain.vcpu, cores && `${sockets}x${cores}x${threads}`];
    };
    const roomy = (current: string, most: string) => [
      { "#text": most, "@current": current },
      `1x${most}x1`,
    ];
    expect(cpus(1)).toEqual(roomy("1", "8"));
    expect(cpus(3)).toEqual(roomy("3", "12"));
    expect(cpus(64)).toEqual(roomy("64", "255"));
    expect(cpus(255)).toEqual(["255", undefined]);
    expect(cpus(1, {}, { accelerator: "tcg" })).toEqual(roomy("1", "8"));
    expect(define()).not.toContain("currentMemory");
    // A guest that takes none while it runs has what was ordered.
    for (const os of ["windows", "freebsd"] as const)
      expect(cpus(2, { os })).toEqual(["2", undefined]);
    const signed = { firmware: "uefi", secureBoot: "uefi-ca" } as const;
    expect(cpus(2, signed)).toEqual(["2", undefined]);
    expect(cpus(2, { firmware: "uefi", secureBoot: "off" })).toEqual(roomy("2", "8"));
  });

  test("runs under emulation where there is no hardware for it", () => {
    expect(read(define({}, { accelerator: "tcg" }))).toMatchObject({ domain: { "@type": "qemu" } });
    expect(define({}, { accelerator: "tcg" })).not.toContain("host-model");
  });

  test("4b A4: gives Windows a clock that it may set, and what it knows of Hyper-V where KVM can", () => {
    const image = { ...VM.image, os: "windows" } as const;
    expect(read(define({ image }))).toMatchObject({
      domain: {
        features: {
          hyperv: {
            "@mode": "custom",
            relaxed: { "@state": "on" },
            vapic: { "@state": "on" },
            spinlocks: { "@state": "on", "@retries": "8191" },
          },
        },
        clock: {
          "@offset": "variable",
          "@adjustment": "0",
          "@basis": "utc",
          timer: [
            { "@name": "rtc", "@tickpolicy": "catchup" },
            { "@name": "pit", "@tickpolicy": "delay" },
            { "@name": "hpet", "@present": "no" },
            { "@name": "hypervclock", "@present": "yes" },
          ],
        },
      },
    });
    const emulated = define({ image }, { accelerator: "tcg" });
    expect(emulated).toContain('offset="variable"');
    expect(emulated).not.toMatch(/hypervclock|spinlocks/);
    expect(define()).toContain('<clock offset="utc"/>');
    expect(define()).not.toMatch(/hypervclock|spinlocks/);
  });

  test("4b A4: gives an image the firmware, secure boot and bus that it asks for", () => {
    const asking = (over: Partial<DesiredVm["image"]>) =>
      read(define({ image: { ...VM.image, ...over } }));
    expect(asking({})).toEqual(asking({ firmware: "bios", diskBus: "virtio" }));
    const feature = (on: string) =>
      ["secure-boot", "enrolled-keys"].map((name) => ({ "@enabled": on, "@name": name }));
    expect(asking({ firmware: "uefi" })).toMatchObject({
      domain: {
        os: {
          "@firmware": "efi",
          type: { "@machine": "q35" },
          firmware: { feature: feature("no") },
        },
        devices: {
          disk: [{ target: { "@dev": "vda", "@bus": "virtio" } }, { target: { "@bus": "scsi" } }],
          controller: { "@type": "scsi", "@model": "virtio-scsi" },
        },
      },
    });
    expect(asking({ firmware: "uefi", secureBoot: "off" })).toEqual(asking({ firmware: "uefi" }));
    const windows = { firmware: "uefi", secureBoot: "microsoft", os: "windows" } as const;
    expect(asking({ ...windows, diskBus: "sata" })).toMatchObject({
      domain: {
        os: { firmware: { feature: feature("yes") } },
        features: { smm: { "@state": "on" } },
        devices: {
          disk: [
            { target: { "@dev": "sda", "@bus": "sata" } },
            { target: { "@dev": "sdb", "@bus": "sata" } },
          ],
          interface: { model: { "@type": "e1000e" } },
        },
      },
    });
    expect(asking({ diskBus: "sata" })).toMatchObject({
      domain: {
        os: { type: { "@machine": "pc" } },
        devices: {
          disk: [
            { target: { "@dev": "sda", "@bus": "sata" } },
            { target: { "@dev": "hdc", "@bus": "ide" } },
          ],
        },
      },
    });
    expect(asking({ diskBus: "scsi" })).toMatchObject({
      domain: {
        devices: {
          disk: [{ target: { "@dev": "sda", "@bus": "scsi" } }, {}],
          controller: { "@model": "virtio-scsi" },
          interface: { model: { "@type": "virtio" } },
        },
      },
    });
  });

  test("lets a NIC send only from its own address", () => {
    expect(read(define())).toMatchObject({
      domain: {
        devices: {
          interface: {
            mac: { "@address": "52:54:00:00:00:01" },
            source: { "@bridge": "br0" },
            filterref: {
              "@filter": "clean-traffic",
              parameter: { "@name": "IP", "@value": "198.51.100.7" },
            },
          },
        },
      },
    });
  });

  test("limits operations and bandwidth where that was ordered, and nowhere else", () => {
    expect(define()).not.toMatch(/iotune|bandwidth/);
    expect(read(define({ diskIops: 500, nics: nic({ bandwidthMbit: 100 }) }))).toMatchObject({
      domain: {
        devices: {
          disk: [{ iotune: { total_iops_sec: "500" } }, {}],
          interface: {
            bandwidth: { inbound: { "@average": "12500" }, outbound: { "@average": "12500" } },
          },
        },
      },
    });
  });

  test("puts a VLAN on its own bridge, and refuses one that has none", () => {
    const network = { kind: "bridge", name: "br0", vlans: { 7: "br0v7" } } as const;
    expect(define({ nics: nic({ vlan: 7 }) }, { network })).toContain('bridge="br0v7"');
    const refusal = expect.objectContaining({ code: "unsupported" });
    expect(() => define({ nics: nic({ vlan: 8 }) }, { network })).toThrow(refusal);
    expect(() => define({ nics: nic({ vlan: 7 }) }, { network: { kind: "user" } })).toThrow(
      refusal,
    );
  });

  test.each([
    `"quoted' name`,
    "]]></title><devices/>",
    "<!--",
    "&amp;&lt;&#x41;&#0;&nbsp;",
    "$(reboot)`id`",
    "\u202Eevil",
    "k".repeat(65_536),
  ])("keeps hostile text as text", (hostname) => {
    const document = read(define({ hostname }));
    expect(document).toEqual(
      expect.objectContaining({
        domain: expect.objectContaining({ title: hostname, name: `berth-${VM.vmId}` }),
      }),
    );
    expect(document).toMatchObject({
      domain: { devices: { disk: [{ source: { "@file": filesOf(folders, VM).disk } }, {}] } },
    });
  });

  test.each(["a\0b", "a\nb", "\ud800"])("refuses a hostname that XML cannot hold", (hostname) => {
    expect(() => define({ hostname })).toThrow(expect.objectContaining({ code: "unsupported" }));
  });

  test.each(["../../etc/passwd", `${VM.vmId}/..`, `${VM.vmId.toUpperCase()} `, "", "*"])(
    "refuses an id that is not a UUID",
    (vmId) => {
      expect(() => define({ vmId })).toThrow(expect.objectContaining({ code: "not_ours" }));
    },
  );
});

describe("a VM's disks and network", () => {
  const devices = (place: Partial<DomainPlace> = {}) =>
    z
      .object({
        domain: z.object({
          devices: z.object({
            disk: z.array(z.record(z.string(), z.unknown())),
            interface: z.record(z.string(), z.unknown()),
          }),
        }),
      })
      .parse(read(define({}, place))).domain.devices;

  test("are read as what they are: no format is guessed from the guest's own bytes", () => {
    const files = filesOf(folders, VM);
    expect(devices().disk).toMatchObject([
      {
        "@device": "disk",
        driver: { "@name": "qemu", "@type": "qcow2" },
        source: { "@file": files.disk },
        target: { "@dev": "vda", "@bus": "virtio" },
      },
      {
        "@device": "cdrom",
        driver: { "@name": "qemu", "@type": "raw" },
        source: { "@file": files.seed },
        readonly: "",
      },
    ]);
  });

  test.each([
    [
      { kind: "bridge", name: "br7" },
      { "@type": "bridge", source: { "@bridge": "br7" } },
    ],
    [
      { kind: "network", name: "own" },
      { "@type": "network", source: { "@network": "own" } },
    ],
    [{ kind: "user" }, { "@type": "user" }],
  ] as const)("are plugged in where the host says: %j", (network, card) => {
    const found = devices({ network }).interface;
    expect(found).toMatchObject(card);
    // Only where the host's own network is reached is there anything to keep from it.
    expect("filterref" in found).toBe(network.kind !== "user");
  });
});

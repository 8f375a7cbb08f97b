import { create } from "xmlbuilder2";
import type { DesiredVm, HostImage, Nic } from "#core/contracts/agent/desired.ts";
import type { HostFacts } from "#core/contracts/agent/report.ts";
import { LIMITS } from "#core/hosts/limits.ts";
import type { DiskBus } from "#core/vms/image-hardware.ts";
import { DriverError, type VmRef } from "../driver.ts";
import { plainLine } from "../seed.ts";
import type { VmFiles } from "./files.ts";
import type { OwnDomain } from "./parse-domain.ts";
import { checkedId, domainName, TAG_KEY, TAG_NAMESPACE } from "./tag.ts";

/** Where a host's VMs are plugged in. */
export type KvmNetwork =
  /** A network that libvirt runs, isolated or routed. */
  | Readonly<{ kind: "network"; name: string }>
  /** A bridge of the host's own. VLANs are bridges of their own, so that the spoofing filter sees their traffic. */
  | Readonly<{ kind: "bridge"; name: string; vlans?: Readonly<Record<number, string>> }>
  /** QEMU's own NAT: touches nothing on the host, and has neither spoofing filter nor traffic counters. */
  | Readonly<{ kind: "user" }>;

export type DomainPlace = Readonly<{
  files: VmFiles;
  network: KvmNetwork;
  accelerator: HostFacts["accelerator"];
  /** null: not known yet, and left out of the tag. */
  installation: string | null;
}>;

/** Berth's tag in a domain's metadata. */
const tagOf = (vm: VmRef, tag: Omit<Tag, "tag">) => ({
  "@id": checkedId(vm.vmId),
  "@ownerEpoch": vm.ownerEpoch,
  "@diskGib": tag.diskGib,
  ...(tag.installation !== null && { "@installation": tag.installation }),
  ...(tag.released && { "@released": "yes" }),
});
type Tag = Pick<OwnDomain, "tag" | "diskGib" | "installation" | "released">;

/** The words by which virsh writes the whole tag anew; what they are for follows (`--config`, `--live`). */
export const setTag = (uuid: string, tag: Tag): string[] => {
  const xml = create(verbatim({ vm: tagOf(tag.tag, tag) })).end({ headless: true });
  return ["metadata", uuid, TAG_NAMESPACE, "--key", TAG_KEY, "--set", xml];
};

/**
 * The whole definition of a VM, in libvirt's domain format (https://libvirt.org/formatdomain.html).
 *
 * Memory is exactly what was ordered: a balloon that hides some from the guest would let it take back more than is paid for.
 * vCPUs have room to grow into, in guests that take them while they run (`mostVcpus`).
 *
 * Throws `unsupported` for a VLAN that this host has no bridge for.
 */
export function domainXml(vm: DesiredVm, place: DomainPlace): string {
  const { files, network, accelerator, installation } = place;
  const hardware = accelerator === "hardware";
  const windows = vm.image.os === "windows";
  const most = mostVcpus(vm);
  const definition = {
    domain: {
      "@type": hardware ? "kvm" : "qemu",
      name: domainName(vm.vmId),
      uuid: checkedId(vm.vmId),
      title: plainLine("hostname", vm.hostname),
      metadata: {
        "berth:vm": {
          "@xmlns:berth": TAG_NAMESPACE,
          ...tagOf(vm, { diskGib: vm.size.diskGib, installation, released: false }),
        },
      },
      memory: { "@unit": "MiB", "#": vm.size.memoryMib },
      vcpu: most === vm.size.vcpus ? most : { "@current": vm.size.vcpus, "#": most },
      os: boot(vm.image),
      features: {
        acpi: {},
        apic: {},
        ...(windows && hardware && { hyperv: ENLIGHTENMENTS }),
        // Keeps the guest's own kernel from the variables that its signatures are checked by.
        ...(checksSignatures(vm.image) && { smm: { "@state": "on" } }),
      },
      // The same model on every host of a pool with these features, so that guests can move between them.
      ...((hardware || most > vm.size.vcpus) && {
        cpu: {
          ...(hardware && { "@mode": "host-model" }),
          ...(most > vm.size.vcpus && { topology: oneSocketOf(most) }),
        },
      }),
      clock: windows ? windowsClock(hardware) : { "@offset": "utc" },
      // A crashed guest is off, and whoever wants it running starts it again.
      on_poweroff: "destroy",
      on_reboot: "restart",
      on_crash: "destroy",
      // A guest that puts itself to sleep would look neither running nor off.
      pm: { "suspend-to-mem": { "@enabled": "no" }, "suspend-to-disk": { "@enabled": "no" } },
      devices: {
        disk: [systemDisk(vm, files), seedDrive(vm.image, files)],
        ...(busesOf(vm.image).includes("scsi") && {
          controller: { "@type": "scsi", "@index": 0, "@model": "virtio-scsi" },
        }),
        interface: vm.nics.map((nic) => networkCard(nic, network, cardModel(vm.image))),
        serial: {
          "@type": "pty",
          // virtlogd writes it, holds it to a few MiB, and begins it anew with each QEMU process.
          log: { "@file": files.console, "@append": "off" },
        },
        channel: {
          "@type": "unix",
          target: { "@type": "virtio", "@name": "org.qemu.guest_agent.0" },
        },
        // A socket that libvirt makes for its own user alone: no port listens.
        graphics: { "@type": "vnc", listen: { "@type": "socket" } },
        video: { model: { "@type": "vga" } },
        rng: { "@model": "virtio", backend: { "@model": "random", "#": "/dev/urandom" } },
      },
    },
  };
  return create(verbatim(definition)).end({ headless: true });
}

/** So many at least, and else four times what was ordered: each one that may come costs the guest's kernel some 200 KiB. */
const LEAST_MOST_VCPUS = 8;
const GROWTH = 4;

/**
 * The most vCPUs that a VM may have without being defined anew. Linux takes them while it runs; FreeBSD never does, Windows only in
 * some editions, and a firmware that checks signatures must agree to each, which not every build of OVMF can.
 */
function mostVcpus({ size, image }: Pick<DesiredVm, "size" | "image">): number {
  if (image.os !== "linux" || checksSignatures(image)) return size.vcpus;
  const roomy = Math.max(LEAST_MOST_VCPUS, GROWTH * size.vcpus);
  return Math.max(size.vcpus, Math.min(LIMITS.kvm.vmVcpus, roomy));
}

/** Systems count sockets for their licences, and not cores. */
const oneSocketOf = (cores: number) => ({ "@sockets": 1, "@cores": cores, "@threads": 1 });

const checksSignatures = ({ secureBoot }: HostImage): boolean =>
  secureBoot !== undefined && secureBoot !== "off";

/**
 * The machine and its firmware. libvirt finds UEFI's file by what the host's firmware descriptors say
 * (https://libvirt.org/formatdomain.html#bios-bootloader). One with enrolled keys takes Microsoft's own signatures and those
 * that Microsoft gives to others, whichever was asked for. Secure boot needs q35, and not every UEFI knows `pc`.
 */
function boot(image: HostImage) {
  const type = (machine: string) => ({ "@arch": "x86_64", "@machine": machine, "#": "hvm" });
  const start = { boot: { "@dev": "hd" } };
  if (image.firmware !== "uefi") return { type: type("pc"), ...start };
  const enabled = checksSignatures(image) ? "yes" : "no";
  const feature = ["secure-boot", "enrolled-keys"].map((name) => ({
    "@enabled": enabled,
    "@name": name,
  }));
  return { "@firmware": "efi", type: type("q35"), firmware: { feature }, ...start };
}

/** Of the system disk and the seed's drive. Each bus counts its own devices: `vda`, `sda`, `hda`. */
function busesOf(image: HostImage): readonly [DiskBus, DiskBus | "ide"] {
  const system = image.diskBus ?? "virtio";
  // IDE is what every guest's kernel reads, and cloud kernels lack AHCI; but q35 has none.
  if (image.firmware !== "uefi") return [system, "ide"];
  return [system, image.os === "windows" || system === "sata" ? "sata" : "scsi"];
}

/** What has no driver for virtio's disks has none for its NICs. */
const cardModel = ({ diskBus }: HostImage): string => (diskBus === "sata" ? "e1000e" : "virtio");

const ON = { "@state": "on" };
/**
 * What Windows knows of Hyper-V and KVM offers too (https://libvirt.org/formatdomain.html#hypervisor-features): without them it
 * counts time by an emulated clock, and takes a vCPU that had to wait for one that hangs.
 */
const ENLIGHTENMENTS = {
  "@mode": "custom",
  relaxed: ON,
  vapic: ON,
  spinlocks: { ...ON, "@retries": 8191 },
};

/**
 * Windows takes the machine's clock for its local time, which is UTC at its first boot. When its time zone is changed it sets
 * the clock, and finds it so after a restart: `variable` (docs/adr/0025). Its own timer source is KVM's alone.
 */
const windowsClock = (hardware: boolean) => ({
  "@offset": "variable",
  "@adjustment": "0",
  "@basis": "utc",
  timer: [
    { "@name": "rtc", "@tickpolicy": "catchup" },
    { "@name": "pit", "@tickpolicy": "delay" },
    { "@name": "hpet", "@present": "no" },
    ...(hardware ? [{ "@name": "hypervclock", "@present": "yes" }] : []),
  ],
});

type XmlNode = string | number | readonly XmlElement[] | XmlElement;
type XmlElement = { readonly [name: string]: XmlNode };

/**
 * Escapes for xmlbuilder2 4.0, which takes text for markup twice: it reads entities in what it is given, and writes
 * what looks like one as it stands. Here text is text, and `&#0;` in it four harmless characters.
 */
function verbatim(element: XmlElement): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(element).map(([name, node]) => [name, verbatimNode(node)]),
  );
}

function verbatimNode(node: XmlNode): unknown {
  if (typeof node === "string") return node.replaceAll("&", "&amp;amp;");
  if (typeof node === "number") return node;
  return isList(node) ? node.map(verbatim) : verbatim(node);
}

/** `Array.isArray` does not tell a readonly array from an object. */
const isList = (node: readonly XmlElement[] | XmlElement): node is readonly XmlElement[] =>
  Array.isArray(node);

function systemDisk(vm: DesiredVm, files: VmFiles) {
  return {
    "@type": "file",
    "@device": "disk",
    // The format is named: guessing it from the guest's own bytes is CVE-2026-24708.
    driver: { "@name": "qemu", "@type": "qcow2", "@discard": "unmap" },
    source: { "@file": files.disk },
    target: {
      "@dev": busesOf(vm.image)[0] === "virtio" ? "vda" : "sda",
      "@bus": busesOf(vm.image)[0],
    },
    ...(vm.diskIops !== null && { iotune: { total_iops_sec: vm.diskIops } }),
  };
}

function seedDrive(image: HostImage, files: VmFiles) {
  const [, bus] = busesOf(image);
  return {
    "@type": "file",
    "@device": "cdrom",
    driver: { "@name": "qemu", "@type": "raw" },
    // Erased after the first boot: from then on the drive is empty, and that keeps nothing from starting.
    source: { "@file": files.seed, "@startupPolicy": "optional" },
    target: { "@dev": bus === "ide" ? "hdc" : "sdb", "@bus": bus },
    readonly: {},
  };
}

/** One card of a VM's alone, as `update-device` takes it. */
export const networkCardXml = (nic: Nic, network: KvmNetwork, image: HostImage): string =>
  create(verbatim({ interface: networkCard(nic, network, cardModel(image)) })).end({
    headless: true,
  });

/** What libvirt holds of a card's filter, as `nwfilter-binding-create` takes it. */
export const filterBindingXml = (vm: VmRef, portDevice: string, nic: Nic): string =>
  create(
    verbatim({
      filterbinding: {
        owner: { name: domainName(vm.vmId), uuid: checkedId(vm.vmId) },
        portdev: { "@name": plainLine("device", portDevice) },
        mac: { "@address": plainLine("MAC address", nic.mac) },
        filterref: spoofFilter(nic),
      },
    }),
  ).end({ headless: true });

export const SPOOF_FILTER = "clean-traffic";
/** Drops what does not carry the NIC's own MAC and its one address. */
const spoofFilter = (nic: Nic) => ({
  "@filter": SPOOF_FILTER,
  parameter: { "@name": "IP", "@value": plainLine("address", nic.ipv4.address) },
});

function networkCard(nic: Nic, network: KvmNetwork, model: string) {
  return {
    ...source(nic, network),
    mac: { "@address": plainLine("MAC address", nic.mac) },
    model: { "@type": model },
    ...(network.kind !== "user" && {
      filterref: spoofFilter(nic),
      ...(nic.bandwidthMbit !== null && { bandwidth: bandwidth(nic.bandwidthMbit) }),
    }),
  };
}

function source(nic: Nic, network: KvmNetwork) {
  if (network.kind === "bridge") {
    const bridge = nic.vlan === null ? network.name : network.vlans?.[nic.vlan];
    if (bridge === undefined)
      throw new DriverError("unsupported", `this host has no bridge for VLAN ${nic.vlan}`);
    return { "@type": "bridge", source: { "@bridge": bridge } };
  }
  if (nic.vlan !== null)
    throw new DriverError("unsupported", "VLANs need a host whose network is a bridge");
  return network.kind === "user"
    ? { "@type": "user" }
    : { "@type": "network", source: { "@network": network.name } };
}

/** libvirt counts in kilobytes a second. */
function bandwidth(mbit: number) {
  const average = { "@average": kilobytesOf(mbit) };
  return { inbound: average, outbound: average };
}

export const kilobytesOf = (mbit: number): number => Math.ceil((mbit * 1000) / 8);

import { XMLParser } from "fast-xml-parser";
import { z } from "zod";
import { commonLimit, NOT_ALIKE, type VmLimits } from "#core/vms/seen-size.ts";
import type { ObservedPower } from "#core/vms/vm.ts";
import type { VmRef } from "../driver.ts";
import { TAG_NAMESPACE } from "./tag.ts";

/** What the driver reads of a domain's XML. */
export type Domain = Readonly<{
  uuid: string;
  name: string;
  /** null: the domain does not bear Berth's tag, and nothing else of it is looked at. */
  own: OwnDomain | null;
}>;
export type OwnDomain = Readonly<{
  tag: VmRef;
  /** Whose it is of the Berths on this host; null: it was made before VMs bore that. */
  installation: string | null;
  /** It was released to another host, and does not start here any more. */
  released: boolean;
  vcpus: number;
  /** So many vCPUs it may have without being defined anew. */
  mostVcpus: number;
  memoryMib: number;
  limits: VmLimits;
  /** The size that its disk was ordered with. */
  diskGib: number;
  nics: number;
  /** The guest holds the agent's channel open now. */
  agentConnected: boolean;
  /** What libvirt calls its first disk, and the drive of its seed. */
  systemDevice: string;
  /** The file that its first disk's topmost layer is; null: it is none. */
  systemFile: string | null;
  /** How many disks it has; drives are none. */
  disks: number;
  seedDevice: string;
}>;

const parser = new XMLParser({
  ignoreAttributes: false,
  attributeNamePrefix: "@",
  parseTagValue: false,
  parseAttributeValue: false,
  isArray: (name) => name === "interface" || name === "channel" || name === "disk",
});

/** An element's text, whether or not the element has attributes. */
const Text = z
  .union([z.string(), z.object({ "#text": z.string() })])
  .transform((node) => (typeof node === "string" ? node : node["#text"]));
const Count = Text.transform(Number).pipe(z.number().positive());
/** `<vcpu current="2">8</vcpu>`: without the attribute it has all of them. */
const Vcpus = z
  .union([z.string(), z.object({ "#text": z.string(), "@current": z.string().optional() })])
  .transform((node) => (typeof node === "string" ? { "#text": node } : node))
  .transform((node) => ({
    most: Number(node["#text"]),
    now: Number(node["@current"] ?? node["#text"]),
  }))
  .pipe(z.object({ most: z.number().positive(), now: z.number().positive() }));
const Direction = z.object({ "@average": z.coerce.number().optional() });
/** An element that is empty is read as an empty text. */
const Card = z.object({
  bandwidth: z
    .object({ inbound: Direction.optional(), outbound: Direction.optional() })
    .optional()
    .catch(undefined),
});
const Iotune = z.object({
  total_iops_sec: Text.transform(Number).optional(),
  read_iops_sec: Text.transform(Number).optional(),
  write_iops_sec: Text.transform(Number).optional(),
});
const Tag = z.object({
  "@xmlns:berth": z.literal(TAG_NAMESPACE),
  "@id": z.uuid(),
  "@ownerEpoch": z.coerce.number().int().positive(),
  "@diskGib": z.coerce.number().int().positive(),
  "@installation": z.uuid().nullable().default(null),
  // Whatever stands there: a mark that is not understood must not start a second copy.
  "@released": z.string().optional(),
});
/** Anybody's domain: the metadata may be anything, and only what is wholly ours counts as a tag. */
const AnyDomain = z.object({
  domain: z.object({ uuid: Text, name: Text, metadata: z.unknown().optional() }),
});
/** What a domain of ours holds besides; libvirt always answers memory in KiB. */
const OwnXml = z.object({
  domain: z.object({
    vcpu: Vcpus,
    currentMemory: Count,
    devices: z.object({
      interface: z.array(Card.catch({})).default([]),
      disk: z
        .array(
          z.object({
            "@device": z.string().default("disk"),
            target: z.object({ "@dev": z.string() }),
            source: z.object({ "@file": z.string().optional() }).optional().catch(undefined),
            iotune: Iotune.optional().catch(undefined),
          }),
        )
        .default([]),
      channel: z
        .array(
          z.object({
            target: z.object({ "@name": z.string().optional(), "@state": z.string().optional() }),
          }),
        )
        .default([]),
    }),
  }),
});

/** Reads `virsh dumpxml`. Throws on what is no domain at all. */
export function parseDomain(xml: string): Domain {
  const document: unknown = parser.parse(xml);
  const { uuid, name, metadata } = AnyDomain.parse(document).domain;
  const tag = z.object({ "berth:vm": Tag }).safeParse(metadata).data?.["berth:vm"];
  // A copied definition carries the tag of its original: it is not the VM that the tag names.
  if (tag === undefined || tag["@id"] !== uuid) return { uuid, name, own: null };
  const { domain } = OwnXml.parse(document);
  const first = (kind: string) => domain.devices.disk.find((disk) => disk["@device"] === kind);
  return {
    uuid,
    name,
    own: {
      tag: { vmId: uuid, ownerEpoch: tag["@ownerEpoch"] },
      installation: tag["@installation"],
      released: tag["@released"] !== undefined,
      vcpus: domain.vcpu.now,
      mostVcpus: domain.vcpu.most,
      memoryMib: Math.round(domain.currentMemory / 1024),
      limits: {
        bandwidthMbit: commonLimit(domain.devices.interface.flatMap(mbitOf)),
        diskIops: iopsOf(first("disk")?.iotune),
      },
      diskGib: tag["@diskGib"],
      nics: domain.devices.interface.length,
      systemDevice: first("disk")?.target["@dev"] ?? "vda",
      systemFile: first("disk")?.source?.["@file"] ?? null,
      disks: domain.devices.disk.filter((disk) => disk["@device"] === "disk").length,
      seedDevice: first("cdrom")?.target["@dev"] ?? "hdc",
      agentConnected: domain.devices.channel.some(
        ({ target }) =>
          target["@name"] === "org.qemu.guest_agent.0" && target["@state"] === "connected",
      ),
    },
  };
}

/** Of a card, in and out. libvirt counts in kilobytes a second; a limit that is 0 is none. */
function mbitOf({ bandwidth }: z.infer<typeof Card>): (number | null)[] {
  return [bandwidth?.inbound, bandwidth?.outbound].map((direction) => {
    const average = direction?.["@average"] ?? 0;
    return average === 0 ? null : Math.max(1, Math.round((average * 8) / 1000));
  });
}

/** Of reads and writes together; a limit of either alone is none that we set. */
function iopsOf(tune: z.infer<typeof Iotune> = {}): number | null {
  if ((tune.read_iops_sec ?? 0) > 0 || (tune.write_iops_sec ?? 0) > 0) return NOT_ALIKE;
  const total = tune.total_iops_sec ?? 0;
  return total === 0 ? null : total;
}

/** `virsh domstats`: the fields of each domain, by its name. */
export function parseDomstats(text: string): Map<string, Map<string, string>> {
  const domains = new Map<string, Map<string, string>>();
  let fields = new Map<string, string>();
  for (const line of text.split("\n")) {
    const name = /^Domain: '(.*)'$/.exec(line)?.[1];
    if (name !== undefined) {
      fields = new Map();
      domains.set(name, fields);
    }
    const [, key, value] = /^ {2}([^=]+)=(.*)$/.exec(line) ?? [];
    if (key !== undefined && value !== undefined) fields.set(key, value);
  }
  return domains;
}

/** `state.state` and `state.reason` (virDomainState and its reasons, libvirt-domain.h) in Berth's words. */
export function powerOf(fields: ReadonlyMap<string, string>): ObservedPower {
  const reason = Number(fields.get("state.reason"));
  switch (Number(fields.get("state.state"))) {
    case 1: // running
    case 2: // blocked on a resource: Xen's word for idle
      return "running";
    case 3: // paused
      if (reason === 11) return "starting";
      if (reason === 8) return "stopping";
      return reason === 10 || reason === 13 ? "failed" : "paused"; // crashed, failed post-copy
    case 4:
      return "stopping";
    case 5:
      return "off";
    case 7: // suspended by the guest's own power management
      return "paused";
    default: // crashed and kept, or a state that libvirt has not named yet
      return "failed";
  }
}

/** Whether a QEMU process stands behind this state. */
export const isActive = (power: ObservedPower): boolean => power !== "off";

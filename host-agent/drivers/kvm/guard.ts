import { XMLParser } from "fast-xml-parser";
import { z } from "zod";
import type { DesiredVm, Nic } from "#core/contracts/agent/desired.ts";
import { DriverError } from "../driver.ts";
import { listBridgeRules } from "./bridge-rules.ts";
import { filterBindingXml, networkCardXml, SPOOF_FILTER } from "./domain-xml.ts";
import type { KvmHost } from "./host.ts";
import type { Owned } from "./look.ts";
import { isActive } from "./parse-domain.ts";
import { ProgramFailed } from "./run-program.ts";

/**
 * What keeps a card from foreign addresses stands in three places: the definition names the filter, libvirt holds a binding
 * of it to the card's port, and the host's kernel has its rules. Each can be taken away by somebody without a word (`virsh
 * edit`, `nwfilter-binding-delete`, a firewall that is flushed), so each is looked at.
 */
export async function guardVms(
  host: KvmHost,
  vms: readonly DesiredVm[],
  signal?: AbortSignal,
): Promise<void> {
  // QEMU's own network reaches nothing of the host's.
  if (host.network.kind === "user" || vms.length === 0) return;
  const domains = new Map((await host.look.all(signal)).map((domain) => [domain.uuid, domain]));
  const rules = await readRules(signal);
  let failure: unknown = null;
  for (const vm of vms) {
    const domain = domains.get(vm.vmId);
    if (!domain?.own || domain.own.tag.ownerEpoch !== vm.ownerEpoch) continue;
    try {
      await guardOne(host, vm, { ...domain, own: domain.own }, rules, signal);
    } catch (error) {
      // One that cannot be mended leaves no other without its guard.
      if (signal?.aborted) throw error;
      failure ??= error;
    }
  }
  if (failure !== null) throw failure;
}

async function guardOne(
  host: KvmHost,
  vm: DesiredVm,
  domain: Owned,
  rules: Rules,
  signal?: AbortSignal,
): Promise<void> {
  const cards = cardsIn(domain.xml);
  for (const nic of vm.nics) {
    const card = cards.find(({ mac }) => mac === nic.mac);
    if (card === undefined) continue;
    const missing = await putBack(host, vm, domain, { nic, card, rules }, signal);
    if (missing !== null)
      host.findings.add({
        vmId: vm.vmId,
        code: "spoof_guard_restored",
        detail: `${nic.mac} (${card.device ?? "off"}): ${missing}; put back`,
      });
  }
}

/** @returns what was missing; null: nothing. */
async function putBack(
  host: KvmHost,
  vm: DesiredVm,
  domain: Owned,
  { nic, card, rules }: { nic: Nic; card: Card; rules: Rules },
  signal?: AbortSignal,
): Promise<string | null> {
  const active = isActive(domain.power);
  if (card.filter !== SPOOF_FILTER || card.address !== nic.ipv4.address) {
    const command = ["update-device", vm.vmId, ...(active ? ["--live"] : []), "--config", "--file"];
    await host.runWithXml(vm, command, networkCardXml(nic, host.network, vm.image), signal);
    return "its definition did not name the filter for its address";
  }
  if (!active || card.device === null || isRuled(rules, card.device, nic)) return null;
  try {
    await host.libvirt.run(["nwfilter-binding-delete", card.device], { signal });
  } catch (error) {
    // The binding itself is what is missing.
    if (!(error instanceof ProgramFailed)) throw error;
  }
  const xml = filterBindingXml(vm, card.device, nic);
  await host.runWithXml(vm, ["nwfilter-binding-create"], xml, signal);
  if (!isRuled(await readRules(signal), card.device, nic))
    throw new DriverError("driver_failed", `the filter of ${card.device} makes no rules`);
  return "its rules were not in the host's kernel";
}

type Card = Readonly<{
  mac: string;
  /** The host's end; null while it is off. */
  device: string | null;
  filter: string | null;
  address: string | null;
}>;

const parser = new XMLParser({
  ignoreAttributes: false,
  attributeNamePrefix: "@",
  parseTagValue: false,
  parseAttributeValue: false,
  isArray: (name) => name === "interface" || name === "parameter",
});
const Cards = z.object({
  domain: z.object({
    devices: z.object({
      interface: z
        .array(
          z.object({
            mac: z.object({ "@address": z.string() }),
            target: z.object({ "@dev": z.string().optional() }).optional(),
            filterref: z
              .object({
                "@filter": z.string(),
                parameter: z
                  .array(z.object({ "@name": z.string(), "@value": z.string() }))
                  .default([]),
              })
              .optional(),
          }),
        )
        .default([]),
    }),
  }),
});

function cardsIn(xml: string): Card[] {
  return Cards.parse(parser.parse(xml)).domain.devices.interface.map((card) => ({
    mac: card.mac["@address"].toLowerCase(),
    device: card.target?.["@dev"] ?? null,
    filter: card.filterref?.["@filter"] ?? null,
    address: card.filterref?.parameter.find((one) => one["@name"] === "IP")?.["@value"] ?? null,
  }));
}

/** The host's bridge rules, by chain. */
type Rules = ReadonlyMap<string, readonly string[]>;

async function readRules(signal?: AbortSignal): Promise<Rules> {
  const text = await listBridgeRules({ signal });
  const rules = new Map<string, string[]>();
  let chain: string[] = [];
  for (const line of text.split("\n")) {
    const name = /^Bridge chain: ([^,]+),/.exec(line)?.[1];
    if (name !== undefined) rules.set(name, (chain = []));
    else if (line.startsWith("-")) chain.push(line.trim());
  }
  return rules;
}

/**
 * Whether the kernel lets this port send from its own MAC and address alone. The chains are those that libvirt makes of
 * `clean-traffic` (src/nwfilter/nwfilter_ebiptables_driver.c): what a port sends passes through them in their order.
 */
export function isRuled(rules: Rules, device: string, nic: Nic): boolean {
  const has = (chain: string, ...parts: readonly string[]) =>
    (rules.get(chain) ?? []).some((rule) =>
      parts.every((part) => ` ${rule} `.includes(` ${part} `)),
    );
  const only = (chain: string, match: string) =>
    has(chain, match, "-j RETURN") && has(chain, "-j DROP");
  const entry = `libvirt-I-${device}`;
  return (
    has("PREROUTING", `-i ${device}`, `-j ${entry}`) &&
    has(entry, `-j I-${device}-mac`) &&
    has(entry, `-j I-${device}-ipv4-ip`) &&
    has(entry, `-j I-${device}-arp-ip`) &&
    has(entry, "-j DROP") &&
    only(`I-${device}-mac`, `-s ${nic.mac}`) &&
    only(`I-${device}-ipv4-ip`, `--ip-src ${nic.ipv4.address}`) &&
    only(`I-${device}-arp-ip`, `--arp-ip-src ${nic.ipv4.address}`)
  );
}

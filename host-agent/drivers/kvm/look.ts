import { createHash } from "node:crypto";
import type { ObservedPower } from "#core/vms/vm.ts";
import type { Clock } from "#core/ports.ts";
import { DriverError, type InstallationId, isForeign } from "../driver.ts";
import type { Libvirt } from "./libvirt.ts";
import {
  type Domain,
  type OwnDomain,
  parseDomain,
  parseDomstats,
  powerOf,
} from "./parse-domain.ts";
import { checkedId } from "./tag.ts";

/** A domain as libvirt has it at one moment. `xml` is its whole definition; `persistent`: it outlives its process. */
export type Found = Domain &
  Readonly<{
    power: ObservedPower;
    persistent: boolean;
    /** Why it is in the state that it is in, by the state's own numbers (libvirt-domain.h). */
    reason: number;
    xml: string;
    /** It is another Berth's, and `own` is null. */
    foreign: boolean;
  }>;
export type Owned = Found & Readonly<{ own: OwnDomain }>;
export type Look = ReturnType<typeof createLook>;

const LOOK_TIMEOUT_MS = 20_000;
/** Domains come and go between two questions; after this many looks something else is wrong. */
const ATTEMPTS = 4;
const PAUSE_MS = 50;

/** Reads domains whole: every one that was there is in the answer, with its state and its definition, or it throws. */
export function createLook(ports: {
  libvirt: Libvirt;
  clock: Clock;
  installation: InstallationId;
  /** Whether QEMU's process of this VM lives, as the kernel says. */
  lives: (vmId: string) => Promise<boolean>;
}) {
  const { libvirt, clock, installation, lives } = ports;
  /** By its definition's digest: definitions seldom change, and parsing them again would be most of a look's cost. */
  const parsed = new Map<string, { digest: string; domain: Domain }>();

  return {
    /**
     * Every domain on the host, ours or not, in two processes whatever their number. Each fits in itself; they need not be of
     * one moment: only those that did not fit are looked at again, or a host on which somebody makes VMs were never seen whole.
     */
    all: async (signal?: AbortSignal): Promise<Found[]> => {
      const whole = new Map<string, Found>();
      let open: ReadonlySet<string> | undefined;
      return await again(signal, async () => {
        const call = { signal, timeoutMs: LOOK_TIMEOUT_MS };
        const [passing = "", lasting = "", stats = "", list = ""] = await libvirt.readThen(
          [TRANSIENT, PERSISTENT, ["domstats", "--state"]],
          LIST,
          call,
        );
        const there = uuidsOf(list);
        const uuids = there.filter((uuid) => open?.has(uuid) ?? true);
        const xmls = await libvirt.read(
          uuids.map((uuid) => ["dumpxml", uuid]),
          call,
        );
        for (const uuid of parsed.keys()) if (!there.includes(uuid)) parsed.delete(uuid);
        const fitting = found(uuids, xmls, { stats, passing, lasting });
        for (const domain of fitting) whole.set(domain.uuid, domain);
        const misfits = new Set(uuids.filter((uuid) => !whole.has(uuid)));
        open = misfits;
        return misfits.size === 0 ? [...whole.values()] : undefined;
      });
    },

    /** One domain, in one process; null when libvirt positively has none of this id, and the kernel no process of it. */
    one: async (vmId: string, signal?: AbortSignal): Promise<Found | null> =>
      await again(signal, async () => {
        const uuid = checkedId(vmId);
        const [passing = "", lasting = "", stats = "", xml = "", list = ""] =
          await libvirt.readThen(
            [TRANSIENT, PERSISTENT, ["domstats", "--state", uuid], ["dumpxml", uuid]],
            LIST,
            { signal, timeoutMs: LOOK_TIMEOUT_MS },
          );
        if (!uuidsOf(list).includes(uuid)) return (await lives(uuid)) ? undefined : null;
        return found([uuid], [xml], { stats, passing, lasting })[0];
      }),
  };

  /** Without those of which the answers do not fit together, because something changed between them. */
  function found(
    uuids: string[],
    xmls: string[],
    answers: { stats: string; passing: string; lasting: string },
  ): Found[] {
    const passing = new Set(uuidsOf(answers.passing));
    const lasting = new Set(uuidsOf(answers.lasting));
    const states = parseDomstats(answers.stats);
    const domains: Found[] = [];
    for (const [n, uuid] of uuids.entries()) {
      const xml = (xmls[n] ?? "").trim();
      if (xml === "" || passing.has(uuid) === lasting.has(uuid)) continue;
      const domain = parse(uuid, xml);
      const state = states.get(domain.name);
      if (state === undefined) continue;
      const foreign = isForeign(domain.own?.installation ?? null, installation());
      domains.push({
        ...domain,
        own: foreign ? null : domain.own,
        foreign,
        xml,
        power: powerOf(state),
        reason: Number(state.get("state.reason")),
        persistent: lasting.has(uuid),
      });
    }
    return domains;
  }

  function parse(uuid: string, xml: string): Domain {
    const digest = createHash("sha256").update(xml).digest("base64");
    const known = parsed.get(uuid);
    if (known?.digest === digest) return known.domain;
    // A copy: V8 cuts strings out of others without copying them, and whoever keeps one keeps all that virsh said in that look.
    const domain = structuredClone(parseDomain(xml));
    parsed.set(uuid, { digest, domain });
    return domain;
  }

  async function again<T>(
    signal: AbortSignal | undefined,
    look: () => Promise<T | undefined>,
  ): Promise<T> {
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      const answer = await look();
      if (answer !== undefined) return answer;
      await clock.sleep(PAUSE_MS * attempt, signal);
    }
    throw new DriverError(
      "hypervisor_unavailable",
      "libvirt's domains keep changing under the look, or it does not know one whose process lives",
    );
  }
}

const LIST = ["list", "--all", "--uuid"] as const;
/** One of the two names each domain of the list: neither does when it was not answered. */
const TRANSIENT = ["list", "--transient", "--uuid"] as const;
const PERSISTENT = ["list", "--all", "--persistent", "--uuid"] as const;

function uuidsOf(text: string): string[] {
  return text.split(/\s+/).filter((word) => /^[0-9a-f-]{36}$/.test(word));
}

import { createHash } from "node:crypto";
import { z } from "zod";
import { ReceivedDocument } from "#core/contracts/agent/desired.ts";
import { WasDesired, type AgentReport } from "#core/contracts/agent/report.ts";
import { canonicalJson } from "#core/contracts/canonical-json.ts";
import type { Log } from "#core/ports.ts";
import type { ControlPlane } from "#host-agent/channel/control-plane.ts";
import { loadSaved, save } from "#host-agent/state/saved.ts";
import type { StateStore } from "#host-agent/state/state-store.ts";
import { namedIn, readDocument, type ReadDocument } from "./read-document.ts";

/** As it was received, whatever of it this agent understands: a newer one reads it anew. */
const FILE = "desired-2.json";
/**
 * Where agents of protocol 1 keep theirs, which must be of their shape. It goes when there is a newer one: an agent that
 * is rolled back asks the control plane then, instead of going by what was desired before the upgrade.
 */
const FILE_OF_PROTOCOL_1 = "desired.json";

/** What VMs were that no document names any more: a control plane that was restored to before them asks for it. */
const FILE_OF_UNNAMED = "unnamed-1.json";
const Unnamed = z.array(z.object({ vmId: z.uuid(), was: WasDesired }));
/** The newest of them: of a host that lives for years, most are long gone. */
const MOST_UNNAMED = 500;

type RefusedDesired = NonNullable<AgentReport["refusedDesired"]>;

/** The last accepted document, which holds while the control plane is away and after a restart. */
export interface DesiredState {
  load(): Promise<void>;
  /** null: none was ever accepted. The same object for as long as nothing in it changes. */
  current(): ReadDocument | null;
  /** What the control plane last sent and the agent would not take; null when it takes what is sent. */
  refused(): RefusedDesired | null;
  /** What a VM was when a document named it last; null: the present one does, or it is not known. */
  lastNamed(vmId: string): WasDesired | null;
  /** Asks for a newer one. true: what is held now is what the control plane says. Throws when it cannot ask. */
  pull(atLeast: number | null, signal: AbortSignal): Promise<boolean>;
}

/** Hex SHA-256 of the VMs, as they were received, as canonical JSON: what `DesiredDocument.hash` must be. */
export const desiredHash = (vms: unknown): string =>
  createHash("sha256").update(canonicalJson(vms)).digest("hex");

export function createDesiredState(ports: {
  hostId: string;
  store: StateStore;
  controlPlane: ControlPlane;
  log: Log;
  understands?: readonly string[] | undefined;
}): DesiredState {
  const { hostId, store, controlPlane, log, understands } = ports;
  let held: ReadDocument | null = null;
  let refused: RefusedDesired | null = null;
  let unnamed = new Map<string, WasDesired>();

  function reasonAgainst(sent: ReceivedDocument): RefusedDesired["reason"] | null {
    if (sent.hostId !== hostId) return "wrong_host";
    if (desiredHash(sent.vms) !== sent.hash) return "wrong_hash";
    if (held === null || sent.generation > held.generation) return null;
    if (sent.generation < held.generation) return "older_generation";
    return sent.hash === held.hash ? null : "same_generation_other_hash";
  }

  async function keep(document: ReceivedDocument): Promise<void> {
    await save(store, FILE, document);
    await store.remove(FILE_OF_PROTOCOL_1);
  }

  /** Before the document is kept: a crash between the two loses nothing of what the one before had. */
  async function keepUnnamed(next: ReadDocument): Promise<void> {
    const named = new Set(namedIn(next).map((vm) => vm.vmId));
    const gone = (held?.vms ?? []).filter((vm) => vm.presence === "present" && !named.has(vm.vmId));
    const again = [...unnamed.keys()].filter((vmId) => named.has(vmId));
    if (gone.length === 0 && again.length === 0) return;
    const were = gone.flatMap(({ vmId, hostname, image, size, nics }) => {
      const [nic] = nics;
      return nic
        ? [[vmId, { hostname, imageId: image.id, size, address: nic.ipv4.address }] as const]
        : [];
    });
    const rest = [...unnamed].filter(([vmId]) => !named.has(vmId));
    unnamed = new Map([...rest, ...were].slice(-MOST_UNNAMED));
    await save(
      store,
      FILE_OF_UNNAMED,
      [...unnamed].map(([vmId, was]) => ({ vmId, was })),
    );
  }

  return {
    async load() {
      const mine = await loadSaved(store, FILE, ReceivedDocument);
      // From before the upgrade, or from an agent that was rolled back meanwhile: then it may be the newer one.
      const before = await loadSaved(store, FILE_OF_PROTOCOL_1, ReceivedDocument);
      const isNewer = before !== null && (mine === null || before.generation > mine.generation);
      const kept = isNewer ? before : mine;
      held = kept === null ? null : readDocument(kept, understands);
      // Left by a crash between the two: an agent that is rolled back must not find it.
      if (before !== null && !isNewer) await store.remove(FILE_OF_PROTOCOL_1);
      const were = (await loadSaved(store, FILE_OF_UNNAMED, Unnamed)) ?? [];
      unnamed = new Map(were.map(({ vmId, was }) => [vmId, was]));
    },
    current: () => held,
    lastNamed: (vmId) => unnamed.get(vmId) ?? null,
    refused: () => refused,
    async pull(atLeast, signal) {
      const etag = held === null ? null : `${held.generation}-${held.hash}`;
      const news = held !== null && atLeast !== null && atLeast > held.generation;
      const sent = await controlPlane.desired({ etag, atLeast: news ? atLeast : null }, signal);
      if (sent === null) {
        refused = null;
        return true;
      }
      const reason = reasonAgainst(sent);
      if (reason !== null) {
        refused = { generation: sent.generation, hash: sent.hash.slice(0, 100), reason };
        log.error("desired_refused", { ...refused, held_generation: held?.generation ?? null });
        return false;
      }
      refused = null;
      if (held !== null && sent.hash === held.hash && sent.generation === held.generation) {
        // Only the grace, which the hash does not cover, may differ; an object that stays is no news to anyone.
        if (sent.entitlementGraceSeconds !== held.entitlementGraceSeconds) {
          await keep(sent);
          held = { ...held, entitlementGraceSeconds: sent.entitlementGraceSeconds };
        }
        return true;
      }
      const next = readDocument(sent, understands);
      await keepUnnamed(next);
      await keep(sent);
      held = next;
      const { vms, nameless } = held;
      log.info("desired_accepted", { generation: sent.generation, vms: vms.length });
      for (const { vmId, why } of held.refused)
        log.error("desired_vm_refused", { vm_id: vmId, generation: sent.generation, why });
      if (nameless > 0) log.error("desired_vms_nameless", { vms: nameless });
      return true;
    },
  };
}

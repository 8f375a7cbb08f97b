import { createHash } from "node:crypto";
import { DesiredDocument, type AgentReport } from "#core/contracts/agent.ts";
import { canonicalJson } from "#core/contracts/canonical-json.ts";
import type { Log } from "#core/ports.ts";
import type { ControlPlane } from "#host-agent/channel/control-plane.ts";
import { loadSaved, save } from "#host-agent/state/saved.ts";
import type { StateStore } from "#host-agent/state/state-store.ts";

const FILE = "desired.json";

type RefusedDesired = NonNullable<AgentReport["refusedDesired"]>;

/** The last accepted document, which holds while the control plane is away and after a restart. */
export interface DesiredState {
  load(): Promise<void>;
  /** null: none was ever accepted. */
  current(): DesiredDocument | null;
  /** What the control plane last sent and the agent would not take; null when it takes what is sent. */
  refused(): RefusedDesired | null;
  /** Asks for a newer one. true: what is held now is what the control plane says. Throws when it cannot ask. */
  pull(atLeast: number | null, signal: AbortSignal): Promise<boolean>;
}

/** Hex SHA-256 of the VMs as canonical JSON: what `DesiredDocument.hash` must be. */
export const desiredHash = (vms: unknown): string =>
  createHash("sha256").update(canonicalJson(vms)).digest("hex");

export function createDesiredState(ports: {
  hostId: string;
  store: StateStore;
  controlPlane: ControlPlane;
  log: Log;
}): DesiredState {
  const { hostId, store, controlPlane, log } = ports;
  let held: DesiredDocument | null = null;
  let refused: RefusedDesired | null = null;

  function reasonAgainst(sent: DesiredDocument): RefusedDesired["reason"] | null {
    if (sent.hostId !== hostId) return "wrong_host";
    if (desiredHash(sent.vms) !== sent.hash) return "wrong_hash";
    if (held === null || sent.generation > held.generation) return null;
    if (sent.generation < held.generation) return "older_generation";
    return sent.hash === held.hash ? null : "same_generation_other_hash";
  }

  return {
    async load() {
      held = await loadSaved(store, FILE, DesiredDocument);
    },
    current: () => held,
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
          await save(store, FILE, sent);
          held = { ...held, entitlementGraceSeconds: sent.entitlementGraceSeconds };
        }
        return true;
      }
      await save(store, FILE, sent);
      held = sent;
      log.info("desired_accepted", { generation: sent.generation, vms: sent.vms.length });
      return true;
    },
  };
}

import type { EnrollAnswer, EnrollRequest } from "#core/contracts/agent/channel.ts";
import { capacityOf } from "#core/hosts/capacity.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import { saveHeldImages } from "#db/hosts/held-images.ts";
import { hostOfSpentToken, lockHost, saveEnrolment, spendJoinToken } from "#db/hosts/hosts.ts";
import { recordChange } from "#db/record-change.ts";
import { hashJoinToken } from "./add-host.ts";
import { stamp, type Deps } from "#commands/deps.ts";
import { undoOnRefusal } from "#commands/undo-on-refusal.ts";

type Enrolled = Result<EnrollAnswer, Refusal<"join_token_invalid" | "host_wrong_state">>;

/** Binds an agent's new key to the host of its join token. The token is used up, and an older key is worth nothing. */
export async function enrollHost(deps: Deps, request: EnrollRequest): Promise<Enrolled> {
  const at = stamp(deps);
  return undoOnRefusal(deps.db, async (tx): Promise<Enrolled> => {
    const tokenHash = hashJoinToken(request.joinToken);
    const hostId = await spendJoinToken(tx, tokenHash, at.now);
    if (hostId === undefined) {
      // An agent whose answer was lost asks again with the same token and key: it has enrolled already.
      const spent = await hostOfSpentToken(tx, tokenHash, at.now);
      return spent?.publicKey === request.publicKey.x
        ? ok({ hostId: spent.id, identityEpoch: spent.identityEpoch })
        : refuse("join_token_invalid", "this join token is unknown, used, or too old");
    }
    const host = await lockHost(tx, hostId);
    if (!host) return refuse("join_token_invalid", "this join token is unknown, used, or too old");
    if (host.state === "retired") return refuse("host_wrong_state", "this host is retired");
    const { identityEpoch } = await saveEnrolment(tx, host.id, {
      publicKey: request.publicKey.x,
      facts: request.facts,
      capacity: capacityOf(request.facts, host.cpuOvercommit),
      now: at.now,
    });
    await saveHeldImages(tx, host.id, request.facts.images);
    await recordChange(
      tx,
      {
        actor: { kind: "agent", id: host.id },
        action: "host.enroll",
        subject: { kind: "host", id: host.id },
        detail: { identity_epoch: identityEpoch, hypervisor: request.facts.hypervisor },
        events: [],
      },
      at,
    );
    return ok({ hostId: host.id, identityEpoch });
  });
}

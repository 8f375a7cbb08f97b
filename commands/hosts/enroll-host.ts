import type { EnrollAnswer, EnrollRequest } from "#core/contracts/agent/channel.ts";
import { ourWords, type Announced } from "#core/contracts/agent/protocol.ts";
import { trustedCapacity } from "#core/hosts/capacity.ts";
import { nextHostState } from "#core/hosts/host-state.ts";
import { jumpOf } from "#core/hosts/facts-jump.ts";
import { isFitForCustomers } from "#core/hosts/place-vm.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import { saveHeldImages } from "#db/hosts/held-images.ts";
import {
  factsOf,
  findJoinToken,
  lockHost,
  saveEnrolment,
  spendJoinTokens,
  type Host,
} from "#db/hosts/hosts.ts";
import { loadInstallation } from "#db/hosts/installation.ts";
import { recordChange } from "#db/record-change.ts";
import { hashJoinToken } from "./add-host.ts";
import { stamp, type AgentDeps } from "#commands/deps.ts";
import { undoOnRefusal } from "#commands/undo-on-refusal.ts";

type Enrolled = Result<EnrollAnswer, Refusal<"join_token_invalid" | "host_wrong_state">>;

/**
 * Binds an agent's new key to the host of its join token. All of the host's tokens are used up with it, and an older key is
 * worth nothing. `announced` left out: nothing is known of what its agent understands.
 */
export async function enrollHost(
  deps: AgentDeps,
  request: EnrollRequest,
  announced?: Announced,
): Promise<Enrolled> {
  const at = stamp(deps);
  const { facts } = request;
  const { releaseKey } = deps.settings;
  const answer = (hostId: string, identityEpoch: number, installation: string): EnrollAnswer => ({
    hostId,
    identityEpoch,
    installation,
    ...(releaseKey !== undefined && { releaseKey }),
  });
  const tokenHash = hashJoinToken(request.joinToken);
  let before: Host | undefined;
  const enrolled = await undoOnRefusal(deps.db, async (tx): Promise<Enrolled> => {
    const invalid = () =>
      refuse("join_token_invalid", "this join token is unknown, used, or too old");
    const hostId = await findJoinToken(tx, tokenHash, at.now);
    // Before the tokens: two of one host that are brought at once wait for each other here.
    const host = hostId === undefined ? undefined : await lockHost(tx, hostId);
    if (!host) return invalid();
    const installation = await loadInstallation(tx);
    const spent = await spendJoinTokens(tx, host.id, at.now);
    if (!spent.includes(tokenHash))
      // An agent whose answer was lost asks again with the same token and key: it has enrolled already.
      return host.publicKey === request.publicKey.x
        ? ok(answer(host.id, host.identityEpoch, installation))
        : invalid();
    const state = nextHostState(host.state, "enroll");
    if (state === undefined) return refuse("host_wrong_state", `this host is ${host.state}`);
    before = host;
    const { identityEpoch } = await saveEnrolment(tx, host.id, {
      publicKey: request.publicKey.x,
      state,
      facts,
      understands: announced ? ourWords(announced) : null,
      capacity: trustedCapacity(facts, host),
      now: at.now,
    });
    await saveHeldImages(tx, host.id, facts.images);
    await recordChange(
      tx,
      {
        actor: { kind: "agent", id: host.id },
        action: "host.enroll",
        subject: { kind: "host", id: host.id },
        detail: {
          identity_epoch: identityEpoch,
          hypervisor: facts.hypervisor,
          ...jumpOf(factsOf(host), facts),
        },
        events: [],
      },
      at,
    );
    return ok(answer(host.id, identityEpoch, installation));
  });
  if (enrolled.ok && before) tellStaff(deps, before, facts);
  return enrolled;
}

/** What somebody should look at, as soon as it is true. */
function tellStaff(deps: AgentDeps, before: Host, facts: EnrollRequest["facts"]): void {
  const jump = jumpOf(factsOf(before), facts);
  if (jump) deps.log.error("host.facts_jumped", { host_id: before.id, ...jump });
  if (!isFitForCustomers({ accelerator: facts.accelerator, testOnly: before.testOnly }))
    deps.log.error("host.not_for_customers", {
      host_id: before.id,
      accelerator: facts.accelerator,
    });
}

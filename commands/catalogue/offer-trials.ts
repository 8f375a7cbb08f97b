import { actorOf, type AccountPrincipal } from "#core/accounts/accounts.ts";
import type { TrialPolicy } from "#core/catalogue/trial-policy.ts";
import { toWireId } from "#core/ids.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import { loadNewestPlan } from "#db/catalogue/catalogue.ts";
import { insertTrialPolicy, trialPolicyNow } from "#db/catalogue/trial-policies.ts";
import { recordChange } from "#db/record-change.ts";
import { stamp, type Deps } from "#commands/deps.ts";
import { force, type Asked, type ForcedPlan, type Planned } from "#commands/forced.ts";

export type TrialTerms = Omit<TrialPolicy, "version">;

/**
 * Says on which terms VMs may be tried from now on; null: on none. What was ordered before goes on by its own. The same terms again make
 * no new version.
 */
export const offerTrials = (
  deps: Deps,
  input: Asked & Readonly<{ who: AccountPrincipal; terms: TrialTerms | null; reason: string }>,
): Promise<Result<ForcedPlan, Refusal<"plan_not_found" | "plan_changed">>> =>
  force(
    deps,
    input,
    async (
      tx,
    ): Promise<Result<Planned<null, Refusal<"plan_not_found">>, Refusal<"plan_not_found">>> => {
      const { who, terms, reason } = input;
      for (const planId of terms?.planIds ?? [])
        if (!(await loadNewestPlan(tx, planId)))
          return refuse("plan_not_found", `there is no plan ${toWireId("plan", planId)}`);
      const before = await trialPolicyNow(tx);
      const isSame = alike(before ?? null, terms);
      return ok({
        of: { before: before?.version ?? null, terms },
        effects: isSame ? ["nothing: that holds already"] : effectsOf(terms),
        act: async () => {
          if (isSame) return ok(null);
          const at = stamp(deps);
          const by = { saidBy: who.accountId, reason, from: at.now };
          const version = await insertTrialPolicy(tx, terms, by);
          await recordChange(
            tx,
            {
              actor: actorOf(who),
              action: "catalogue.offer_trials",
              subject: { kind: "account", id: who.accountId },
              detail: { reason, policy: version, days: terms?.days ?? null },
              events: [],
            },
            at,
          );
          return ok(null);
        },
      });
    },
  );

const alike = (a: TrialTerms | null, b: TrialTerms | null): boolean =>
  a === null || b === null
    ? a === b
    : TERMS.every((term) => a[term] === b[term]) &&
      JSON.stringify(a.planIds?.toSorted() ?? null) ===
        JSON.stringify(b.planIds?.toSorted() ?? null);
const TERMS = ["days", "endsIn", "suspendDays", "noticeDays", "mostAtOnce"] as const;

function effectsOf(terms: TrialTerms | null): readonly string[] {
  if (terms === null) return ["nothing may be tried any more; trials that run go on"];
  const { days, endsIn, suspendDays, noticeDays, mostAtOnce, planIds } = terms;
  const which = planIds === null ? "every plan" : `${planIds.length} plans`;
  return [
    `${which} may be tried for ${days} days, once by each customer${endsIn === "payment" ? " and each card" : ""}`,
    endsIn === "payment"
      ? "a card is asked for, and charged when the trial is over"
      : "no card is asked for: without one the VM stops when the trial is over, and is kept as after any end",
    `a VM that is not paid then runs on for ${suspendDays} days at the most`,
    `customers are told ${noticeDays} days before; at most ${mostAtOnce} trials run at once`,
  ];
}

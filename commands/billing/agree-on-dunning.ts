import { actorOf, type AccountPrincipal } from "#core/accounts/accounts.ts";
import type { DunningPolicy } from "#core/billing/dunning.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import { loadAccountHeld } from "#db/accounts/accounts.ts";
import { adoptPolicy } from "#db/billing/dunnings.ts";
import { everybodysPolicy, insertPolicy, policyFor } from "#db/billing/dunning-policies.ts";
import { saveSuspendDays } from "#db/billing/services.ts";
import type { Tx } from "#db/client.ts";
import { bumpDesiredGeneration } from "#db/hosts/hosts.ts";
import { recordChange } from "#db/record-change.ts";
import { stamp, type Deps } from "#commands/deps.ts";
import { force, type Asked, type ForcedPlan, type Planned } from "#commands/forced.ts";

export type DunningDays = Omit<DunningPolicy, "version">;
type Agreed = Asked &
  Readonly<{
    who: AccountPrincipal;
    accountId: string;
    /** null: as everybody's again. */
    days: DunningDays | null;
    reason: string;
  }>;

/**
 * Agrees with one account on how patient we are with it. It holds for what it has and what it will have, and for what it is dunned for
 * now: a step that falls due by it is taken by the next sweep.
 */
export const agreeOnDunning = (
  deps: Deps,
  input: Agreed,
): Promise<Result<ForcedPlan, Refusal<"account_not_found" | "plan_changed">>> =>
  force(
    deps,
    input,
    async (
      tx,
    ): Promise<
      Result<Planned<null, Refusal<"account_not_found">>, Refusal<"account_not_found">>
    > => {
      const { accountId, days } = input;
      const account = await loadAccountHeld(tx, accountId);
      if (account?.role !== "customer") return refuse("account_not_found", "no such customer");
      const before = await policyFor(tx, accountId);
      const after = days ?? (await everybodysPolicy(tx));
      const isSame = STEPS.every((step) => before[step] === after[step]);
      return ok({
        of: { accountId, before: { ...before }, days },
        effects: isSame ? ["nothing: that holds already"] : effectsOf(after),
        act: async () => {
          if (!isSame) await write(deps, tx, input, after);
          return ok(null);
        },
      });
    },
  );

const STEPS = ["suspendDays", "terminateDays", "deleteDays"] as const;

const effectsOf = ({ suspendDays, terminateDays, deleteDays }: DunningDays): readonly string[] => [
  `a VM that is not paid stops ${suspendDays} days after its reminder, or after what is paid`,
  `its subscription ends ${terminateDays} days after that, and what is on it is deleted ${deleteDays} days later`,
  "it holds for what is owed now, too",
];

async function write(deps: Deps, tx: Tx, input: Agreed, after: DunningDays): Promise<void> {
  const { who, accountId, days, reason } = input;
  const at = stamp(deps);
  const version = await insertPolicy(
    tx,
    { accountId, days, saidBy: who.accountId, reason },
    at.now,
  );
  const holding = days === null ? (await everybodysPolicy(tx)).version : version;
  await adoptPolicy(tx, accountId, holding, at.now);
  const touched = await saveSuspendDays(tx, accountId, after.suspendDays, at.now);
  await recordChange(
    tx,
    {
      actor: actorOf(who),
      action: "account.dunning_agreed",
      subject: { kind: "account", id: accountId },
      detail: { reason, policy: holding, ...days },
      events: touched.map((data) => ({ name: "vm.change_requested.v1" as const, data })),
    },
    at,
  );
  for (const { hostId } of touched) await bumpDesiredGeneration(tx, hostId);
}

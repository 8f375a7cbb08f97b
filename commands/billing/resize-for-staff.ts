import type { z } from "zod";
import type { AccountPrincipal } from "#core/accounts/accounts.ts";
import type { PlanChange } from "#core/billing/plan-change.ts";
import type { ChangePrice, Quote } from "#core/billing/quote.ts";
import type { Refused } from "#core/billing/quote-refusals.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import type { Action } from "#core/vms/action.ts";
import { changeOfQuote } from "#db/billing/plan-changes.ts";
import { insertQuote, loadQuote } from "#db/billing/quotes.ts";
import { claimKey, keepAnswer, type RequestKey } from "#db/messages/idempotency.ts";
import { inTransaction } from "#db/transaction.ts";
import { loadActionWithOwner } from "#db/vms/actions.ts";
import { stamp, type Deps } from "#commands/deps.ts";
import { beginPlanChange, makeWay } from "./begin-plan-change.ts";
import { hashOf, refuseOther } from "#commands/forced.ts";
import { findForResize, offer, type WantedResize } from "./quote-resize.ts";
import { effectsOf } from "./resize-effects.ts";

/** `id`: of the quote; a new one unless it is given. */
export type StaffResize = Readonly<{ who: AccountPrincipal; vmId: string; id?: string }> &
  WantedResize &
  Pick<Quote, "when" | "billing"> & { price?: ChangePrice };

/** What a resize by staff would do. `hash` names it; null: it cannot be done. */
export type StaffResizePlan = Readonly<{
  quote: Quote | null;
  refusals: readonly Refused[];
  effects: readonly string[];
  hash: string | null;
}>;

/** A dry run: it keeps nothing, and asks the payment provider for its figures only. */
export async function showStaffResize(
  deps: Deps,
  asked: StaffResize,
): Promise<Result<StaffResizePlan, Refusal<"vm_not_found">>> {
  const { who, vmId, when, billing, price = "new", planId, billingInterval, keepDisk } = asked;
  const wanted = { planId, billingInterval, keepDisk };
  const found = await findForResize(deps, who, vmId);
  if (!found.ok) return found;
  const id = asked.id ?? deps.ids.newId();
  const { quote, refusals } = await offer(deps, found.value, {
    who,
    id,
    wanted,
    staff: { when, billing, price },
  });
  return ok(
    quote === null
      ? { quote, refusals, effects: [], hash: null }
      : { quote, refusals, effects: effectsOf(quote), hash: hashOfOffer(quote) },
  );
}

/**
 * The quote of a resize by staff, kept, for whoever carries it out (`takeQuote`, as a customer's). `hash`: a dry run's; refused when
 * it would be another one by now. Its amounts may be: they are prorated to the second.
 */
export async function quoteForStaff(
  deps: Deps,
  asked: StaffResize & { hash?: string | undefined },
): Promise<Result<Quote, Refusal<"vm_not_found" | "plan_changed" | "resize_refused">>> {
  const shown = await showStaffResize(deps, asked);
  if (!shown.ok) return shown;
  const { quote, refusals, hash } = shown.value;
  if (quote === null)
    return refuse(
      "resize_refused",
      refusals.map(({ code, detail }) => `${code}: ${detail}`).join("; "),
    );
  const same = refuseOther({ hash: hash ?? "" }, asked.hash);
  return same.ok ? ok(await insertQuote(deps.db, quote)) : same;
}

type Begun = Readonly<{ action: Action; change: PlanChange }>;

/**
 * Resizes a VM by staff's word: offers it to them, as its dry run said, and takes that at once. A repeat with the same key answers with
 * what the first one began.
 *
 * Throws when the payment provider cannot be reached; the same key goes on.
 */
export async function resizeForStaff<A>(
  deps: Deps,
  asked: StaffResize & {
    hash?: string | undefined;
    reason: string;
    key: RequestKey | undefined;
  },
  answer: z.ZodType<A>,
  render: (begun: Begun) => A,
): Promise<
  Result<A, Refusal<"vm_not_found" | "plan_changed" | "resize_refused" | "idempotency_key_reused">>
> {
  const { who, vmId, key, reason } = asked;
  const at = stamp(deps);
  let id = at.newId();
  if (key !== undefined) {
    const claim = await inTransaction(deps.db, (tx) => claimKey(tx, key, id, at.now));
    if (!claim.ok) return claim;
    if (claim.value.kind === "answered") return ok(answer.parse(claim.value.response));
    if (claim.value.kind === "resume") id = claim.value.resourceId;
  }
  const begun = (await begunBefore(deps, id)) ?? (await begin(deps, { ...asked, id }));
  if (!begun.ok) return begun;
  const made = render(begun.value);
  return ok(key === undefined ? made : answer.parse(await keepAnswer(deps.db, key, made)));

  async function begin(
    of: Deps,
    wanted: StaffResize & { id: string; hash?: string | undefined },
  ): Promise<Result<Begun, Refusal<"vm_not_found" | "plan_changed" | "resize_refused">>> {
    const kept = await loadQuote(of.db, wanted.id);
    const quoted = kept ? ok(kept) : await quoteForStaff(of, wanted);
    if (!quoted.ok) return quoted;
    const taken = { who, vmId, quoteId: quoted.value.id };
    const done = await beginPlanChange(of, { ...taken, ...(await makeWay(of, taken)), reason });
    if (done.ok) return done;
    // It could be done a moment ago.
    const { code, detail } = done.error;
    return code === "vm_not_found"
      ? refuse(code, detail)
      : refuse("plan_changed", `${code}: ${detail}`);
  }
}

/** By the same key, whose answer got lost. */
async function begunBefore(
  { db }: Deps,
  quoteId: string,
): Promise<Result<Begun, never> | undefined> {
  const change = await changeOfQuote(db, quoteId);
  const found = change && (await loadActionWithOwner(db, change.actionId));
  return found && ok({ action: found.action, change });
}

/** Of what it stands on and how it would go, and not of amounts that change with each second. */
const hashOfOffer = ({ basis, when, billing, order, method }: Quote): string =>
  hashOf({ basis, when, billing, order, method });

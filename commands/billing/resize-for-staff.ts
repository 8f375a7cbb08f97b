import type { AccountPrincipal } from "#core/accounts/accounts.ts";
import type { Quote } from "#core/billing/quote.ts";
import type { Refused } from "#core/billing/quote-refusals.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import { insertQuote } from "#db/billing/quotes.ts";
import type { Deps } from "#commands/deps.ts";
import { hashOf } from "#commands/vms/repair-vm.ts";
import { findForResize, offer, type WantedResize } from "./quote-resize.ts";
import { effectsOf } from "./resize-effects.ts";

export type StaffResize = Readonly<{ who: AccountPrincipal; vmId: string }> &
  WantedResize &
  Pick<Quote, "when" | "billing">;

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
  const { who, vmId, when, billing, ...wanted } = asked;
  const found = await findForResize(deps, who, vmId);
  if (!found.ok) return found;
  const id = deps.ids.newId();
  const { quote, refusals } = await offer(deps, found.value, {
    who,
    id,
    wanted,
    staff: { when, billing },
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
  if (asked.hash !== undefined && asked.hash !== hash)
    return refuse("plan_changed", "it would do something else by now: look at a dry run again");
  return ok(await insertQuote(deps.db, quote));
}

/** Of what it stands on and how it would go, and not of amounts that change with each second. */
const hashOfOffer = ({ basis, when, billing, order, method }: Quote): string =>
  hashOf({ basis, when, billing, order, method });

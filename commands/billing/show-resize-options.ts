import type { AccountPrincipal } from "#core/accounts/accounts.ts";
import { decideCourse, dueOf, type Course } from "#core/billing/decide-quote.ts";
import { differenceOf } from "#core/billing/plan-migration.ts";
import type { Bought } from "#core/billing/quote.ts";
import type { Refused } from "#core/billing/quote-refusals.ts";
import { priceOf, type ServicePrice } from "#core/billing/service.ts";
import type { Money } from "#core/money.ts";
import { BILLING_INTERVALS } from "#core/orders/order.ts";
import { ok, type Refusal, type Result } from "#core/result.ts";
import { listPlans, type Plan } from "#db/catalogue/catalogue.ts";
import type { Deps } from "#commands/deps.ts";
import { findForResize } from "./quote-resize.ts";
import { billedOf, stateOf, targetOf } from "./resize-state.ts";

/** What a VM could become. */
export type ResizeOption = Readonly<{
  plan: Plan;
  price: ServicePrice;
  /** null: it is not possible, and these stand against it. */
  course: Course | null;
  refusals: readonly Refused[];
  /** By how much its price is above the present one; null where they cannot be compared. */
  difference: Money | null;
  /** By our own figures, before tax and balance; null: it is not possible, or nobody is asked for money. */
  dueNow: Money | null;
}>;

/**
 * Every plan on sale, by each of its intervals, in the currency that the VM is paid in if it is sold in that, and whether the VM
 * could become that. The provider is asked once, whatever their number, and shows no figures of its own: a quote does.
 */
export async function showResizeOptions(
  deps: Pick<Deps, "db" | "clock" | "payments">,
  who: AccountPrincipal,
  vmId: string,
): Promise<Result<{ current: Bought; options: readonly ResizeOption[] }, Refusal<"vm_not_found">>> {
  const found = await findForResize(deps, who, vmId);
  if (!found.ok) return found;
  const [plans, billed] = await Promise.all([listPlans(deps.db), billedOf(deps, found.value)]);
  const now = deps.clock.now();
  const state = stateOf(found.value, now);
  const current = state.bought;
  const currency = current.price?.amount.currency ?? null;
  const options = plans.flatMap((plan) =>
    BILLING_INTERVALS.filter((interval) => interval !== "hour")
      .flatMap((interval) => priceOf(plan.prices, interval, currency) ?? [])
      .map((price): ResizeOption => {
        const asked = { target: targetOf(plan), interval: price.interval, keepDisk: false };
        const decided = decideCourse(state, { ...asked, staff: null }, billed, now);
        const course = "course" in decided ? decided.course : null;
        return {
          plan,
          price,
          course,
          refusals: "course" in decided ? [] : decided.refusals,
          difference: differenceOf(current.price, price),
          dueNow: course && dueNowOf(course),
        };
      }),
  );
  return ok({ current, options });
}

const dueNowOf = ({ how, own, from }: Course): Money | null =>
  how === null || from.price === null
    ? null
    : { minor: own === null ? 0n : dueOf(own), currency: from.price.amount.currency };

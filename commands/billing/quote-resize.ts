import { mayTouch, type AccountPrincipal, type Asker } from "#core/accounts/accounts.ts";
import { decideCourse, type Course } from "#core/billing/decide-quote.ts";
import { movedAndResized, stateAt, type OtherHost } from "#core/billing/move-and-resize.ts";
import { moneyOf } from "#core/billing/offer-quote.ts";
import type { Billed, ChangePreview } from "#core/billing/price-changes.ts";
import type { MachineSize, Quote } from "#core/billing/quote.ts";
import type { ResizeAsked } from "#core/billing/resize.ts";
import type { Refused } from "#core/billing/quote-refusals.ts";
import { QuotedResize } from "#core/contracts/api/resizes.ts";
import { largerOf } from "#core/vms/vm.ts";
import type { BillingInterval } from "#core/orders/order.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import { insertQuote } from "#db/billing/quotes.ts";
import { loadResizing, type Resizing } from "#db/billing/resizing.ts";
import { loadNewestPlan } from "#db/catalogue/catalogue.ts";
import { claimKey, keepAnswer, type RequestKey } from "#db/messages/idempotency.ts";
import { inTransaction } from "#db/transaction.ts";
import { stamp, type Deps } from "#commands/deps.ts";
import { undoOnRefusal } from "#commands/undo-on-refusal.ts";
import { logFindings, openFindings } from "#commands/hosts/note-findings.ts";
import { priceAtProvider } from "#commands/catalogue/price-at-provider.ts";
import { basisOf, billedOf, stateOf, targetOf } from "./resize-state.ts";

/** A quote, or all that stands against one. */
export type Quoted =
  | Readonly<{ quote: Quote; refusals: readonly [] }>
  | Readonly<{ quote: null; refusals: readonly Refused[] }>;

export type WantedResize = Readonly<{
  planId: string;
  billingInterval?: BillingInterval | undefined;
  keepDisk: boolean;
}>;

type NoVm = Refusal<"vm_not_found">;

/**
 * Offers a change of what was bought: what it would be, how, and for how much by the provider's own preview, which is asked outside
 * of any transaction. A repeat with the same key gives the first answer. `render` makes the answer of it.
 *
 * Throws when the payment provider cannot be reached; the same key goes on.
 */
export async function quoteResize(
  deps: Deps,
  input: {
    who: AccountPrincipal;
    vmId: string;
    wanted: WantedResize;
    key?: RequestKey | undefined;
  },
  render: (quoted: Quoted) => QuotedResize,
): Promise<Result<QuotedResize, NoVm | Refusal<"idempotency_key_reused">>> {
  const { who, vmId, wanted, key } = input;
  const begun = await begin(deps, { who, vmId, key });
  if (!begun.ok) return begun;
  if ("answer" in begun.value) return ok(begun.value.answer);
  const { found, id } = begun.value;
  const quoted = await offer(deps, found, { who, id, wanted, staff: null });
  const made = render(
    quoted.quote === null ? quoted : { ...quoted, quote: await insertQuote(deps.db, quoted.quote) },
  );
  return ok(key === undefined ? made : QuotedResize.parse(await keepAnswer(deps.db, key, made)));
}

type Begun = Readonly<{ answer: QuotedResize }> | Readonly<{ found: Resizing; id: string }>;

/** The key's first answer, or the VM with the id that the quote is to have. What is not found leaves the key unused. */
async function begin(
  deps: Deps,
  { who, vmId, key }: { who: AccountPrincipal; vmId: string; key: RequestKey | undefined },
): Promise<Result<Begun, NoVm | Refusal<"idempotency_key_reused">>> {
  const at = stamp(deps);
  const newId = at.newId();
  const find = async (db: Deps["db"], id: string): Promise<Result<Begun, NoVm>> => {
    const found = await findForResize({ db }, who, vmId);
    return found.ok ? ok({ found: found.value, id }) : found;
  };
  if (key === undefined) return find(deps.db, newId);
  return undoOnRefusal(
    deps.db,
    async (tx): Promise<Result<Begun, NoVm | Refusal<"idempotency_key_reused">>> => {
      const claim = await claimKey(tx, key, newId, at.now);
      if (!claim.ok) return claim;
      if (claim.value.kind === "answered")
        return ok({ answer: QuotedResize.parse(claim.value.response) });
      return find(tx, claim.value.kind === "resume" ? claim.value.resourceId : newId);
    },
  );
}

/** What may be resized by this account; anybody else's and what is gone is "not found". */
export async function findForResize(
  deps: Pick<Deps, "db">,
  who: Asker,
  vmId: string,
): Promise<Result<Resizing, NoVm>> {
  const found = await loadResizing(deps.db, vmId);
  return found && found.vm.presence === "present" && mayTouch(who, found.vm.accountId)
    ? ok(found)
    : refuse("vm_not_found", "no such VM");
}

/**
 * Works the quote out, and keeps nothing. `there`: as if it was on that host already, where it would move to first: nobody takes such a quote,
 * and once it is there another one is worked out.
 */
export async function offer(
  deps: Deps,
  found: Resizing,
  asked: Readonly<{
    who: Pick<AccountPrincipal, "accountId">;
    id: string;
    wanted: WantedResize;
    staff: ResizeAsked["staff"];
    there?: Readonly<{ host: OtherHost; becomes: MachineSize }>;
  }>,
): Promise<Quoted> {
  const { who, id, wanted, staff, there } = asked;
  const plan = await loadNewestPlan(deps.db, wanted.planId);
  const billed = await billedOf(deps, found);
  const now = deps.clock.now();
  const here = stateOf(found, now);
  const state = there
    ? stateAt(here, there.host, largerOf(here.bought.machine, there.becomes))
    : here;
  const decided = decideCourse(
    state,
    {
      target: plan ? targetOf(plan) : null,
      interval: wanted.billingInterval ?? null,
      keepDisk: wanted.keepDisk,
      staff,
    },
    billed,
    now,
  );
  if ("refusals" in decided) return { quote: null, refusals: decided.refusals };
  const { course } = decided;
  const money = moneyOf(course, await previewOf(deps, course, billed));
  if (!money.ok) {
    await tellStaff(deps, found, money.error.detail);
    return { quote: null, refusals: [{ ...money.error, detail: DIFFER }] };
  }
  const { how: _how, own: _own, ...offered } = course;
  return {
    quote: {
      id,
      vmId: state.vmId,
      askedBy: who.accountId,
      ...offered,
      ...(there && movedAndResized(here.bought.machine)),
      ...money.value,
      basis: basisOf(state, course.to, billed),
      createdAt: now,
    },
    refusals: [],
  };
}

async function previewOf(
  deps: Deps,
  { to, at, how, own }: Pick<Course, "to" | "at" | "how" | "own">,
  billed: Billed | null,
): Promise<ChangePreview | null> {
  if (billed === null || how === null || own === null) return null;
  const { planId, planVersion } = to;
  const interval = to.price?.interval ?? "hour";
  if (to.price === null || interval === "hour")
    throw new Error("a course of no price, or of one by the hour");
  const { currency } = to.price.amount;
  const priceId = await priceAtProvider(deps, { planId, planVersion, interval, currency });
  return deps.payments.previewChange({ subscriptionId: billed.subscriptionId, priceId, at, how });
}

const DIFFER =
  "our figures and the payment provider's are not the same, so nobody is charged by them: our staff have been told";

/** An alarm, and what stays before staff's eyes, at the host of the VM. */
async function tellStaff(deps: Deps, { vm, host }: Resizing, detail: string): Promise<void> {
  const at = stamp(deps);
  const found = { kind: "figures_differ", subject: vm.id, vmId: vm.id, detail, hostId: host.id };
  const opened = await inTransaction(deps.db, (tx) =>
    openFindings(tx, [found], at, { kind: "system", id: "quote-resize" }),
  );
  logFindings(deps, { opened, ended: [] });
}

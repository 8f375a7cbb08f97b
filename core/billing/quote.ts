import type { Money } from "#core/money.ts";
import type { VmSize } from "#core/vms/vm.ts";
import type { Billed } from "./price-changes.ts";
import type { ServicePrice } from "./service.ts";

/** What a plan gives a machine: null: no limit. */
export type MachineSize = VmSize &
  Readonly<{ bandwidthMbit: number | null; diskIops: number | null }>;

/** One side of a change: what is had before it, or after. */
export type Bought = Readonly<{
  planId: string;
  planVersion: number;
  /** null: whoever pays keeps the price, or there is none. */
  price: ServicePrice | null;
  /** The price is that of before, and no price of this version: staff let its owner keep it (ADR 0056). Of what is to be had. */
  priceKept?: boolean | undefined;
  /** With the disk that is kept small, or that has grown: not always the plan's. */
  machine: MachineSize;
}>;

export const CHANGE_WHEN = ["now", "renewal"] as const;
/** `prorate`: what is left of the present period is credited and debited; `none`: the new price counts from the next one. */
export const CHANGE_BILLING = ["prorate", "none"] as const;
/** `keep`: whoever pays goes on paying what he pays, whatever the version costs; by staff's word alone. */
export const CHANGE_PRICES = ["new", "keep"] as const;
export type ChangePrice = (typeof CHANGE_PRICES)[number];
/** How the machine gets there. `live`: also one that is off. `none`: it stays as it is. `move` comes with part 6b. */
export const RESIZE_METHODS = ["live", "restart", "move", "none"] as const;
export type ResizeMethod = (typeof RESIZE_METHODS)[number];
/** Up: paid, then made. Down: made, seen, and then priced (design §11). */
export const CHANGE_ORDERS = ["pay_first", "machine_first"] as const;

export const QUOTED_LINES = ["credit", "debit", "recurring"] as const;
/** A line of a quote, less its discount: the provider's own, which may be a minor unit away from ours. */
export type QuotedLine = Readonly<{
  kind: (typeof QUOTED_LINES)[number];
  amount: Money;
  from: Date;
  until: Date;
  credits: string | null;
}>;

/** What was offered, to whom, until when. Never changed; taken at most once. */
export type Quote = Readonly<{
  id: string;
  vmId: string;
  /** Who asked: the customer, or a member of staff. */
  askedBy: string;
  from: Bought;
  to: Bought;
  when: (typeof CHANGE_WHEN)[number];
  billing: (typeof CHANGE_BILLING)[number];
  order: (typeof CHANGE_ORDERS)[number];
  /** `other`: what is due now is paid on a page first. */
  paysBy: Billed["paysBy"];
  method: ResizeMethod;
  /** For how long the VM is expected to be down. */
  downSeconds: number;
  /** null, all three: nothing is asked of the provider. With tax and after balance. */
  dueNow: Money | null;
  credit: Money | null;
  tax: Money | null;
  lines: readonly QuotedLine[];
  /** By how much the lines, which are the provider's, are above our own; null as above. */
  differsBy: Money | null;
  /** The instant that the money was worked out for. */
  at: Date;
  /** When it happens: `at`, or the end of the period. */
  appliesAt: Date;
  /** Of what it was worked out from (versions, price, machine, host, period, debits): another one by then, and it is not taken. */
  basis: string;
  createdAt: Date;
  expiresAt: Date;
}>;

export const QUOTE_LIFE_MS = 15 * 60_000;

/** Why there is no quote. Stable. */
export const QUOTE_REFUSALS = [
  "same_plan",
  "plan_not_on_sale",
  "interval_not_sold",
  "ask_separately",
  "currency_differs",
  "disk_shrinks",
  "beyond_limits",
  "image_needs_more",
  "limit_unsupported",
  "unsupported_by_agent",
  "no_room",
  "vm_locked",
  "vm_lost",
  "vm_suspended",
  "vm_not_delivered",
  "invoice_open",
  "trial_running",
  "cancels_at_period_end",
  "change_waiting",
  "billing_frozen",
  "figures_differ",
  "not_by_us",
] as const;
export type QuoteRefusal = (typeof QUOTE_REFUSALS)[number];

import type pg from "pg";
import { z } from "zod";
import { InvoicePage, type InvoiceView } from "#core/contracts/api/billing.ts";
import { MailPage } from "#core/contracts/api/mails.ts";
import { ActionView, VmView } from "#core/contracts/api/vms.ts";
import { Currency, type MoneyView } from "#core/money.ts";
import { moneyText } from "#core/money-text.ts";
import { StackClient } from "./client.ts";
import type { Stack } from "./stack.ts";

/*
 * How a story of a customer's time with Berth is told: by a real stack whose clock is moved on. A chapter does what a customer or a
 * card does, and tells a line; what was charged and mailed by then is looked up, and never said by the chapter.
 */

/** What happened by an instant of the stack's clock, since the line before. */
export type StoryLine = Readonly<{
  at: string;
  words: string;
  /** Of each invoice that was paid meanwhile, what was taken for it. */
  charged: readonly Readonly<{ invoice: string; amount: MoneyView }>[];
  mailed: readonly string[];
}>;

export type Chapter = (story: Story) => Promise<void>;

const MOST_MINUTES = 10;
const HOUR_MS = 60 * 60_000;
/** The most that a list gives at once. */
const PAGE = 100;

export class Story {
  readonly stack: Stack;
  readonly client: StackClient;
  readonly lines: StoryLine[] = [];
  /** The VM that it is about, once there is one. */
  vmId = "";
  readonly #staff: StackClient;
  readonly #told: (line: StoryLine) => void;
  readonly #paid = new Set<string>();
  readonly #mailed = new Set<string>();

  constructor(stack: Stack, told: (line: StoryLine) => void) {
    this.stack = stack;
    this.client = new StackClient(stack.apiUrl, stack.tokens.customer);
    this.#staff = new StackClient(stack.apiUrl, stack.tokens.staff);
    this.#told = told;
  }

  async tell(words: string): Promise<void> {
    const fresh = (await this.invoices()).filter(
      ({ id, status }) => status === "paid" && !this.#paid.has(id),
    );
    for (const { id } of fresh) this.#paid.add(id);
    const page = `/staff/v1/mails?limit=${PAGE}`;
    const { items } = await this.#staff.ok(MailPage, "GET", page);
    const mails = items.filter(({ id }) => !this.#mailed.has(id)).toReversed();
    for (const { id } of mails) this.#mailed.add(id);
    const line = {
      at: this.stack.clock.now().toISOString(),
      words,
      charged: fresh.map(({ id, number, paid }) => ({ invoice: number ?? id, amount: paid })),
      mailed: mails.map(({ kind }) => kind),
    };
    this.lines.push(line);
    this.#told(line);
  }

  vm(): Promise<VmView> {
    return this.client.ok(VmView, "GET", `/v1/vms/${this.vmId}`);
  }

  /** All of them, the oldest first. */
  async invoices(): Promise<readonly InvoiceView[]> {
    const { items, nextCursor } = await this.client.ok(
      InvoicePage,
      "GET",
      `/v1/invoices?limit=${PAGE}`,
    );
    if (nextCursor !== null) throw new Error(`a story of more than ${PAGE} invoices is too long`);
    return items.toReversed();
  }

  /** The invoice that waits to be paid. */
  async openInvoice(): Promise<InvoiceView> {
    const open = (await this.invoices()).find(({ status }) => status === "open");
    if (!open) throw new Error("no invoice is open");
    return open;
  }

  /** Lets time pass; all that falls due in it is done when this returns. */
  async pass(ms: number): Promise<void> {
    const advance = `PT${Math.max(1, Math.ceil(ms / 1000))}S`;
    await this.client.ok(z.unknown(), "POST", "/_local/clock", { advance });
  }
  passDays(days: number): Promise<void> {
    return this.pass(days * 24 * HOUR_MS);
  }
  passUntil(at: Date): Promise<void> {
    return this.pass(+at - +this.stack.clock.now());
  }

  /** Until the period that is paid is over, and Stripe has charged the next one: an hour later, and some minutes. */
  async passRenewal(): Promise<void> {
    const { current_period_end: end } = this.subscriptionItem();
    await this.passUntil(new Date(end * 1000 + 1.1 * HOUR_MS));
  }

  /** As Stripe has it: the newest one's. */
  subscriptionItem() {
    const [item] = this.stack.stripe.standIn.store.all("subscription").at(-1)?.items.data ?? [];
    if (!item) throw new Error("nothing is subscribed to");
    return item;
  }

  /** The card's next payments are declined. */
  async cardIsDeclined(times: number): Promise<void> {
    const customer = this.stack.stripe.standIn.store.all("customer").at(-1)?.id;
    const answer = await fetch(`${this.stack.stripeUrl}/_local/fail-payments`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ customer, count: times, declineCode: "insufficient_funds" }),
    });
    if (!answer.ok) throw new Error(`the stand-in answered ${answer.status}`);
  }

  actionEnded(id: string): Promise<ActionView> {
    return this.minutesUntil("an action's end", async () => {
      const action = await this.client.ok(ActionView, "GET", `/v1/actions/${id}`);
      if (action.finishedAt === null) return undefined;
      if (action.status === "success") return action;
      throw new Error(`${action.type} ended with ${JSON.stringify(action.error)}`);
    });
  }

  /** Minutes pass until it is so. By each all that is due is done, so it takes few. */
  async minutesUntil<T>(what: string, look: () => Promise<T | undefined>): Promise<T> {
    for (let minute = 0; minute < MOST_MINUTES; minute++) {
      await this.pass(60_000);
      const found = await look();
      if (found !== undefined) return found;
    }
    throw new Error(`${what} did not happen within ${MOST_MINUTES} minutes`);
  }
}

const Entries = z.array(
  z.object({ account: z.string(), currency: Currency, minor: z.string(), entries: z.int() }),
);

export type StoryEnd = Readonly<{
  ledger: Readonly<{
    accounts: readonly Readonly<{ account: string; amount: MoneyView; entries: number }>[];
    sumsToZero: boolean;
  }>;
  invoices: readonly InvoiceView[];
  /** What the payment provider says of the same money. */
  provider: Readonly<{ differs: readonly string[] }>;
}>;

/** What the books say at its end, and whether Stripe says the same. */
export async function endOf(story: Story, pool: pg.Pool): Promise<StoryEnd> {
  const { rows } = await pool.query(
    `select account::text, currency, sum(amount_minor)::text as minor, count(*)::int as entries
       from ledger_entries group by 1, 2 order by 1, 2`,
  );
  const accounts = Entries.parse(rows).map(({ account, currency, minor, entries }) => ({
    account,
    amount: { minor, currency },
    entries,
  }));
  const sums = Map.groupBy(accounts, ({ amount }) => amount.currency);
  const sumsToZero = [...sums.values()].every(
    (all) => all.reduce((sum, { amount }) => sum + BigInt(amount.minor), 0n) === 0n,
  );
  const invoices = await story.invoices();
  const differs = differencesAtStripe(story.stack, accounts, invoices);
  return { ledger: { accounts, sumsToZero }, invoices, provider: { differs } };
}

type Account = StoryEnd["ledger"]["accounts"][number];

/** By what Stripe's own objects differ from our books, for people: each invoice, all that was charged, and the customer's credit. */
function differencesAtStripe(
  { stripe }: Stack,
  accounts: readonly Account[],
  invoices: readonly InvoiceView[],
): readonly string[] {
  const { store } = stripe.standIn;
  const theirs = new Map(store.all("invoice").map((invoice) => [invoice.number, invoice]));
  const perInvoice = invoices.flatMap(({ number, status, total }) => {
    const there = theirs.get(number);
    const [ours, at] = [
      `${status} ${total.minor} ${total.currency}`,
      there === undefined ? "not there" : `${there.status} ${there.total} ${there.currency}`,
    ];
    return ours === at ? [] : [`invoice ${number} is ${ours} here and ${at} at Stripe`];
  });
  const unknown = store
    .all("invoice")
    .filter(({ status, number }) => status === "paid" && !invoices.some((i) => i.number === number))
    .map(({ number }) => `invoice ${number} is paid at Stripe and not known here`);
  const balanceOf = (name: string) =>
    accounts
      .filter(({ account }) => account === name)
      .reduce((sum, { amount }) => sum + BigInt(amount.minor), 0n);
  const charged = store
    .all("charge")
    .filter(({ paid }) => paid)
    .reduce((sum, charge) => sum + BigInt(charge.amount_captured - charge.amount_refunded), 0n);
  const credit = store.all("customer").reduce((sum, { balance }) => sum + BigInt(balance), 0n);
  const sums = [
    ["charged and not refunded", balanceOf("stripe_balance"), charged],
    ["the customer's credit", balanceOf("customer_credit"), credit],
  ] as const;
  return [
    ...perInvoice,
    ...unknown,
    ...sums.flatMap(([what, here, there]) =>
      here === there ? [] : [`${what} is ${here} here and ${there} at Stripe`],
    ),
  ];
}

/** `5.00 USD`, or nothing where nothing was taken. */
export const chargedText = ({ charged }: StoryLine): string =>
  charged
    .filter(({ amount }) => amount.minor !== "0")
    .map(({ amount }) => moneyText(amount))
    .join(" + ");

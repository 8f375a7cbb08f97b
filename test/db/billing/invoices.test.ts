import { toOrder } from "#core/billing/ledger.ts";
import { v7 } from "uuid";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { bookInvoice } from "#commands/billing/book-invoice.ts";
import { showInvoice, showInvoices } from "#commands/billing/show-invoices.ts";
import type { InvoiceState } from "#core/billing/payments.ts";
import { loadOrder } from "#db/orders/orders.ts";
import { inTransaction } from "#db/transaction.ts";
import { aPrincipal } from "#test/builders.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { aPlacedOrder, aWorld, valueOf, type World } from "#test/harness/world.ts";

let cp: ControlPlane;
let world: World;
let orderId: string;
beforeAll(async () => {
  cp = await startControlPlane();
  world = await aWorld(cp);
  ({ orderId } = await aPlacedOrder(cp, world));
});
afterAll(() => cp.drop());

const anInvoice = (over: Partial<InvoiceState> = {}): InvoiceState => ({
  id: `in_${v7()}`,
  number: "B-7",
  status: "paid",
  total: { minor: 900n, currency: "eur" },
  paid: { minor: 850n, currency: "eur" },
  fromCredit: { minor: 0n, currency: "eur" },
  hostedUrl: "https://invoice.test/7",
  createdAt: new Date("2026-02-27T10:00:00.000Z"),
  paidAt: new Date("2026-02-27T10:00:00.000Z"),
  stuckBecause: null,
  isFirst: false,
  orderId,
  subscriptionId: "sub_1",
  customerId: "cus_1",
  ...over,
});
async function book(invoice: InvoiceState) {
  const order = await loadOrder(cp.deps.db, orderId);
  if (order === undefined) throw new Error("the order vanished");
  const at = { now: cp.clock.now(), newId: () => v7() };
  return inTransaction(cp.deps.db, (tx) => bookInvoice(tx, toOrder(order), invoice, at));
}
const entriesOf = (invoice: InvoiceState) =>
  cp.rows(
    `select e.account, e.amount_minor::int as minor, e.currency from ledger_entries e
     join ledger_transactions t on t.id = e.transaction_id where t.reference = $1 order by 2`,
    invoice.id,
  );

describe("an invoice", () => {
  test("that is paid is booked once, with what was paid, in its currency", async () => {
    const invoice = anInvoice();
    expect(await book(invoice)).toBe("posted");
    expect(await book(invoice)).toBe("unchanged");
    expect(await entriesOf(invoice)).toEqual([
      { account: "customer_revenue", minor: -850, currency: "eur" },
      { account: "stripe_balance", minor: 850, currency: "eur" },
    ]);
  });

  test.each<[string, Partial<InvoiceState>]>([
    ["open", { status: "open", paid: { minor: 0n, currency: "eur" } }],
    ["open, of which a part was paid", { status: "open", paid: { minor: 300n, currency: "eur" } }],
    ["uncollectible", { status: "uncollectible" }],
    ["paid by nothing", { paid: { minor: 0n, currency: "eur" } }],
  ])("that is %s is kept and books nothing", async (_, over) => {
    const invoice = anInvoice(over);
    expect(await book(invoice)).toBe("unchanged");
    expect(await entriesOf(invoice)).toEqual([]);
    expect(await cp.rows("select status from invoices where provider_id = $1", invoice.id)).toEqual(
      [{ status: invoice.status }],
    );
  });

  test("that is void is kept where it was owed before, and stays so; where nobody ever owed it, it is not", async () => {
    const never = anInvoice({ status: "void" });
    expect(await book(never)).toBe("unchanged");
    const statusOf = ({ id }: InvoiceState) =>
      cp.rows("select status from invoices where provider_id = $1", id);
    expect(await statusOf(never)).toEqual([]);
    const open = anInvoice({ status: "open", paid: { minor: 0n, currency: "eur" }, paidAt: null });
    for (const status of ["open", "void", "open"]) await book({ ...open, status });
    expect(await statusOf(open)).toEqual([{ status: "void" }]);
    expect(await entriesOf(open)).toEqual([]);
  });
});

describe("invoices are shown", () => {
  test("to their account and to staff, and to nobody else", async () => {
    await book(anInvoice({ number: "B-8" }));
    const { items } = await showInvoices(cp.deps, world.buyer, { limit: 1, cursor: null });
    const id = items[0]?.id ?? "";
    for (const who of [world.buyer, aPrincipal({ role: "staff" })])
      expect(valueOf(await showInvoice(cp.deps, who, id))).toMatchObject({ id, number: "B-8" });
    const refused = { ok: false, error: { code: "invoice_not_found", detail: "no such invoice" } };
    expect(await showInvoice(cp.deps, aPrincipal(), id)).toEqual(refused);
    expect(await showInvoice(cp.deps, aPrincipal({ role: "staff" }), orderId)).toEqual(refused);
  });

  test("a page at a time, the newest first, of one account alone", async () => {
    const own = await aWorld(cp);
    ({ orderId } = await aPlacedOrder(cp, own));
    for (const number of ["1", "2", "3"]) await book(anInvoice({ number }));
    const page = async (limit: number, cursor: string | null = null) => {
      const { items, nextCursor } = await showInvoices(cp.deps, own.buyer, { limit, cursor });
      return { numbers: items.map((invoice) => invoice.number), nextCursor };
    };
    expect(await page(3)).toEqual({ numbers: ["3", "2", "1"], nextCursor: null });
    const first = await page(2);
    expect(first.numbers).toEqual(["3", "2"]);
    expect(await page(2, first.nextCursor)).toEqual({ numbers: ["1"], nextCursor: null });
  });
});

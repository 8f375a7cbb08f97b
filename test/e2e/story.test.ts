import pg from "pg";
import { afterEach, expect, test } from "vitest";
import { BILLING_STORY } from "#local/billing-story.ts";
import { endOf, Story, type StoryLine } from "#local/story.ts";
import { LONG } from "#test/harness/extent.ts";
import { openStack, type TestStack } from "#test/harness/stack.ts";

let open: { stack: TestStack; pool: pg.Pool } | undefined;
afterEach(async () => {
  await open?.pool.end();
  await open?.stack.close();
  open = undefined;
});

async function play(chapters: number) {
  const stack = await openStack();
  const pool = new pg.Pool({ connectionString: stack.databaseUrl, max: 1 });
  open = { stack, pool };
  const told: StoryLine[] = [];
  const story = new Story(stack, (line) => told.push(line));
  for (const chapter of BILLING_STORY.slice(0, chapters)) await chapter(story);
  return { stack, story, told, end: () => endOf(story, pool) };
}
const sumOf = (lines: readonly StoryLine[]): bigint =>
  lines
    .flatMap(({ charged }) => charged)
    .reduce((sum, { amount }) => sum + BigInt(amount.minor), 0n);

test("a story tells what was charged by then, and a refund that only Stripe knows of is told at its end", async () => {
  const { stack, told, end } = await play(1);
  expect(told.map(({ charged }) => charged.map(({ amount }) => amount.minor))).toEqual([
    [],
    ["500"],
  ]);
  const books = await end();
  expect(books).toMatchObject({ ledger: { sumsToZero: true }, provider: { differs: [] } });
  expect(books.ledger.accounts.map(({ account, amount }) => [account, amount.minor])).toEqual([
    ["customer_revenue", "-500"],
    ["stripe_balance", "500"],
  ]);

  const post = (path: string, body: object) =>
    fetch(`${stack.stripeUrl}/_local${path}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
  await post("/faults", { kind: "drop", count: 100 });
  const payment = stack.stripe.standIn.store.all("payment_intent")[0]?.id ?? "";
  const refund = await stack.deps.payments.refundPart({
    giveBackId: "story",
    invoiceId: "in_1",
    from: new Date(0),
    until: new Date(1),
    paymentId: payment,
    amount: { minor: 100n, currency: "usd" },
  });
  expect(refund.status).toBe("succeeded");
  expect((await end()).provider.differs).toEqual([
    "charged and not refunded is 500 here and 400 at Stripe",
  ]);
});

test.runIf(LONG)(
  "a customer's year ends with books that agree, and with nothing charged after the end",
  async () => {
    const { told, end } = await play(BILLING_STORY.length);
    const { ledger, invoices, provider } = await end();
    expect({ sumsToZero: ledger.sumsToZero, ...provider }).toEqual({
      sumsToZero: true,
      differs: [],
    });
    const revenue = ledger.accounts.find(({ account }) => account === "customer_revenue");
    expect(sumOf(told)).toBe(-BigInt(revenue?.amount.minor ?? 0));
    expect(invoices.every(({ status }) => status === "paid")).toBe(true);
    expect(told.at(-1)).toMatchObject({ words: "forty days later", charged: [] });
    const mailed = new Set(told.flatMap((line) => line.mailed));
    for (const kind of ["payment_overdue", "vm_stopped_for_debt", "vm_terminated"])
      expect(mailed).toContain(kind);
  },
);

import { randomUUID } from "node:crypto";
import pg from "pg";
import { z } from "zod";
import { atMost, noGoal, percentile, type BenchRow } from "./bench-row.ts";
import { EXAMPLE_SSH_KEY, payCheckout, StackClient, until } from "./client.ts";
import { PlainError } from "./main.ts";
import type { Stack } from "./stack.ts";

const A_SECOND = 20;
const SECONDS = 10;
const LIMIT_MS = 2000;
const PATIENCE_MS = 120_000;
/** Before the first renewal is charged: for the clock's last step to be settled. */
const LEAD_SECONDS = 8;

/**
 * Renewals that are paid at the stand-in, 20 in each second as Stripe's instants are whole ones: from a delivery's sending to the
 * commit that makes its lease longer. Beside it the bare insert of as many deliveries and an update of their services.
 */
export async function benchRenewals(stack: Stack, pool: pg.Pool): Promise<BenchRow[]> {
  await buyAll(stack, pool);
  const watch = new pg.Client({ connectionString: stack.ownerUrl });
  await watch.connect();
  try {
    await watch.query(TELL_OF_LEASES);
    await toJustBeforeTheyAreCharged(stack);
    // Agents run on hosts of their own where it matters: what they do takes no processor from whoever they pull from.
    await Promise.all(stack.agents.map((agent) => agent.stop()));
    const renewed = await renewalsOf(stack, watch);
    await watch.query("drop function bench_lease_grew() cascade");
    const floor = await bareRenewals(pool, watch);
    const each = (name: string, unit: string, ours: number, least: number | null = null) =>
      noGoal({ name, unit, floor: least, ours });
    return [
      atMost(LIMIT_MS, {
        name: `a paid renewal's delivery to its longer lease, ${A_SECOND}/s, p99`,
        unit: "ms",
        floor: percentile(floor, 0.99),
        ours: percentile(renewed.tookMs, 0.99),
      }),
      each("the same, p50", "ms", percentile(renewed.tookMs, 0.5), percentile(floor, 0.5)),
      each("statements of a renewal, transactions' own with them", "", renewed.statements, 2),
      each("CPU of a renewal, what stands for Stripe and SQS with it", "ms", renewed.cpuMs),
    ];
  } finally {
    await watch.end();
  }
}

/** As many VMs as there are to be renewals, paid at the rate at which these will come due. */
async function buyAll(stack: Stack, pool: pg.Pool): Promise<void> {
  const client = new StackClient(stack.apiUrl, stack.tokens.customer);
  const pages: string[] = [];
  for (let n = 0; n < A_SECOND * SECONDS; n++) {
    const { checkoutUrl } = await client.order({
      plan: "S",
      image: "Debian 13",
      hostname: `renewed-${n}`,
      key: randomUUID(),
      sshKeys: [EXAMPLE_SSH_KEY],
    });
    pages.push(checkoutUrl);
  }
  await atTheRate(pages, async (page) => {
    const status = await payCheckout(page, "4242424242424242");
    if (status !== 303) throw new PlainError(`a payment was answered with ${status}`);
  });
  await until("the orders' fulfilment", PATIENCE_MS, async () => {
    const { rows } = await pool.query<{ n: number }>(
      "select count(*)::int as n from services where subscription_id is not null",
    );
    return (rows[0]?.n ?? 0) >= pages.length ? true : undefined;
  });
}

/** So many in each second, at once, as instants of whole seconds come. */
async function atTheRate<T>(all: readonly T[], each: (one: T) => Promise<void>): Promise<void> {
  const began = performance.now();
  const under: Promise<void>[] = [];
  for (let n = 0; n < all.length; n += A_SECOND) {
    const wait = began + (n / A_SECOND) * 1000 - performance.now();
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
    under.push(...all.slice(n, n + A_SECOND).map(each));
  }
  await Promise.all(under);
}

/** The next periods have begun, and Stripe charges their drafts an hour later: the first of them in some seconds. */
async function toJustBeforeTheyAreCharged(stack: Stack): Promise<void> {
  await advance(stack, "P1M");
  const due = stack.stripe.standIn.nextDueAt();
  if (due === undefined) throw new Error("no renewal is to be charged");
  const seconds = due - Math.ceil(+stack.clock.now() / 1000) - LEAD_SECONDS;
  if (seconds > 0) await advance(stack, `PT${seconds}S`);
}

async function advance(stack: Stack, duration: string): Promise<void> {
  const client = new StackClient(stack.apiUrl, stack.tokens.staff);
  await client.ok(z.unknown(), "POST", "/_local/clock", { advance: duration });
}

const Paid = z.object({
  type: z.literal("invoice.paid"),
  data: z.object({
    object: z.object({
      parent: z.object({ subscription_details: z.object({ subscription: z.string() }) }),
    }),
  }),
});

/** Told at the commit that made the lease longer, and not before. */
const TELL_OF_LEASES = `
  create function bench_lease_grew() returns trigger language plpgsql as $$
    begin perform pg_notify('bench_leases', new.subscription_id); return null; end $$;
  create trigger bench_lease_grew after update of entitled_until on services for each row
    when (new.entitled_until > old.entitled_until) execute function bench_lease_grew();
  listen bench_leases`;

type Renewed = Readonly<{ tookMs: readonly number[]; statements: number; cpuMs: number }>;

async function renewalsOf(stack: Stack, watch: pg.Client): Promise<Renewed> {
  const { webhooks: deliveries, store } = stack.stripe.standIn;
  const sent = new Map<string, number>();
  const grew = new Map<string, number>();
  watch.on("notification", ({ payload = "" }) => void grew.set(payload, performance.now()));

  const deliver = deliveries.deliver.bind(deliveries);
  deliveries.deliver = (id) => {
    const event = deliveries.pending().find((one) => one.id === id)?.event ?? "";
    const paid = Paid.safeParse(store.get("event", event));
    if (paid.success) {
      const { subscription } = paid.data.data.object.parent.subscription_details;
      if (!sent.has(subscription)) sent.set(subscription, performance.now());
    }
    return deliver(id);
  };
  const counted = countStatements();
  const cpu = process.cpuUsage();
  try {
    await until("the leases to be longer", PATIENCE_MS, async () =>
      grew.size >= A_SECOND * SECONDS ? true : undefined,
    );
  } finally {
    counted.stop();
    Reflect.deleteProperty(deliveries, "deliver");
  }
  const { user, system } = process.cpuUsage(cpu);
  const tookMs = [...grew].map(([subscription, at]) => {
    const from = sent.get(subscription);
    // By a sweep, or by another's word: then this is not what is measured here.
    if (from === undefined || from > at)
      throw new Error(`the lease of ${subscription} grew before its payment was delivered`);
    return at - from;
  });
  const n = tookMs.length;
  return { tookMs, statements: counted.sum() / n, cpuMs: (user + system) / 1000 / n };
}

/** All that this process asks of Postgres. */
function countStatements(): { sum: () => number; stop: () => void } {
  const query: unknown = Reflect.get(pg.Client.prototype, "query");
  if (typeof query !== "function") throw new Error("the client of Postgres asks by another name");
  let asked = 0;
  const counting = function (this: pg.Client, ...args: unknown[]): unknown {
    asked += 1;
    return Reflect.apply(query, this, args);
  };
  Object.assign(pg.Client.prototype, { query: counting });
  return { sum: () => asked, stop: () => void Object.assign(pg.Client.prototype, { query }) };
}

/** What a renewal cannot do without: its delivery stored, and its service's row changed. */
async function bareRenewals(pool: pg.Pool, owner: pg.Client): Promise<readonly number[]> {
  const { rows } = await owner.query<{ vm_id: string; body: string }>(
    `select vm_id, (select max(body) from inbox where type = 'invoice.paid') as body
       from services where subscription_id is not null limit $1`,
    [A_SECOND * SECONDS],
  );
  const took: number[] = [];
  await atTheRate(rows, async ({ vm_id: vmId, body }) => {
    const began = performance.now();
    await pool.query(
      `insert into inbox (source, message_id, type, object_kind, object_id, body, received_at)
       values ('bench', $1, 'invoice.paid', 'invoice', $1, $2, now())`,
      [randomUUID(), body],
    );
    await pool.query(
      `update services set entitled_until = entitled_until + interval '1 second', updated_at = now() where vm_id = $1`,
      [vmId],
    );
    took.push(performance.now() - began);
  });
  return took;
}

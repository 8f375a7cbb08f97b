import { afterEach, beforeEach, expect, test } from "vitest";
import { recordReport } from "#commands/moves/record-report.ts";
import { createDesiredReader } from "#commands/vms/read-desired.ts";
import { createBillingEventsConsumer } from "#functions/consume-billing-events.ts";
import { anAgentReport } from "#test/builders.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { toSqsEvent } from "#test/harness/recorded-queues.ts";
import { aPlacedOrder, aWorld, GUEST, reportOf, valueOf } from "#test/harness/world.ts";

/* 4b C4: how often the database is asked on the way from a payment to a running VM. */

let cp: ControlPlane;
beforeEach(async () => {
  cp = await startControlPlane();
});
afterEach(() => cp.drop());

async function statementsOf(work: () => Promise<unknown>): Promise<number> {
  const before = cp.steps.statements;
  await work();
  return cp.steps.statements - before;
}

/** What names those that are stored, the session's first. */
async function deliveries() {
  const rows = await cp.rows(
    "select message_id from inbox order by object_kind <> 'checkout.session', message_id",
  );
  return rows.map((row) => ({ source: "stripe", messageId: String(row["message_id"]) }));
}

test("4b C4: an order that is paid, its host's document, and the report that it runs", async () => {
  const world = await aWorld(cp);
  const { vmId, checkoutUrl } = await aPlacedOrder(cp, world);
  await cp.stripe.pay(checkoutUrl);
  await cp.stripe.standIn.webhooks.deliverDue();
  const consume = createBillingEventsConsumer(cp.deps);
  const [paid] = await deliveries();
  // The delivery, its order, that it is looked at; begin, its claim, the order, invoice, ledger, its mail, place, plan (two), order, service,
  // VM, action, what changed, the host's generation, commit; what is unsent, where it goes, that it is sent.
  expect(await statementsOf(() => consume(toSqsEvent([paid])))).toBe(22);

  const read = createDesiredReader(cp.deps);
  const [host] = await cp.rows("select desired_generation from hosts where id = $1", world.hostId);
  const poll = {
    etag: undefined,
    atLeast: Number(host?.["desired_generation"]),
    announced: { protocol: 2, understands: [] } as const,
  };
  // Begin, the host, its VMs and what moves (in one go), their addresses and actions, that it is served, commit.
  expect(await statementsOf(() => read(world.hostId, poll))).toBe(8);

  const seen = await reportOf(cp, vmId, { observed: { guest: GUEST } });
  const report = anAgentReport({ vms: [seen] });
  // Begin, the VM, its host, its action, its password, its order (two), the action, what changed, the VM, the host (two), commit.
  expect(
    await statementsOf(async () => valueOf(await recordReport(cp.deps, world.hostId, report))),
  ).toBe(13);
});

test("4b C4: a delivery that tells nothing new is read, compared and marked, and nothing is relayed", async () => {
  const { checkoutUrl } = await aPlacedOrder(cp, await aWorld(cp));
  await cp.stripe.pay(checkoutUrl);
  await cp.stripe.standIn.webhooks.deliverDue();
  const consume = createBillingEventsConsumer(cp.deps);
  const [first, ...rest] = await deliveries();
  await consume(toSqsEvent([first]));
  expect(rest.length).toBeGreaterThan(0);
  for (const known of rest) expect(await statementsOf(() => consume(toSqsEvent([known])))).toBe(3);
  expect(await cp.rows("select count(*)::int as n from inbox where applied_at is null")).toEqual([
    { n: 0 },
  ]);
});

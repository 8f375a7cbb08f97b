import { v7 } from "uuid";
import { PurgeQueueCommand } from "@aws-sdk/client-sqs";
import pg from "pg";
import { afterEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { BILLING_QUEUES } from "#core/ports.ts";
import { EXAMPLE_SSH_KEY, payCheckout, until } from "#local/client.ts";
import { PATIENCE_MS } from "#test/harness/patience.ts";
import { openStack, type TestStack } from "#test/harness/stack.ts";

const Order = z.object({ state: z.string(), vmId: z.string().nullable() });
const Vm = z.object({
  id: z.string(),
  status: z.string(),
  lockedBy: z.string().nullable(),
  addresses: z.array(z.string()),
});
const Requested = z.object({ action: z.object({ id: z.string(), status: z.string() }) });
const Action = z.object({ status: z.string(), error: z.unknown() });

let open: TestStack | undefined;
afterEach(async () => {
  await open?.close();
  open = undefined;
});

const place = (stack: TestStack) =>
  stack.customer.order({
    plan: "S",
    image: "Debian 13",
    hostname: "web-1",
    key: v7(),
    sshKeys: [EXAMPLE_SSH_KEY],
  });
const orderOf = (stack: TestStack, id: string) =>
  stack.customer.ok(Order, "GET", `/v1/orders/${id}`);

const active = (stack: TestStack, orderId: string): Promise<string> =>
  until("the order's activation", PATIENCE_MS, async () => {
    const order = await orderOf(stack, orderId);
    return order.state === "active" && order.vmId !== null ? order.vmId : undefined;
  });

async function act(stack: TestStack, vmId: string, type: string): Promise<void> {
  const { action } = await stack.customer.ok(Requested, "POST", `/v1/vms/${vmId}/actions`, {
    type,
  });
  await until(`${type} to end`, PATIENCE_MS, async () => {
    const { status, error } = await stack.customer.ok(Action, "GET", `/v1/actions/${action.id}`);
    expect(error).toBeNull();
    return status === "success" ? true : undefined;
  });
}
const statusOf = async (stack: TestStack, vmId: string) =>
  (await stack.customer.ok(Vm, "GET", `/v1/vms/${vmId}`)).status;

describe("an order becomes a running VM, and back", () => {
  test("a declined card leaves it payable; then it is paid, runs, is rebooted, shut down, started and deleted", async () => {
    const stack = (open = await openStack());
    const { orderId, checkoutUrl } = await place(stack);
    expect(await payCheckout(checkoutUrl, "4000000000000002")).toBe(402);
    expect(await orderOf(stack, orderId)).toMatchObject({ state: "awaiting_payment", vmId: null });
    expect(await payCheckout(checkoutUrl, "4242424242424242")).toBe(303);
    const vmId = await active(stack, orderId);
    const vm = await stack.customer.ok(Vm, "GET", `/v1/vms/${vmId}`);
    expect(vm).toMatchObject({ status: "running", lockedBy: null });
    expect(vm.addresses).toHaveLength(1);

    await act(stack, vmId, "reboot");
    await act(stack, vmId, "shutdown");
    expect(await statusOf(stack, vmId)).toBe("off");
    await act(stack, vmId, "start");
    expect(await statusOf(stack, vmId)).toBe("running");

    await until("the first usage", PATIENCE_MS, async () => {
      const usage = await stack.customer.ok(
        z.object({ measuredUntil: z.string().nullable() }),
        "GET",
        `/v1/vms/${vmId}/usage`,
      );
      return usage.measuredUntil ?? undefined;
    });
    await stack.customer.ok(Requested, "DELETE", `/v1/vms/${vmId}`);
    await until("the VM to be gone", PATIENCE_MS, async () => {
      const { status } = await stack.customer.request("GET", `/v1/vms/${vmId}`);
      return status === 404 ? true : undefined;
    });
    expect(await orderOf(stack, orderId)).toMatchObject({ state: "completed" });
    const subscriptions = stack.stripe.standIn.store.all("subscription");
    await until("the subscription's end", PATIENCE_MS, async () =>
      subscriptions.length === 1 &&
      stack.stripe.standIn.store.all("subscription")[0]?.status === "canceled"
        ? true
        : undefined,
    );
    expect(stack.errors).toEqual([]);
  });

  test("with every doorbell lost, the VM still comes up by resync", async () => {
    const stack = (open = await openStack({ resyncSeconds: 1 }));
    const { ring } = stack.deps.queues;
    let lost = 0;
    stack.deps.queues.ring = async () => void lost++;
    try {
      const { orderId, checkoutUrl } = await place(stack);
      await payCheckout(checkoutUrl, "4242424242424242");
      await active(stack, orderId);
    } finally {
      stack.deps.queues.ring = ring;
    }
    expect(lost).toBeGreaterThan(0);
  });

  test("with the doorbell on purchases lost, the sweep finds the payment", async () => {
    const stack = (open = await openStack({ resyncSeconds: 1 }));
    const { send } = stack.deps.queues;
    stack.deps.queues.send = async () => undefined;
    const { orderId, checkoutUrl } = await place(stack);
    await payCheckout(checkoutUrl, "4242424242424242");
    await until("the delivery to be stored", PATIENCE_MS, async () =>
      stack.stripe.standIn.webhooks.pending().length === 0 ? true : undefined,
    );
    stack.deps.queues.send = send;
    for (const queue of BILLING_QUEUES)
      await stack.sqs.client.send(new PurgeQueueCommand({ QueueUrl: stack.sqs.urls[queue] }));
    expect(await orderOf(stack, orderId)).toMatchObject({ state: "awaiting_payment" });
    stack.clock.advance(120_000);
    await stack.sweep();
    await active(stack, orderId);
  });
});

describe("the clock is moved on", () => {
  /** What our own books say of an order: they hold what came by webhooks, not what the stand-in knows. */
  async function booksOf(stack: TestStack) {
    const client = new pg.Client({ connectionString: stack.databaseUrl });
    await client.connect();
    try {
      const invoices = await client.query<{ status: string }>("select status from invoices");
      const payments = await client.query(
        "select 1 from ledger_transactions where kind = 'payment'",
      );
      const entitled = await client.query<{ until: Date }>(
        "select entitled_until as until from services",
      );
      const inbox = await client.query("select 1 from inbox where applied_at is null");
      return {
        invoices: invoices.rows.map((row) => row.status),
        payments: payments.rowCount,
        entitled: entitled.rows[0]?.until,
        unapplied: inbox.rowCount,
      };
    } finally {
      await client.end();
    }
  }
  const Now = z.object({ now: z.coerce.date() });
  const advance = (stack: TestStack, by: string) =>
    stack.customer.ok(Now, "POST", "/_local/clock", { advance: by });

  test("by three months: when the call answers, every month's invoice is in our books, paid, and the entitlement goes on", async () => {
    const stack = (open = await openStack());
    const { orderId, checkoutUrl } = await place(stack);
    await payCheckout(checkoutUrl, "4242424242424242");
    const vmId = await active(stack, orderId);

    const before = stack.clock.now();
    const { now } = await advance(stack, "P3M");
    const months = stack.stripe.standIn.store.all("invoice").filter((i) => i.status === "paid");
    // The third renewal is due a little before the end of three months after the payment, or is not charged yet.
    expect(months.length).toBeGreaterThanOrEqual(3);
    const books = await booksOf(stack);
    expect(books.invoices).toEqual(months.map(() => "paid"));
    expect(books).toMatchObject({ payments: months.length, unapplied: 0 });
    expect(+(books.entitled ?? 0)).toBeGreaterThan(+now - 24 * 3_600_000);
    expect(+now - +before).toBeGreaterThan(88 * 24 * 3_600_000);
    // Moving the clock makes no answer late: the agents' network has real time.
    const late = stack.errors.filter(({ fields }) => String(fields["error"]).includes("in time"));
    expect(late).toEqual([]);

    // 4b A8: not "unknown", since its host has told of it by the time of now.
    expect(await statusOf(stack, vmId)).toBe("running");

    await advance(stack, "P2D");
    expect(await statusOf(stack, vmId)).toBe("running");
    const after = await booksOf(stack);
    expect(after).toMatchObject({ payments: 4, unapplied: 0 });
    expect(after.invoices).toEqual(["paid", "paid", "paid", "paid"]);
    expect(+(after.entitled ?? 0)).toBeGreaterThan(+now + 26 * 24 * 3_600_000);
    // Its host has not spoken since the jump until its next pass.
    await until("the VM to be seen running", PATIENCE_MS, async () =>
      (await statusOf(stack, vmId)) === "running" ? true : undefined,
    );
  });
});

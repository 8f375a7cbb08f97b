import { z } from "zod";
import { moneyText } from "#core/money-text.ts";
import { QuotedResize } from "#core/contracts/api/resizes.ts";
import { OrderView } from "#core/contracts/api/orders.ts";
import { RequestedAction, type VmView } from "#core/contracts/api/vms.ts";
import { EXAMPLE_SSH_KEY, payCheckout } from "./client.ts";
import type { Chapter, Story } from "./story.ts";

/* A customer's year. Each chapter goes on from where the one before left the VM, and is told by what the API answers. */

const CARD = "4242424242424242";
const day = (instant: string | Date | null): string =>
  instant === null ? "no day" : new Date(instant).toISOString().slice(0, 10);
const paidUntil = ({ entitledUntil }: VmView) => `paid until ${day(entitledUntil)}`;

const orders: Chapter = async (story) => {
  const { orderId, checkoutUrl } = await story.client.order({
    plan: "S",
    image: "Debian 13",
    hostname: "web-1.example.com",
    key: `story-${process.pid}`,
    sshKeys: [EXAMPLE_SSH_KEY],
  });
  const orderOf = () => story.client.ok(OrderView, "GET", `/v1/orders/${orderId}`);
  const { state, total } = await orderOf();
  await story.tell(
    `orders plan S for web-1.example.com, ${moneyText(total)} a month: order ${state}`,
  );
  const status = await payCheckout(checkoutUrl, CARD);
  if (status !== 303) throw new Error(`the page was answered with ${status}`);
  story.vmId = await story.minutesUntil("the order's activation", async () => {
    const order = await orderOf();
    return order.state === "active" && order.vmId !== null ? order.vmId : undefined;
  });
  const vm = await story.vm();
  await story.tell(`pays with 4242…: the VM is ${vm.status} at ${vm.addresses.join(", ")}`);
};

const renews =
  (times: number): Chapter =>
  async (story) => {
    for (let n = 0; n < times; n++) {
      await story.passRenewal();
      const vm = await story.vm();
      await story.tell(`the month is renewed: ${vm.status}, ${paidUntil(vm)}`);
    }
  };

const resizes: Chapter = async (story) => {
  await story.passDays(10);
  const { items } = await story.client.ok(
    z.object({ items: z.array(z.object({ id: z.string(), name: z.string() })) }),
    "GET",
    "/v1/plans",
  );
  const planId = items.find(({ name }) => name === "M")?.id;
  const path = `/v1/vms/${story.vmId}/resize-quotes`;
  const { quote, refusals } = await story.client.ok(QuotedResize, "POST", path, { planId });
  if (quote === null) throw new Error(`there is no quote: ${JSON.stringify(refusals)}`);
  const { dueNow, recurring, lines } = quote;
  const each = lines.map(({ kind, amount }) => `${kind} ${moneyText(amount)}`).join(", ");
  await story.tell(
    `asks what plan M would be: ${dueNow ? moneyText(dueNow) : "nothing"} now (${each}), ` +
      `then ${recurring.after ? moneyText(recurring.after.amount) : "nothing"} a month`,
  );
  const { action } = await story.client.ok(
    RequestedAction,
    "POST",
    `/v1/vms/${story.vmId}/actions`,
    { type: "resize", quoteId: quote.id },
  );
  await story.actionEnded(action.id);
  const { size, price } = await story.vm();
  await story.tell(
    `takes it: ${size.vcpus} vCPUs, ${size.memoryMib} MiB and ${size.diskGib} GiB are seen` +
      (price === null ? "" : `, for ${moneyText(price.amount)} a ${price.interval}`),
  );
};

/** Within the days that the dunning policy leaves: nothing stops. */
const isDeclinedAndPays: Chapter = async (story) => {
  await story.cardIsDeclined(2); // at the renewal, and when Stripe tries again a day after
  await story.passRenewal();
  const owed = await story.openInvoice();
  await story.tell(
    `the card is declined: ${moneyText(owed.total)} is owed, ${await standing(story)}`,
  );
  await story.passDays(1.5);
  await story.tell(`it is declined again: ${await standing(story)}`);
  await payOpen(story);
  await story.tell(`pays the invoice on its page: ${await standing(story)}`);
};

/** Past them: the VM is stopped, and starts again when it is paid for. */
const isSuspendedAndPays: Chapter = async (story) => {
  await story.cardIsDeclined(4);
  await story.passRenewal();
  const owed = await story.openInvoice();
  await story.tell(
    `the card is declined: ${moneyText(owed.total)} is owed, ${await standing(story)}`,
  );
  await story.passDays(5);
  await story.tell(`nobody has paid for five days: ${await standing(story)}`);
  await payOpen(story);
  await story.minutesUntil("the VM to run again", async () => {
    const { power, suspended } = await story.vm();
    return suspended.length === 0 && power.observed === "running" ? true : undefined;
  });
  await story.tell(`pays at last: ${await standing(story)}`);
};

async function payOpen(story: Story): Promise<void> {
  const { id, hostedUrl } = await story.openInvoice();
  if (hostedUrl === null) throw new Error("the invoice has no page");
  const status = await payCheckout(hostedUrl, CARD);
  if (status !== 303) throw new Error(`the invoice's page was answered with ${status}`);
  await story.minutesUntil("the payment to be booked", async () =>
    (await story.invoices()).find((i) => i.id === id)?.status === "paid" ? true : undefined,
  );
}

async function standing(story: Story): Promise<string> {
  const vm = await story.vm();
  const why = vm.suspended.length === 0 ? "" : ` (${vm.suspended.join(", ")})`;
  return `the VM is ${vm.status}${why}, ${paidUntil(vm)}`;
}

const changesTheEnd = async (story: Story, method: "POST" | "DELETE"): Promise<VmView> => {
  await story.client.ok(z.unknown(), method, `/v1/vms/${story.vmId}/cancel`);
  return story.minutesUntil("Stripe to know of the end", async () => {
    const vm = await story.vm();
    const isKnown = (vm.cancelAt !== null) === vm.cancelled;
    return isKnown && vm.cancelled === (method === "POST") ? vm : undefined;
  });
};

const cancelsAndTakesItBack: Chapter = async (story) => {
  await story.passDays(12);
  const { cancelAt } = await changesTheEnd(story, "POST");
  await story.tell(`cancels: it would end on ${day(cancelAt)}, with what is paid`);
  await story.passDays(3);
  const { cancelled } = await changesTheEnd(story, "DELETE");
  await story.tell(`thinks again: ${cancelled ? "it ends all the same" : "it goes on"}`);
};

const cancels: Chapter = async (story) => {
  await story.passDays(20);
  const { cancelAt } = await changesTheEnd(story, "POST");
  if (cancelAt === null) throw new Error("it does not end");
  await story.tell(`cancels: it ends on ${day(cancelAt)}, with what is paid`);
  await story.passUntil(new Date(+new Date(cancelAt) + 60 * 60_000));
  const { status } = await story.client.request("GET", `/v1/vms/${story.vmId}`);
  await story.tell(`the period is over: the API answers ${status} for the VM`);
  await story.passDays(40);
  await story.tell("forty days later");
};

/** A year, in order; another chapter stands where it happens. */
export const BILLING_STORY: readonly Chapter[] = [
  orders,
  renews(2),
  resizes,
  renews(2),
  isDeclinedAndPays,
  renews(1),
  isSuspendedAndPays,
  renews(1),
  cancelsAndTakesItBack,
  renews(2),
  cancels,
];

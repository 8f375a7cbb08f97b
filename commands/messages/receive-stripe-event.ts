import { ringingFor, type Ringing } from "#core/billing/rings.ts";
import { ok, type Refusal, type Result } from "#core/result.ts";
import { storeDeliveries, type Delivery } from "#db/messages/inbox.ts";
import { stamp, type Deps } from "#commands/deps.ts";
import { inGroups } from "#commands/in-groups.ts";

/** Deliveries that are stored, or rung for, at once. */
const MOST_AT_ONCE = 50;

type Received = Result<
  { messageId: string; seen: "first" | "repeat" },
  Refusal<"signature_invalid" | "event_malformed">
>;

/**
 * Stores signed deliveries as they came, and rings the worker. Answers fast: nothing is looked up here, and deliveries
 * that come while others are being stored are stored, and rung for, together (docs/adr/0018). A lost ring is caught by
 * `retry-inbox`; a repeat rings again, which is harmless.
 */
export function createStripeReceiver(
  deps: Pick<Deps, "db" | "clock" | "ids" | "payments" | "queues">,
): (input: { body: string; signature: string | undefined }) => Promise<Received> {
  const take = inGroups<Taking, "first" | "repeat">(MOST_AT_ONCE, async (group) => {
    // Those that ring later have been stored long before that: the ring need not wait for it. Should it come first all the
    // same, nobody finds what it names, and the sweep rings again.
    const [seen] = await Promise.all([
      storeDeliveries(deps.db, group),
      ring(
        deps,
        group.filter(({ ringing }) => ringing.delaySeconds > 0),
      ),
    ]);
    await ring(
      deps,
      group.filter(({ ringing }) => ringing.delaySeconds === 0),
    );
    return seen;
  });

  return async ({ body, signature }) => {
    const verified = await deps.payments.verifyWebhook(body, signature);
    if (!verified.ok) return verified;
    const event = verified.value;
    const ringing = ringingFor(event);
    const { queue } = ringing;
    const { now: receivedAt, newId } = stamp(deps);
    const seen = await take({ event, body, queue, ringing, receivedAt, mailId: newId() });
    return ok({ messageId: event.id, seen });
  };
}

type Taking = Delivery & Readonly<{ ringing: Ringing }>;

/** A call for each way to ring: they are few. */
async function ring(deps: Pick<Deps, "queues">, group: readonly Taking[]): Promise<void> {
  const ways = Map.groupBy(group, ({ ringing }) => `${ringing.queue} ${ringing.delaySeconds}`);
  await Promise.all(
    [...ways.values()].map(async (alike) => {
      const messages = alike.map(({ event }) => ({ source: "stripe", messageId: event.id }));
      const [first] = alike;
      if (first === undefined) return;
      const { queue, delaySeconds } = first.ringing;
      await deps.queues.send(queue, messages, { delaySeconds });
    }),
  );
}

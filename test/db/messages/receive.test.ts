import { v7 } from "uuid";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { fetchMissedEvents } from "#commands/messages/fetch-missed-events.ts";
import { createStripeReceiver } from "#commands/messages/receive-stripe-event.ts";
import type { ProviderEvent } from "#core/billing/payments.ts";
import type { Queues } from "#core/ports.ts";
import { ok, refuse } from "#core/result.ts";
import type { Deps } from "#commands/deps.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";

let cp: ControlPlane;
beforeEach(async () => {
  cp = await startControlPlane();
});
afterEach(() => cp.drop());

const anEvent = (kind: string, more: Partial<ProviderEvent> = {}): ProviderEvent => ({
  id: `evt_${v7()}`,
  type: `${kind}.changed`,
  object: { kind, id: `${kind}_1`, version: kind === "subscription" ? "active in_1" : null },
  awaited: false,
  ...more,
});

/** What is sent to the queue of billing, with how long it waits there. */
function sending() {
  const sent: Parameters<Queues["send"]>[] = [];
  const queues: Queues = {
    ...cp.queues,
    send: async (...all) => void sent.push(all),
  };
  return { sent, queues };
}

describe("a delivery that is signed", () => {
  const receive = (event: ProviderEvent, queues: Queues) => {
    const payments: Deps["payments"] = {
      ...cp.deps.payments,
      verifyWebhook: async () => ok(event),
    };
    return createStripeReceiver({ ...cp.deps, payments, queues })({ body: "{}", signature: "s" });
  };

  // 4b C1: what a buyer waits for has a queue of its own, and what is told of in parts is rung for together.
  test.each([
    ["checkout.session", "changed", true, "purchases", 0],
    ["invoice", "changed", true, "purchases", 1],
    ["invoice", "paid", true, "purchases", 1],
    ["invoice", "changed", false, "billing-events", 1],
    ["invoice", "paid", false, "billing-events", 0],
    ["subscription", "changed", false, "billing-events", 1],
    ["refund", "changed", false, "billing-events", 0],
  ] as const)(
    "about a %s that has %s (awaited: %s) is stored, and rings %s after %i s",
    async (...row) => {
      const [kind, what, awaited, queue, delaySeconds] = row;
      const { sent, queues } = sending();
      const event = anEvent(kind, { awaited, type: `${kind}.${what}` });
      const answer = { messageId: event.id, seen: "first" };
      expect(await receive(event, queues)).toEqual({ ok: true, value: answer });
      const ring = [queue, [{ source: "stripe", messageId: event.id }], { delaySeconds }];
      expect(sent).toEqual([ring]);
      expect(
        await cp.rows(
          "select source, type, object_kind, object_id, object_version, queue from inbox",
        ),
      ).toEqual([
        {
          source: "stripe",
          type: event.type,
          object_kind: kind,
          object_id: `${kind}_1`,
          object_version: event.object.version,
          queue,
        },
      ]);
      // A repeat rings again: its first ring may have been lost.
      expect(await receive(event, queues)).toEqual({
        ok: true,
        value: { ...answer, seen: "repeat" },
      });
      expect(sent).toEqual([ring, ring]);
    },
  );

  test("is stored, and rung for, together with those that come meanwhile, and each has its own answer", async () => {
    const { sent, queues } = sending();
    const [one, two, three] = [anEvent("refund"), anEvent("subscription"), anEvent("refund")];
    const events = [one, two, three, two, one];
    const payments: Deps["payments"] = {
      ...cp.deps.payments,
      verifyWebhook: async (body) => ok(events[Number(body)] ?? one),
    };
    const receive = createStripeReceiver({ ...cp.deps, payments, queues });
    const before = cp.steps.statements;
    const answers = await Promise.all(
      events.map((_, n) => receive({ body: String(n), signature: "s" })),
    );
    expect(
      answers.map((answer) => answer.ok && [answer.value.messageId, answer.value.seen]),
    ).toEqual([
      [one.id, "first"],
      [two.id, "first"],
      [three.id, "first"],
      [two.id, "repeat"],
      [one.id, "repeat"],
    ]);
    // The first came alone, and the others while it was being stored; of these, two ring later than the others.
    expect(cp.steps.statements - before).toBe(2);
    const rung = sent.flatMap(([, messages]) => messages);
    expect(rung).toHaveLength(5);
    expect(sent).toHaveLength(3);
  });

  test("and one that is not, is not stored and rings for nobody", async () => {
    const { sent, queues } = sending();
    const refusal = refuse("signature_invalid" as const, "no");
    const payments = { ...cp.deps.payments, verifyWebhook: async () => refusal };
    const input = { body: "{}", signature: undefined };
    expect(await createStripeReceiver({ ...cp.deps, payments, queues })(input)).toEqual(refusal);
    expect(sent).toEqual([]);
    expect(await cp.rows("select 1 from inbox")).toEqual([]);
  });
});

describe("a look at what Stripe could not deliver", () => {
  const MINUTE_MS = 60_000;
  const DAYS_30_MS = 30 * 24 * 60 * MINUTE_MS;

  /** Stripe's pages, newest first; asked for by where they begin. */
  function pagesOf(pages: readonly (readonly ProviderEvent[])[]) {
    const asked: { from: Date; before: Date; after: string | null }[] = [];
    const payments: Deps["payments"] = {
      ...cp.deps.payments,
      undeliveredEvents: async (span) => {
        asked.push(span);
        const n = Number(span.after ?? 0);
        return {
          events: (pages[n] ?? []).map((event) => ({ event, body: "{}" })),
          next: n + 1 < pages.length ? String(n + 1) : null,
        };
      },
    };
    return { asked, look: () => fetchMissedEvents({ ...cp.deps, payments }) };
  }

  test("takes the newest until it meets a page that it knows, and a part of the month to its end", async () => {
    const [one, two, three] = [anEvent("invoice"), anEvent("invoice"), anEvent("refund")];
    const first = pagesOf([[one], [two]]);
    expect(await first.look()).toEqual({ found: 2 });
    expect(first.asked.map(({ after }) => after)).toEqual([null, "1", null, "1"]);
    // Of three pages the first two are known: the newest are left there, the part is read on.
    const again = pagesOf([[one], [two], [three]]);
    expect(await again.look()).toEqual({ found: 1 });
    expect(again.asked.map(({ after }) => after)).toEqual([null, null, "1", "2"]);
    expect(await again.look()).toEqual({ found: 0 });
  });

  test("asks for all that Stripe keeps but the last five minutes, and for each part in its minute", async () => {
    const { asked, look } = pagesOf([[]]);
    const now = +cp.clock.now();
    for (let minute = 0; minute < 180; minute++) {
      await look();
      cp.clock.advanceMinutes(1);
    }
    const [newest] = asked;
    expect(newest).toMatchObject({
      from: new Date(now - DAYS_30_MS),
      before: new Date(now - 5 * MINUTE_MS),
    });
    const parts = asked
      .filter((_, n) => n % 2 === 1)
      .map(({ from, before }, minute) => {
        const end = now + minute * MINUTE_MS - 5 * MINUTE_MS;
        expect(+before - +from).toBe(DAYS_30_MS / 180);
        return (end - +before) / (DAYS_30_MS / 180);
      });
    expect(parts.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 180 }, (_, n) => n));
  });
});

test("11 C: a delivery is taken up to a mebibyte, and one that says that it is larger is not read", async () => {
  const send = async (bytes: number, headers: Record<string, string>) => {
    const body = "x".repeat(bytes);
    const request = new Request("http://berth.test/webhooks/stripe", {
      method: "POST",
      headers,
      body,
    });
    const answer = await cp.webhook(request);
    const { code } = z.object({ code: z.string() }).parse(await answer.json());
    return { code, read: request.bodyUsed };
  };
  const most = 1024 * 1024;
  const told = (bytes: number) => ({ "content-length": String(bytes) });
  expect(await send(most, told(most))).toEqual({ code: "signature_invalid", read: true });
  expect(await send(most + 1, told(most + 1))).toEqual({ code: "body_too_large", read: false });
  // By who tells no length, or tells one beside a body in pieces, it is counted.
  expect(await send(most, {})).toMatchObject({ code: "signature_invalid" });
  expect(await send(most + 1, {})).toMatchObject({ code: "body_too_large" });
  const both = { ...told(1), "transfer-encoding": "chunked" };
  expect(await send(most + 1, both)).toMatchObject({ code: "body_too_large" });
});

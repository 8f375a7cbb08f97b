import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { dun } from "#commands/billing/dun.ts";
import { FILLERS } from "#commands/fill-mail.ts";
import { fetchMissedEvents } from "#commands/messages/fetch-missed-events.ts";
import { retryInbox } from "#commands/messages/retry-inbox.ts";
import { sendDueMails } from "#commands/messages/send-mail.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import {
  aNewVersion,
  aProvisionedVm,
  aWorld,
  valueOf,
  sendOrder,
  type World,
} from "#test/harness/world.ts";

/* Issue 15: days that are in no month, a day without Stripe, and what somebody deletes there. Each in seconds. */

let cp: ControlPlane;
const startAt = async (start: string): Promise<World> => {
  cp = await startControlPlane({ start });
  return aWorld(cp);
};
afterEach(() => cp.drop());

const until = async (vmId: string) => {
  const [row] = await cp.rows(
    "select entitled_until as until from services where vm_id = $1",
    vmId,
  );
  return row?.["until"] instanceof Date ? row["until"].toISOString().slice(0, 10) : "never";
};
const payments = async () =>
  (await cp.rows("select 1 from ledger_transactions where kind = 'payment'")).length;
/** To just after the renewal that is due then is charged. */
async function past(instant: string): Promise<void> {
  cp.clock.advance(Date.parse(`${instant}T12:05:00Z`) - +cp.clock.now());
  cp.stripe.standIn.runDue();
  await cp.pump();
  cp.clock.advanceMinutes(61);
  cp.stripe.standIn.runDue();
  await cp.pump();
}

describe("a period ends", () => {
  test("on the last day of a month that has no 31st, and on the 31st again after it", async () => {
    const world = await startAt("2027-01-31T12:00:00.000Z");
    const { vmId } = await aProvisionedVm(cp, world);
    expect(await until(vmId)).toBe("2027-02-28");
    const ends = ["2027-02-28", "2027-03-31", "2027-04-30", "2027-05-31"];
    for (const [n, end] of ends.slice(0, -1).entries()) {
      await past(end);
      expect(await until(vmId)).toBe(ends[n + 1]);
    }
    expect(await payments()).toBe(ends.length);
  });

  test("on the 28th of a February that has no 29th, and on the 29th when there is one again", async () => {
    const world = await startAt("2028-02-29T12:00:00.000Z");
    const yearly = { interval: "year", amountMinor: "5000", currency: "usd" } as const;
    await aNewVersion(cp, world.planId, { prices: [yearly] });
    const placed = valueOf(await sendOrder(cp, world, { request: { billingInterval: "year" } }));
    cp.clock.advance(17_000);
    expect(await cp.stripe.pay(placed.checkoutUrl ?? "")).toBe(303);
    await cp.pump();
    const [row] = await cp.rows("select vm_id as id from services");
    const vmId = String(row?.["id"]);
    expect(await until(vmId)).toBe("2029-02-28");
    for (const [end, next] of [
      ["2029-02-28", "2030-02-28"],
      ["2030-02-28", "2031-02-28"],
      ["2031-02-28", "2032-02-29"],
    ] as const) {
      await past(end);
      expect(await until(vmId)).toBe(next);
    }
  });
});

describe("Stripe is away for a day over a renewal", () => {
  beforeEach(async () => {
    await startAt("2026-03-01T12:00:00.000Z");
  });

  test("and it extends what it pays for once, is booked once, and nobody is dunned", async () => {
    const { vmId } = await aProvisionedVm(cp, await aWorld(cp));
    expect(await until(vmId)).toBe("2026-04-01");
    // It charges by itself; what it tells gets through, and nothing that we ask.
    cp.stripe.trouble.outage = true;
    cp.clock.advance(Date.parse("2026-04-01T13:10:00Z") - +cp.clock.now());
    cp.stripe.standIn.runDue();
    for (let hour = 0; hour < 24; hour++) {
      await cp.stripe.standIn.webhooks.deliverDue();
      await retryInbox(cp.deps);
      await cp.pump().catch(() => undefined);
      await dun(cp.deps);
      cp.clock.advanceMinutes(60);
      cp.stripe.standIn.runDue();
    }
    expect(await until(vmId)).toBe("2026-04-01");
    expect(await cp.rows("select 1 from dunnings")).toEqual([]);
    cp.stripe.trouble.outage = false;
    cp.clock.advanceMinutes(30);
    await retryInbox(cp.deps);
    await fetchMissedEvents(cp.deps);
    await cp.pump();
    expect(await until(vmId)).toBe("2026-05-01");
    expect(await payments()).toBe(2);
    expect(await cp.rows("select 1 from inbox where applied_at is null")).toEqual([]);
  });
});

describe("a customer is deleted in Stripe's dashboard", () => {
  test("and what they have is kept a month, they are told, and order again as somebody new there", async () => {
    const world = await startAt("2026-03-01T12:00:00.000Z");
    const { vmId } = await aProvisionedVm(cp, world);
    const [customer] = cp.stripe.standIn.store.all("customer");
    await cp.stripe.dashboard.customers.del(customer?.id ?? "");
    await cp.pump();
    await dun(cp.deps);
    await sendDueMails(cp.deps, FILLERS);
    expect(await cp.rows("select vm_id, state from dunnings")).toEqual([
      { vm_id: vmId, state: "terminated" },
    ]);
    expect(cp.mails.map(({ subject }) => subject)).toContainEqual(
      expect.stringContaining("has ended"),
    );
    const [row] = await cp.rows("select presence from vms where id = $1", vmId);
    expect(row).toEqual({ presence: "present" });
    const again = valueOf(await sendOrder(cp, world));
    expect(await cp.stripe.pay(again.checkoutUrl ?? "")).toBe(303);
    await cp.pump();
    expect(cp.stripe.standIn.store.all("customer")).toHaveLength(1);
    expect(await cp.rows("select 1 from vms where presence = 'present'")).toHaveLength(2);
  });
});

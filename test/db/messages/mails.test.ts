import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { v7 } from "uuid";
import { FILLERS } from "#commands/fill-mail.ts";
import { sendDueMails } from "#commands/messages/send-mail.ts";
import { rememberNetwork } from "#commands/accounts/slow-down.ts";
import { resendMail } from "#commands/messages/resend-mail.ts";
import { showMail } from "#commands/messages/show-mails.ts";
import { suspendVm, unsuspendVm } from "#commands/billing/suspend-vm.ts";
import { recordChange } from "#db/record-change.ts";
import { inTransaction } from "#db/transaction.ts";
import { aPrincipal } from "#test/builders.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { CARD } from "#test/harness/stripe-in-process.ts";
import {
  anActiveVm,
  aPlacedOrder,
  aProvisionedVm,
  aWorld,
  valueOf,
  type World,
} from "#test/harness/world.ts";

/* Issue 15 item 9: each mail once for each event, whatever fails, and never what is not so any more. */

let cp: ControlPlane;
beforeEach(async () => {
  cp = await startControlPlane();
});
afterEach(() => cp.drop());

const send = () => sendDueMails(cp.deps, FILLERS);
const subjects = () => cp.mails.map(({ subject }) => subject.replace("Berth: ", ""));
const rowsOf = (kind: string) =>
  cp.rows("select * from mails where kind::text = $1 order by id", kind);
const withMail = (mail: () => Promise<void>) => ({ ...cp.deps, mail: { send: mail } });
const AWAY = () => Promise.reject(new Error("nobody listens"));

describe("an order", () => {
  test("is told of when it was placed, paid and delivered, each once", async () => {
    const world = await aWorld(cp);
    await anActiveVm(cp, world);
    expect(await send()).toEqual({ sent: 3, dropped: 0, put_off: 0, given_up: 0 });
    expect(await send()).toEqual({ sent: 0, dropped: 0, put_off: 0, given_up: 0 });
    // Two are sent at once: which of them comes first is nobody's promise.
    expect(subjects().toSorted()).toEqual([
      expect.stringMatching(/^Invoice .* is paid$/),
      "Your order of web-1.example.com",
      "web-1.example.com is ready",
    ]);
    expect(new Set(cp.mails.map(({ to }) => to))).toEqual(new Set([world.buyer.email]));
    const ready = cp.mails.find(({ subject }) => subject.endsWith("is ready"));
    expect(ready?.text).toMatch(/\n {4}ssh root@\d+\.\d+\.\d+\.\d+\n$/);
    expect(ready?.html).toContain("<pre");
    expect(await rowsOf("vm_ready")).toMatchObject([
      { state: "sent", account_id: world.buyer.accountId, to_address: world.buyer.email, tries: 1 },
    ]);
  });

  test("that is not paid says where it can be, and one that has run out says nothing", async () => {
    const { checkoutUrl } = await aPlacedOrder(cp, await aWorld(cp));
    await send();
    expect(cp.mails).toMatchObject([{ text: expect.stringContaining(`\n${checkoutUrl}\n`) }]);
    const { orderId } = await aPlacedOrder(cp, await aWorld(cp));
    await cp.rows("update orders set state = 'expired' where id = $1", orderId);
    expect(await send()).toMatchObject({ sent: 0, dropped: 1 });
    const [, dropped] = await rowsOf("order_received");
    expect(dropped).toMatchObject({ state: "dropped", last_error: "order_is_over" });
  });

  test("of a closed account, and a VM of a billing system's, are mailed to nobody", async () => {
    const world = await aWorld(cp);
    await aPlacedOrder(cp, world);
    await cp.rows("update accounts set banned_at = now() where id = $1", world.buyer.accountId);
    const other = await aWorld(cp);
    await aPlacedOrder(cp, other);
    await cp.rows("update accounts set role = 'integration' where id = $1", other.buyer.accountId);
    expect(await send()).toMatchObject({ sent: 0, dropped: 2 });
  });

  test("is written of in the language of its account", async () => {
    const world = await aWorld(cp);
    await cp.rows("update accounts set locale = 'ru' where id = $1", world.buyer.accountId);
    await aPlacedOrder(cp, world);
    await send();
    expect(subjects()).toEqual(["Ваш заказ web-1.example.com"]);
  });
});

describe("a mail that is not taken", () => {
  test("is tried again later and later, by the words of its last failure, and sent once", async () => {
    await aPlacedOrder(cp, await aWorld(cp));
    const deps = withMail(AWAY);
    expect(await sendDueMails(deps, FILLERS)).toMatchObject({ put_off: 1 });
    expect(await sendDueMails(deps, FILLERS)).toMatchObject({ put_off: 0 });
    expect(await rowsOf("order_received")).toMatchObject([
      { state: "waiting", tries: 1, last_error: "nobody listens" },
    ]);
    cp.clock.advanceMinutes(1);
    expect(await sendDueMails(deps, FILLERS)).toMatchObject({ put_off: 1 });
    cp.clock.advanceMinutes(1);
    expect(await send()).toMatchObject({ sent: 0 });
    cp.clock.advanceMinutes(1);
    expect(await send()).toMatchObject({ sent: 1 });
    expect(await rowsOf("order_received")).toMatchObject([
      { state: "sent", tries: 3, last_error: null },
    ]);
    expect(cp.mails).toHaveLength(1);
  });

  test("is given up after three days, and the sweep fails for that, so that staff hear of it", async () => {
    const world = await aWorld(cp);
    await anActiveVm(cp, world);
    await cp.rows(
      "update mails set state = 'dropped', next_try_at = null, ended_at = now() where kind <> 'vm_ready'",
    );
    const deps = withMail(AWAY);
    await sendDueMails(deps, FILLERS);
    cp.clock.advanceDays(3);
    await cp.rows("update mails set tries = 14 where kind = 'vm_ready'");
    await expect(sendDueMails(deps, FILLERS)).rejects.toThrow("1 mails were given up");
    expect(await rowsOf("vm_ready")).toMatchObject([
      { state: "given_up", tries: 15, last_error: "nobody listens" },
    ]);
    expect(await send()).toMatchObject({ sent: 0 });
  });

  test("holds up no others for longer than a few tries", async () => {
    const world = await aWorld(cp, { places: 12, addresses: 12 });
    for (let n = 0; n < 12; n++) await aPlacedOrder(cp, world);
    let tries = 0;
    await sendDueMails(
      withMail(() => {
        tries++;
        return AWAY();
      }),
      FILLERS,
    );
    expect(tries).toBe(6);
  });
});

describe("a worker", () => {
  test("that dies with a mail in its hands leaves it to another, which sends it under the same id", async () => {
    const world = await aWorld(cp);
    await aPlacedOrder(cp, world);
    // It was handed over, and the worker did not live to write that down.
    const ids: string[] = [];
    const dying = {
      ...cp.deps,
      mail: {
        send: async ({ id }: { id: string }) => {
          ids.push(id);
        },
      },
    };
    await cp.steps.watch(() => sendDueMails(dying, FILLERS), /update "mails" set "state"/);
    expect(ids).toHaveLength(1);
    expect(await send()).toMatchObject({ sent: 0 });
    cp.clock.advanceMinutes(3);
    expect(await send()).toMatchObject({ sent: 1 });
    expect(cp.mails.map(({ id }) => id)).toEqual(ids);
  });

  test("beside others sends each mail once between them", async () => {
    const worlds: World[] = [];
    for (let n = 0; n < 6; n++) {
      const world = await aWorld(cp);
      worlds.push(world);
      await aPlacedOrder(cp, world);
    }
    await Promise.all([send(), send(), send()]);
    expect(cp.mails.map(({ to }) => to).sort()).toEqual(
      worlds.map(({ buyer }) => buyer.email).sort(),
    );
  });
});

describe("a renewal", () => {
  const aMonthLater = async () => {
    cp.clock.advanceDays(31);
    cp.stripe.standIn.runDue();
    await cp.pump();
    cp.clock.advance(3600_000);
    cp.stripe.standIn.runDue();
    await cp.pump();
  };

  test("that is paid is told of, once for each invoice", async () => {
    await aProvisionedVm(cp, await aWorld(cp));
    await aMonthLater();
    await send();
    expect(subjects().filter((subject) => /^Invoice .* is paid$/.test(subject))).toHaveLength(2);
  });

  test("that fails says when its VM stops, and where it can be paid", async () => {
    await aProvisionedVm(cp, await aWorld(cp), CARD.failsAtRenewal);
    await send();
    await aMonthLater();
    await send();
    const failed = cp.mails.at(-1);
    expect(failed?.subject).toBe("Berth: A payment for web-1.example.com failed");
    expect(failed?.text).toContain(
      "If it is not paid by 4 April 2026 at 12:00 UTC, your server is stopped then",
    );
    expect(failed?.text).toMatch(/\nhttps?:\/\/\S+\/i\/in_\S+\n$/);
  });

  test("that fails waits with its mail until the delivery was looked at, and then for no longer", async () => {
    await aProvisionedVm(cp, await aWorld(cp), CARD.failsAtRenewal);
    await aMonthLater();
    await cp.rows("update inbox set applied_at = null where type = 'invoice.payment_failed'");
    await send();
    expect(subjects()).not.toContain("A payment for web-1.example.com failed");
    expect(await rowsOf("payment_failed")).toMatchObject([
      { state: "waiting", last_error: "its delivery is not applied yet" },
    ]);
    await cp.rows("update inbox set applied_at = now() where type = 'invoice.payment_failed'");
    cp.clock.advanceMinutes(2);
    await send();
    expect(subjects()).toContain("A payment for web-1.example.com failed");
  });

  test("that was paid after all by then says nothing of its failure", async () => {
    await aProvisionedVm(cp, await aWorld(cp), CARD.failsAtRenewal);
    await aMonthLater();
    await cp.rows("update invoices set status = 'paid' where status = 'open'");
    await send();
    expect(await rowsOf("payment_failed")).toMatchObject([
      { state: "dropped", last_error: "not_open_any_more" },
    ]);
  });

  test("that the bank wants confirmed says so, and not also that it failed", async () => {
    await aProvisionedVm(cp, await aWorld(cp), CARD.failsAtRenewal);
    await send();
    const { dashboard } = cp.stripe;
    const [subscription] = (await dashboard.subscriptions.list({ status: "all" })).data;
    if (subscription === undefined) throw new Error("there is no subscription");
    const { id, customer } = subscription;
    const { id: card } = await dashboard.paymentMethods.attach("pm_card_authenticationRequired", {
      customer: typeof customer === "string" ? customer : customer.id,
    });
    await dashboard.subscriptions.update(id, { default_payment_method: card });
    await aMonthLater();
    const before = cp.mails.length;
    await send();
    expect(subjects().slice(before)).toEqual(["Please confirm a payment for web-1.example.com"]);
    expect(await rowsOf("payment_failed")).toMatchObject([
      { state: "dropped", last_error: "confirmation_asked_for" },
    ]);
  });
});

describe("a VM", () => {
  test("that is suspended by staff says why, and one that was not any more by then says nothing", async () => {
    const { vmId } = await anActiveVm(cp, await aWorld(cp));
    await send();
    const ask = {
      who: aPrincipal({ role: "staff" }),
      vmId,
      reason: "abuse",
      note: "told",
    } as const;
    const by = async (act: typeof suspendVm) => {
      const { hash } = valueOf(await act(cp.deps, { ...ask, dryRun: true }));
      valueOf(await act(cp.deps, { ...ask, dryRun: false, hash }));
    };
    await by(suspendVm);
    await send();
    expect(cp.mails.at(-1)?.text).toContain("reported for abuse");
    await by(unsuspendVm);
    await by(suspendVm);
    await by(unsuspendVm);
    expect(await send()).toMatchObject({ sent: 0, dropped: 1 });
  });

  test("that is gone says so, unless it never ran", async () => {
    const { vmId } = await anActiveVm(cp, await aWorld(cp));
    const { vmId: unmade } = await aProvisionedVm(cp, await aWorld(cp));
    await send();
    for (const id of [vmId, unmade])
      await cp.rows(
        "update vms set presence = 'absent', deleted_at = '2026-03-02T00:00:00Z' where id = $1",
        id,
      );
    const at = { now: cp.clock.now(), newId: () => v7() };
    for (const id of [vmId, unmade])
      await inTransaction(cp.deps.db, (tx) =>
        recordChange(
          tx,
          {
            actor: { kind: "system", id: "a test" },
            action: "vm.delete",
            subject: { kind: "vm", id },
            events: [{ name: "vm.deleted.v1", data: { vmId: id } }],
          },
          at,
        ),
      );
    expect(await send()).toMatchObject({ sent: 1, dropped: 1 });
    expect(cp.mails.at(-1)?.text).toContain("was deleted on 2 March 2026 at 00:00 UTC");
  });
});

describe("staff", () => {
  const staff = aPrincipal({ role: "staff" });
  const aSentMail = async () => {
    const world = await aWorld(cp);
    await aPlacedOrder(cp, world);
    await send();
    const [mail] = await rowsOf("order_received");
    return { world, id: String(mail?.["id"]) };
  };

  test("read what a customer was told, and have it sent again as it was, to where his mail goes now", async () => {
    const { world, id } = await aSentMail();
    const { text, resendable } = valueOf(await showMail(cp.deps, id));
    expect(text).toBe(cp.mails[0]?.text);
    expect(resendable).toBe(true);
    await cp.rows(
      "update accounts set email = 'new@example.com' where id = $1",
      world.buyer.accountId,
    );
    // What it told of is not so any more: it is sent as it was.
    await cp.rows("update orders set state = 'expired'");
    const again = valueOf(await resendMail(cp.deps, staff, id));
    expect(await send()).toMatchObject({ sent: 1 });
    expect(cp.mails[1]).toMatchObject({ id: again.id, to: "new@example.com", text });
    expect(
      await cp.rows(
        "select action, actor_id, detail from audit_log where subject_id = $1",
        again.id,
      ),
    ).toEqual([
      {
        action: "mail.resend",
        actor_id: staff.accountId,
        detail: { resent_from: id, kind: "order_received" },
      },
    ]);
  });

  test("send nothing again that waits, was never written, or holds a link", async () => {
    const { world } = await aSentMail();
    await aPlacedOrder(cp, world);
    const [, waiting] = await rowsOf("order_received");
    const [link, dropped] = [v7(), v7()];
    await cp.rows(
      `insert into mails (id, kind, cause, about, state, account_id, to_address, locale, values, subject, created_at, ended_at)
       values ($1, 'reset_password', 'l', 'l', 'sent', $3, 'a@example.com', 'en', '{}', 's', now(), now()),
         ($2, 'vm_ready', 'v', 'v', 'dropped', $3, null, null, null, null, now(), now())`,
      link,
      dropped,
      world.buyer.accountId,
    );
    for (const id of [String(waiting?.["id"]), link, dropped])
      expect(await resendMail(cp.deps, staff, id)).toMatchObject({
        error: { code: "mail_not_resendable" },
      });
    const { text } = valueOf(await showMail(cp.deps, link));
    expect(text).toContain("••••••••");
    expect(valueOf(await showMail(cp.deps, dropped)).text).toBeNull();
  });
});

describe("a log-in", () => {
  const from = (callerAddress: string, agent = "Firefox") => ({ callerAddress, agent });

  test("from where the account was not logged in before is told of once, and the first of all is not", async () => {
    const { buyer } = await aWorld(cp);
    const logIn = (address: string) => rememberNetwork(cp.deps, buyer.email, from(address));
    await logIn("192.0.2.1");
    await logIn("192.0.2.1");
    expect(await send()).toMatchObject({ sent: 0 });
    await logIn("198.51.100.7");
    await logIn("198.51.100.7");
    expect(await send()).toMatchObject({ sent: 1 });
    expect(cp.mails[0]).toMatchObject({
      to: buyer.email,
      text: expect.stringMatching(/address: 198\.51\.100\.7\n {2}with: Firefox\n/),
    });
  });

  test("to an address that nobody has is told to nobody", async () => {
    await rememberNetwork(cp.deps, "nobody@example.com", from("192.0.2.1"));
    await rememberNetwork(cp.deps, "nobody@example.com", from("198.51.100.7"));
    expect(await send()).toMatchObject({ sent: 0, dropped: 0 });
  });
});

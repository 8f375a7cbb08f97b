import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { v7 } from "uuid";
import { askForLink } from "#commands/accounts/ask-for-link.ts";
import { askForNewAddress } from "#commands/accounts/ask-for-new-address.ts";
import { changeAddress } from "#commands/accounts/change-address.ts";
import { proveEmail } from "#commands/accounts/use-link.ts";
import { FILLERS } from "#commands/fill-mail.ts";
import { clearMailAddress } from "#commands/messages/clear-mail-address.ts";
import { resendMail } from "#commands/messages/resend-mail.ts";
import { sendDueMails } from "#commands/messages/send-mail.ts";
import { showMail } from "#commands/messages/show-mails.ts";
import type { AccountPrincipal } from "#core/accounts/accounts.ts";
import { recordChange } from "#db/record-change.ts";
import { inTransaction } from "#db/transaction.ts";
import { createMailEventsConsumer } from "#functions/consume-mail-events.ts";
import { aPrincipal } from "#test/builders.ts";
import { toSqsEvent } from "#test/harness/recorded-queues.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { aBounce, aComplaint, aDelivery } from "#test/harness/ses-events.ts";
import { anActiveVm, aWorld, valueOf } from "#test/harness/world.ts";

/* Issue 15 item 9: what SES tells of mails that were sent. */

let cp: ControlPlane;
beforeAll(async () => {
  cp = await startControlPlane();
});
afterAll(() => cp.drop());

const send = () => sendDueMails(cp.deps, FILLERS);
/** What became of each message of a batch that the queue gave: true where it is to come again. */
const told = async (...events: unknown[]) => {
  const batch = toSqsEvent(events);
  const { batchItemFailures } = await createMailEventsConsumer(cp.deps)(batch);
  return batch.Records.map(({ messageId }) =>
    batchItemFailures.some(({ itemIdentifier }) => itemIdentifier === messageId),
  );
};
const DONE = [false];
const mailsOf = (accountId: string) =>
  cp.rows("select * from mails where account_id = $1 order by id", accountId);
const marked = (address: string) =>
  cp.rows("select kind, reason, mail_id from refusing_addresses where address = $1", address);
const sentTo = (address: string) => cp.mails.filter(({ to }) => to === address).length;

/** A customer who was sent mail, with the first of these. */
async function aReader(): Promise<{ buyer: AccountPrincipal; vmId: string; mailId: string }> {
  const world = await aWorld(cp);
  const { vmId } = await anActiveVm(cp, world);
  await send();
  const [mail] = await mailsOf(world.buyer.accountId);
  expect(mail).toMatchObject({ state: "sent" });
  await cp.rows("update services set suspensions = '{abuse}' where vm_id = $1", vmId);
  return { buyer: world.buyer, vmId, mailId: String(mail?.["id"]) };
}
const staff = aPrincipal({ role: "staff" });
/** Something more that its owner is to be told of. */
const another = ({ vmId }: { vmId: string }) =>
  inTransaction(cp.deps.db, (tx) =>
    recordChange(
      tx,
      {
        actor: { kind: "system", id: "test" },
        action: "vm.suspend",
        subject: { kind: "vm", id: vmId },
        events: [{ name: "vm.suspended.v1", data: { vmId } }],
      },
      { now: cp.clock.now(), newId: () => v7() },
    ),
  );

describe("a bounce for good", () => {
  test("is the mail's end, and ends mail to its address: what falls due is dropped, and says why", async () => {
    const reader = await aReader();
    const { buyer, mailId } = reader;
    const before = sentTo(buyer.email);
    expect(await told(aBounce(mailId))).toEqual(DONE);
    const reason = "Permanent/General: smtp; 550 5.1.1 user unknown";
    expect(await marked(buyer.email)).toEqual([{ kind: "bounce", reason, mail_id: mailId }]);
    expect((await mailsOf(buyer.accountId))[0]).toMatchObject({
      state: "bounced",
      last_error: reason,
    });
    await another(reader);
    expect(await send()).toMatchObject({ sent: 0, dropped: 1 });
    expect(sentTo(buyer.email)).toBe(before);
    expect((await mailsOf(buyer.accountId)).at(-1)).toMatchObject({
      kind: "vm_suspended",
      state: "dropped",
      last_error: "address_refuses: bounce",
      to_address: buyer.email,
    });
    expect(
      await cp.rows("select actor_kind, detail from audit_log where subject_id = $1", mailId),
    ).toEqual([{ actor_kind: "provider", detail: { kind: "bounce" } }]);
  });

  test("of the row's address alone: what the event names besides is nobody's", async () => {
    const { buyer, mailId } = await aReader();
    await told(aBounce(mailId));
    expect(await marked("recipient@example.com")).toEqual([]);
    expect(await marked(buyer.email)).toHaveLength(1);
  });

  test("that comes twice, or late, does not undo what staff cleared", async () => {
    const { buyer, mailId } = await aReader();
    await told(aBounce(mailId), aBounce(mailId));
    valueOf(await clearMailAddress(cp.deps, staff, mailId));
    expect(await told(aBounce(mailId))).toEqual(DONE);
    expect(await marked(buyer.email)).toEqual([]);
  });

  test("that is faster than the sender's own commit is the mail's end all the same", async () => {
    const reader = await aReader();
    await another(reader);
    const mail: typeof cp.deps.mail = {
      send: async (sent) => {
        await cp.deps.mail.send(sent);
        expect(await told(aBounce(sent.id))).toEqual(DONE);
      },
    };
    await sendDueMails({ ...cp.deps, mail }, FILLERS);
    expect((await mailsOf(reader.buyer.accountId)).at(-1)).toMatchObject({
      kind: "vm_suspended",
      state: "bounced",
    });
    expect(await marked(reader.buyer.email)).toHaveLength(1);
  });
});

test("a complaint ends mail to its address, too", async () => {
  const reader = await aReader();
  expect(await told(aComplaint(reader.mailId))).toEqual(DONE);
  expect((await mailsOf(reader.buyer.accountId))[0]).toMatchObject({ state: "complained_of" });
  await another(reader);
  expect(await send()).toMatchObject({ sent: 0, dropped: 1 });
  expect((await mailsOf(reader.buyer.accountId)).at(-1)).toMatchObject({
    last_error: "address_refuses: complaint",
  });
});

test("a bounce that may pass is written to the mail, and no more", async () => {
  const reader = await aReader();
  expect(await told(aBounce(reader.mailId, "Transient"))).toEqual(DONE);
  expect((await mailsOf(reader.buyer.accountId))[0]).toMatchObject({
    state: "sent",
    last_error: "Transient/General: smtp; 550 5.1.1 user unknown",
  });
  await another(reader);
  expect(await send()).toMatchObject({ sent: 1, dropped: 0 });
});

test("of a batch, what is of no mail of ours is passed over, and what is no event comes again", async () => {
  const { mailId } = await aReader();
  expect(
    await told(
      aBounce(v7()),
      aBounce(null),
      aDelivery(mailId),
      { source: "aws.ses", "detail-type": "Email Bounced", detail: {} },
      aBounce(mailId),
    ),
  ).toEqual([false, false, false, true, false]);
});

describe("staff", () => {
  test("see why an address is mailed no more, clear it once, and send what was dropped", async () => {
    const reader = await aReader();
    const { buyer, mailId } = reader;
    await told(aBounce(mailId));
    await another(reader);
    await send();
    const dropped = String((await mailsOf(buyer.accountId)).at(-1)?.["id"]);
    for (const id of [mailId, dropped])
      expect(valueOf(await showMail(cp.deps, id))).toMatchObject({
        refusal: { kind: "bounce", reason: expect.stringMatching(/^Permanent\/General/) },
      });
    for (let n = 0; n < 2; n++)
      expect(valueOf(await clearMailAddress(cp.deps, staff, dropped)).refusal).toBeNull();
    expect(
      await cp.rows(
        "select actor_kind from audit_log where action = 'mail.clear_address' and subject_id = $1",
        dropped,
      ),
    ).toEqual([{ actor_kind: "staff" }]);
    const before = sentTo(buyer.email);
    valueOf(await resendMail(cp.deps, staff, dropped));
    expect(await send()).toMatchObject({ sent: 1 });
    expect(sentTo(buyer.email)).toBe(before + 1);
  });
});

describe("whoever proves an address by a link", () => {
  const secretTo = (address: string) =>
    cp.mails.findLast(({ to }) => to === address)?.text.match(/#(\S+)/)?.[1] ?? "no link";

  test("is mailed that, though it bounced; and is mailed again once it is used", async () => {
    const { buyer, mailId } = await aReader();
    await told(aBounce(mailId));
    await cp.rows("update accounts set email_verified = false where id = $1", buyer.accountId);
    await askForLink(cp.deps, "prove_email", buyer.email);
    await cp.pump();
    expect(await marked(buyer.email)).toHaveLength(1);
    valueOf(await proveEmail(cp.deps, secretTo(buyer.email)));
    expect(await marked(buyer.email)).toEqual([]);
  });

  test("changes to one that bounced, and from one that does: the old one's notices are dropped", async () => {
    const [gone, other] = [await aReader(), await aReader()];
    const after = `${v7()}@example.com`;
    await cp.rows("update mails set to_address = $2 where id = $1", other.mailId, after);
    await told(aBounce(gone.mailId), aBounce(other.mailId));
    expect(await marked(after)).toHaveLength(1);
    valueOf(await askForNewAddress(cp.deps, gone.buyer, after));
    await cp.pump();
    await send();
    valueOf(await changeAddress(cp.deps, secretTo(after)));
    await send();
    expect(await marked(after)).toEqual([]);
    expect(await marked(gone.buyer.email)).toHaveLength(1);
    const notices = await cp.rows(
      `select kind, state, last_error from mails
        where account_id = $1 and kind in ('email_change_asked', 'email_changed') order by id`,
      gone.buyer.accountId,
    );
    const dropped = { state: "dropped", last_error: "address_refuses: bounce" };
    expect(notices).toEqual([
      { kind: "email_change_asked", ...dropped },
      { kind: "email_changed", ...dropped },
    ]);
  });

  test("by another link than those is mailed none: anybody may ask for one", async () => {
    const { buyer, mailId } = await aReader();
    await told(aBounce(mailId));
    const before = sentTo(buyer.email);
    await askForLink(cp.deps, "reset_password", buyer.email);
    await cp.pump();
    await send();
    expect(sentTo(buyer.email)).toBe(before);
    expect((await mailsOf(buyer.accountId)).at(-1)).toMatchObject({
      kind: "reset_password",
      state: "dropped",
    });
  });
});

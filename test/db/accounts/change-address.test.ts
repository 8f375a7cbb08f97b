import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { askForNewAddress } from "#commands/accounts/ask-for-new-address.ts";
import { changeAddress } from "#commands/accounts/change-address.ts";
import { ensureCustomer } from "#commands/billing/ensure-customer.ts";
import { retryAddresses, tellAddress } from "#commands/billing/tell-address.ts";
import { FILLERS } from "#commands/fill-mail.ts";
import { resendMail } from "#commands/messages/resend-mail.ts";
import { sendDueMails } from "#commands/messages/send-mail.ts";
import type { AccountPrincipal } from "#core/accounts/accounts.ts";
import type { Db } from "#db/client.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { runEachStep } from "#test/harness/each-step.ts";
import { valueOf } from "#test/harness/world.ts";
import {
  accountsOn,
  anAccount,
  anEmail,
  aToken,
  BASE_URL,
  cookieOf,
  INVALID,
  logIn,
  PASSWORD,
  post,
  totpOf,
  type Doors,
} from "./account-builders.ts";

/* Issue 15 item 9: another e-mail address, for whoever shows the password and reads the new one's mail. */

let cp: ControlPlane;
let accounts: Doors;
beforeAll(async () => {
  const doorsOn = (db: Db) => ({ accounts } = accountsOn(db)).accounts;
  cp = await startControlPlane({ accounts: doorsOn });
});
afterAll(() => cp.drop());

async function auth(route: string, body: object, headers: Record<string, string> = {}) {
  const answer = await cp.fetch(
    new Request(`${BASE_URL}/v1/auth${route}`, {
      method: "POST",
      headers: { "content-type": "application/json", origin: BASE_URL, ...headers },
      body: JSON.stringify(body),
    }),
  );
  const said: unknown = await answer.json();
  return { status: answer.status, body: Object(said) };
}
const DONE = { status: 200, body: { status: true } };
const NO_GOOD = { status: 400, body: { code: "link_invalid" } };

type Customer = Readonly<{ who: AccountPrincipal; cookie: string; before: string; after: string }>;
async function aCustomer(): Promise<Customer> {
  const who = await anAccount(accounts, "customer");
  const cookie = await logIn(accounts, who.email);
  return { who, cookie, before: who.email, after: anEmail() };
}
const ask = ({ cookie, after }: Customer, over: object = {}) =>
  auth("/change-email", { newEmail: after, password: PASSWORD, ...over }, { cookie });
const use = (token: string) => auth("/confirm-new-email", { token });

/** All that was mailed to this address, the last one last. */
async function mailedTo(address: string) {
  await cp.pump();
  await sendDueMails(cp.deps, FILLERS);
  return cp.mails.filter(({ to }) => to === address);
}
const linksTo = async (address: string): Promise<readonly string[]> =>
  (await mailedTo(address)).flatMap(({ text }) => /#(\S+)/.exec(text)?.[1] ?? []);
const linkTo = async (address: string) => (await linksTo(address)).at(-1) ?? "no link";
const subjectsTo = async (address: string) => (await mailedTo(address)).map((m) => m.subject);
const canLogIn = async (email: string) =>
  (await post(accounts, "/sign-in/email", { email, password: PASSWORD })).status === 200;
const addressesOf = ({ who }: Customer) =>
  cp.rows("select email, email_verified from accounts where id = $1", who.accountId);
const isAsBefore = async (customer: Customer) =>
  expect(await addressesOf(customer)).toEqual([{ email: customer.before, email_verified: true }]);

const ASKED = "Berth: Your account is to have another address";
const CHANGED = "Berth: Your account has another address";

describe("an address", () => {
  test("changes when the link to the new one is used, and not before; the old one is told of both", async () => {
    const customer = await aCustomer();
    const { who, cookie, before, after } = customer;
    const elsewhere = await logIn(accounts, before);
    expect(await ask(customer, { newEmail: after.toUpperCase() })).toEqual(DONE);
    expect(await subjectsTo(before)).toEqual([ASKED]);
    const [mail] = await mailedTo(before);
    expect(mail?.text).toContain(after);
    const [link = ""] = await linksTo(after);
    const [asked] = await mailedTo(after);
    expect(asked?.text).toContain(`${BASE_URL}/account/change-email#${link}`);
    await isAsBefore(customer);
    expect(await accounts.authenticate(new Headers({ cookie }))).toMatchObject({ ok: true });

    expect(await use(link)).toEqual(DONE);
    expect(await addressesOf(customer)).toEqual([{ email: after, email_verified: true }]);
    for (const session of [cookie, elsewhere])
      expect(await accounts.authenticate(new Headers({ cookie: session }))).toMatchObject(INVALID);
    expect([await canLogIn(before), await canLogIn(after)]).toEqual([false, true]);
    expect(await subjectsTo(before)).toEqual([ASKED, CHANGED]);
    expect(await subjectsTo(after)).toHaveLength(1);
    const audit = await cp.rows(
      "select action, detail from audit_log where subject_id = $1 order by id",
      who.accountId,
    );
    expect(audit).toMatchObject([
      { action: "account.ask_for_new_address" },
      { action: "account.change_address", detail: { before, after } },
    ]);
    // The link's secret is in the mail alone.
    expect(JSON.stringify(await cp.rows("select m::text from mails m"))).not.toContain(link);
  });

  test("is asked for with the password alone: a wrong one, or none of a session's, gets nothing mailed", async () => {
    const customer = await aCustomer();
    expect(await ask(customer, { password: "wrong horse battery" })).toMatchObject({
      status: 400,
      body: { code: "invalid_request", reason: "invalid_password" },
    });
    const { secret } = await aToken(accounts, customer.who);
    const body = { newEmail: customer.after, password: PASSWORD };
    expect(await auth("/change-email", body, { authorization: `Bearer ${secret}` })).toMatchObject({
      status: 403,
      body: { code: "forbidden" },
    });
    expect((await auth("/change-email", body)).status).toBe(401);
    const foreign = { cookie: customer.cookie, origin: "https://elsewhere.example" };
    expect(await auth("/change-email", body, foreign)).toMatchObject({
      body: { code: "foreign_origin" },
    });
    expect(await mailedTo(customer.after)).toEqual([]);
    expect(await mailedTo(customer.before)).toEqual([]);
  });

  test("is guessed at no faster than anything else that a password confirms", async () => {
    const customer = await aCustomer();
    const answers = [];
    for (let n = 0; n < 11; n++)
      answers.push((await ask(customer, { password: "wrong horse battery" })).status);
    expect(answers).toEqual([...Array.from({ length: 10 }, () => 400), 429]);
  });

  test("is asked for with a code too, where there is a second factor, and the code is used up", async () => {
    const customer = await aCustomer();
    const headers = { cookie: customer.cookie, origin: BASE_URL };
    const enabled = await post(accounts, "/two-factor/enable", { password: PASSWORD }, headers);
    const { totpURI, backupCodes } = Object(await enabled.json());
    const setUp = () =>
      post(accounts, "/two-factor/verify-totp", { code: totpOf(String(totpURI), -1) }, headers);
    const first = await setUp();
    const withApp = { ...customer, cookie: cookieOf(first.ok ? first : await setUp()) };
    expect(await ask(withApp)).toMatchObject({ status: 400, body: { reason: "code_missing" } });
    expect(await ask(withApp, { code: "no-code" })).toMatchObject({ status: 401 });
    expect(await mailedTo(customer.after)).toEqual([]);
    const [code] = Array.isArray(backupCodes) ? backupCodes.map(String) : [];
    expect(await ask(withApp, { code })).toEqual(DONE);
    expect(await ask(withApp, { code })).toMatchObject({ status: 401 });
    expect(await linksTo(customer.after)).toHaveLength(1);
  });

  test("of staff's is not theirs to change", async () => {
    const who = await anAccount(accounts, "staff");
    const cookie = await logIn(accounts, who.email);
    const staff = { who, cookie, before: who.email, after: anEmail() };
    expect(await ask(staff)).toMatchObject({ status: 403, body: { code: "forbidden" } });
    expect(await mailedTo(staff.after)).toEqual([]);
  });

  test("that one has already changes nothing, and is told to nobody", async () => {
    const customer = await aCustomer();
    expect(await ask(customer, { newEmail: customer.before })).toEqual(DONE);
    expect(await mailedTo(customer.before)).toEqual([]);
  });

  test("is asked for five times an hour", async () => {
    const customer = await aCustomer();
    for (let n = 0; n < 5; n++) expect(await ask({ ...customer, after: anEmail() })).toEqual(DONE);
    expect(await ask(customer)).toMatchObject({ status: 429, body: { code: "rate_limited" } });
    expect(await mailedTo(customer.after)).toEqual([]);
    cp.clock.advance(12 * 60_000);
    expect(await ask(customer)).toEqual(DONE);
  });
});

describe("an address that somebody has", () => {
  test("does not show: the answer, its work and the notice are the same, and no link is mailed", async () => {
    const other = await aCustomer();
    const told = async (after: string) => {
      const customer = { ...(await aCustomer()), after };
      let answer: unknown;
      const steps = await cp.steps.watch(async () => {
        answer = await ask(customer);
      });
      return { answer, steps, notices: await subjectsTo(customer.before) };
    };
    const [taken, free] = [await told(other.before), await told(anEmail())];
    expect(taken).toEqual(free);
    expect(taken).toMatchObject({ answer: DONE, notices: [ASKED] });
    expect(await mailedTo(other.before)).toEqual([]);
  });

  test("since the link was mailed is refused to whoever uses it; nothing changes, and the link stays good", async () => {
    const customer = await aCustomer();
    await ask(customer);
    const link = await linkTo(customer.after);
    const other = await anAccount(accounts, "customer");
    const give = (email: string) =>
      cp.rows("update accounts set email = $2 where id = $1", other.accountId, email);
    await give(customer.after);
    expect(await use(link)).toMatchObject({ status: 409, body: { code: "email_taken" } });
    await isAsBefore(customer);
    expect(await accounts.authenticate(new Headers({ cookie: customer.cookie }))).toMatchObject({
      ok: true,
    });
    await give(other.email);
    expect(await use(link)).toEqual(DONE);
  });

  test("is one account's, of two that use their links to it at once", async () => {
    const after = anEmail();
    const both = [
      { ...(await aCustomer()), after },
      { ...(await aCustomer()), after },
    ];
    const links = [];
    for (const customer of both) {
      await ask(customer);
      links.push(await linkTo(after));
    }
    const used = await Promise.all(links.map(use));
    expect(used.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 409]);
  });
});

describe("a link to a new address", () => {
  test("is good once, for an hour, and proves or resets nothing else", async () => {
    const customer = await aCustomer();
    await ask(customer);
    const link = await linkTo(customer.after);
    expect(await auth("/verify-email", { token: link })).toMatchObject(NO_GOOD);
    const reset = { token: link, newPassword: "another horse battery" };
    expect(await auth("/reset-password", reset)).toMatchObject(NO_GOOD);
    const both = await Promise.all([use(link), use(link)]);
    expect(both.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 400]);

    const late = await aCustomer();
    await ask(late);
    const lateLink = await linkTo(late.after);
    cp.clock.advance(60 * 60_000);
    expect(await use(lateLink)).toMatchObject(NO_GOOD);
    expect(await use("made-up")).toMatchObject(NO_GOOD);
    await isAsBefore(late);
  });

  test("is the last one's that was asked for, whatever the address", async () => {
    const customer = await aCustomer();
    await ask(customer);
    const first = await linkTo(customer.after);
    const other = { ...customer, after: anEmail() };
    await ask(other);
    const second = await linkTo(other.after);
    expect(await use(first)).toMatchObject(NO_GOOD);
    expect(await use(second)).toEqual(DONE);
  });

  test.each(["is changed", "is reset"])("is no good when the password %s", async (how) => {
    const customer = await aCustomer();
    await ask(customer);
    const link = await linkTo(customer.after);
    // One that is still on its way, too.
    await ask(customer);
    const newPassword = "another horse battery";
    const change = () => {
      const body = { currentPassword: PASSWORD, newPassword };
      return auth("/change-password", body, { cookie: customer.cookie });
    };
    const reset = async () => {
      await auth("/request-password-reset", { email: customer.before });
      const token = await linkTo(customer.before);
      return auth("/reset-password", { token, newPassword });
    };
    expect(await (how === "is changed" ? change : reset)()).toMatchObject({ status: 200 });
    expect(await use(link)).toMatchObject(NO_GOOD);
    for (const each of await linksTo(customer.after))
      expect(await use(each)).toMatchObject(NO_GOOD);
    await isAsBefore(customer);
  });

  test("of a closed account is no good", async () => {
    const customer = await aCustomer();
    await ask(customer);
    const link = await linkTo(customer.after);
    await cp.rows("update accounts set banned_at = now() where id = $1", customer.who.accountId);
    expect(await use(link)).toMatchObject(NO_GOOD);
    await isAsBefore(customer);
  });
});

test("links that were mailed to the address of before are no good, nor those that are asked for there", async () => {
  const customer = await aCustomer();
  await auth("/request-password-reset", { email: customer.before });
  const old = await linkTo(customer.before);
  await ask(customer);
  const link = await linkTo(customer.after);
  const mailed = (await linksTo(customer.before)).length;
  await auth("/request-password-reset", { email: customer.before });
  expect(await use(link)).toEqual(DONE);
  const reset = { token: old, newPassword: "another horse battery" };
  expect(await auth("/reset-password", reset)).toMatchObject(NO_GOOD);
  expect(await linksTo(customer.before)).toHaveLength(mailed);
  await auth("/request-password-reset", { email: customer.after });
  const token = await linkTo(customer.after);
  expect(await auth("/reset-password", { ...reset, token })).toEqual(DONE);
});

test("a notice that staff send again goes to the address of before", async () => {
  const customer = await aCustomer();
  await ask(customer);
  await use(await linkTo(customer.after));
  await subjectsTo(customer.before);
  const [mail] = await cp.rows(
    "select id from mails where kind = 'email_changed' and account_id = $1",
    customer.who.accountId,
  );
  const staff = await anAccount(accounts, "staff");
  expect(await resendMail(cp.deps, staff, String(mail?.["id"]))).toMatchObject({ ok: true });
  expect(await subjectsTo(customer.before)).toEqual([ASKED, CHANGED, CHANGED]);
});

describe("the payment provider", () => {
  const usd = ({ who: { accountId } }: Customer) => ({ accountId, currency: "usd" }) as const;
  const knownAs = (customerId: string) =>
    cp.stripe.standIn.store.all("customer").find(({ id }) => id === customerId)?.email;
  /** A customer whose address has changed, of which nobody was told yet. */
  async function changed() {
    const customer = await aCustomer();
    const customerId = await ensureCustomer(cp.deps, customer.who, usd(customer));
    await ask(customer);
    await use(await linkTo(customer.after));
    return { ...customer, customerId };
  }

  test("is told the new address", async () => {
    const { customerId, before, after } = await changed();
    expect(knownAs(customerId)).toBe(before);
    await cp.pump();
    expect(knownAs(customerId)).toBe(after);
  });

  test("is told by the sweep when the event is lost", async () => {
    const { customerId, before, after } = await changed();
    await cp.rows("update outbox set sent_at = now() where sent_at is null");
    await retryAddresses(cp.deps);
    expect(knownAs(customerId)).toBe(before);
    cp.clock.advance(2 * 60_000);
    expect(await retryAddresses(cp.deps)).toEqual({ told: 1, failed: 0 });
    expect(knownAs(customerId)).toBe(after);
    expect(await retryAddresses(cp.deps)).toEqual({ told: 0, failed: 0 });
  });

  test("is told of the others by the sweep although one is refused, which then waits behind them", async () => {
    const changedUnheard = async () => {
      const one = await changed();
      await cp.rows("update outbox set sent_at = now() where sent_at is null");
      return one;
    };
    const [bad, good] = [await changedUnheard(), await changedUnheard()];
    cp.clock.advance(2 * 60_000);
    const { tellEmail } = cp.deps.payments;
    const payments: typeof cp.deps.payments = {
      ...cp.deps.payments,
      tellEmail: async (id, email) => {
        if (id === bad.customerId) throw new Error("that is no address, says Stripe");
        await tellEmail(id, email);
      },
    };
    expect(await retryAddresses({ ...cp.deps, payments })).toEqual({ told: 1, failed: 1 });
    expect([knownAs(bad.customerId), knownAs(good.customerId)]).toEqual([bad.before, good.after]);
    const [row] = await cp.rows(
      "select address_due_since = $2 as is_last from billing_customers where customer_id = $1",
      bad.customerId,
      cp.clock.now(),
    );
    expect(row).toEqual({ is_last: true });
    cp.clock.advance(2 * 60_000);
    expect(await retryAddresses(cp.deps)).toEqual({ told: 1, failed: 0 });
    expect(knownAs(bad.customerId)).toBe(bad.after);
  });

  test("knows the last address in the end, also when it changes while one is told", async () => {
    const { customerId, who } = await changed();
    const last = anEmail();
    const { tellEmail } = cp.deps.payments;
    let changes = 1;
    const payments: typeof cp.deps.payments = {
      ...cp.deps.payments,
      tellEmail: async (id, email) => {
        if (changes-- > 0) {
          await cp.rows("update accounts set email = $2 where id = $1", who.accountId, last);
          await cp.rows(
            "update billing_customers set address_due_since = $2 where account_id = $1",
            who.accountId,
            new Date(+cp.clock.now() + 1),
          );
          // Another worker tells the new one before this one's call has gone out.
          await tellAddress(cp.deps, who.accountId);
        }
        await tellEmail(id, email);
      },
    };
    expect(await tellAddress({ ...cp.deps, payments }, who.accountId)).toBe("told");
    expect(knownAs(customerId)).toBe(last);
  });

  test("that has deleted the customer is told nothing", async () => {
    const { customerId, who } = await changed();
    await cp.stripe.dashboard.customers.del(customerId);
    expect(await tellAddress(cp.deps, who.accountId)).toBe("told");
    expect(await tellAddress(cp.deps, who.accountId)).toBe("nothing_to_do");
  });

  test("is told of an address that changed while its customer was made", async () => {
    const customer = await aCustomer();
    const { ensureCustomer: make } = cp.deps.payments;
    const payments: typeof cp.deps.payments = {
      ...cp.deps.payments,
      ensureCustomer: async (input) => {
        const id = await make(input);
        await ask(customer);
        await use(await linkTo(customer.after));
        return id;
      },
    };
    const customerId = await ensureCustomer({ ...cp.deps, payments }, customer.who, usd(customer));
    expect(knownAs(customerId)).toBe(customer.before);
    cp.clock.advance(2 * 60_000);
    await retryAddresses(cp.deps);
    expect(knownAs(customerId)).toBe(customer.after);
  });
});

describe("each step may fail, and the next try ends the same", () => {
  /** They hold hashes of ids, and of secrets. */
  const ignore = /^(?:attempts|credentials|mailed_links) /;
  /** Log-ins are made by the machine's own clock, and not at one instant. */
  const arrange = async () => {
    const customer = await aCustomer();
    await cp.rows(
      "update accounts set created_at = $2, updated_at = $2 where id = $1",
      customer.who.accountId,
      cp.clock.now(),
    );
    await cp.rows("delete from sessions where account_id = $1", customer.who.accountId);
    return customer;
  };

  test("of asking", async () => {
    const run = await runEachStep(cp, {
      arrange,
      act: ({ who, after }) => askForNewAddress(cp.deps, who, after),
      emits: ["account.link_asked_for.v1"],
      // As it is asked for: nothing of it has a secret yet.
      settle: async () => undefined,
      ignore: /^(?:attempts|credentials) /,
    });
    // Asked twice it is mailed twice, of which the last one works: nothing less is asked for.
    expect(run.different.map(({ at }) => at)).toEqual(["run twice", "after commit"]);
  });

  test("of changing", async () => {
    // What other tests left to be mailed is no part of this.
    await mailedTo("nobody");
    const run = await runEachStep(cp, {
      arrange: async () => {
        const customer = await arrange();
        await ensureCustomer(cp.deps, customer.who, {
          accountId: customer.who.accountId,
          currency: "usd",
        });
        valueOf(await askForNewAddress(cp.deps, customer.who, customer.after));
        return { customer, link: await linkTo(customer.after) };
      },
      act: ({ link }) => changeAddress(cp.deps, link),
      emits: ["account.email_changed.v1"],
      settle: async ({ customer }) => mailedTo(customer.before),
      ignore,
    });
    expect(run.different).toEqual([]);
  });
});

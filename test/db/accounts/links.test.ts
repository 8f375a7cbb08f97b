import { v7 } from "uuid";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { toWireId } from "#core/ids.ts";
import type { Db } from "#db/client.ts";
import { AN_SSH_KEY } from "#test/builders.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { aWorld, type World } from "#test/harness/world.ts";
import {
  accountsOn,
  anAccount,
  anEmail,
  aToken,
  BASE_URL,
  bearer,
  cookieOf,
  INVALID,
  logIn,
  PASSWORD,
  post,
  type Doors,
} from "./account-builders.ts";
import { FILLERS } from "#commands/fill-mail.ts";
import { sendDueMails } from "#commands/messages/send-mail.ts";

/* 4b B5: an address is proven, and a password replaced, by what is mailed; A2: no order before. */

let cp: ControlPlane;
let accounts: Doors;
let world: World;
beforeAll(async () => {
  const doorsOn = (db: Db) => ({ accounts } = accountsOn(db)).accounts;
  cp = await startControlPlane({ accounts: doorsOn });
  world = await aWorld(cp);
});
afterAll(() => cp.drop());

async function ask(
  method: string,
  path: string,
  body?: object,
  headers: Record<string, string> = {},
) {
  const answer = await cp.fetch(
    new Request(`${BASE_URL}${path}`, {
      method,
      headers: { "content-type": "application/json", origin: BASE_URL, ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    }),
  );
  const said: unknown = await answer.json();
  return { status: answer.status, body: Object(said), answer };
}
const auth = (route: string, body: object, headers: Record<string, string> = {}) =>
  ask("POST", `/v1/auth${route}`, body, headers);

/** The secrets that were mailed to this address, the last one last. */
async function mailed(email: string): Promise<readonly string[]> {
  await cp.pump();
  return cp.mails
    .filter(({ to }) => to === email)
    .map(({ text }) => /#(\S+)/.exec(text)?.[1] ?? "no link");
}

async function signedUp(): Promise<{ email: string; cookie: string }> {
  const email = anEmail();
  const { answer } = await auth("/sign-up/email", { email, name: "Ada", password: PASSWORD });
  return { email, cookie: cookieOf(answer) };
}
const order = (cookie: string) =>
  ask(
    "POST",
    "/v1/orders",
    {
      planId: toWireId("plan", world.planId),
      imageId: toWireId("image", world.imageId),
      locationId: toWireId("location", world.locationId),
      hostname: "web-1.example.com",
      sshKeys: [AN_SSH_KEY],
      billingInterval: "month",
    },
    { cookie, "idempotency-key": v7() },
  );

describe("an address", () => {
  test("is proven by the link that the sign-up mails, and then the account may order", async () => {
    const { email, cookie } = await signedUp();
    expect(await order(cookie)).toMatchObject({
      status: 403,
      body: { code: "email_not_verified" },
    });
    const [secret = ""] = await mailed(email);
    const [mail] = cp.mails.filter(({ to }) => to === email);
    expect(mail?.text).toContain(`${BASE_URL}/account/verify-email#${secret}`);
    expect(await auth("/verify-email", { token: secret })).toMatchObject({ status: 200 });
    expect(await order(cookie)).toMatchObject({ status: 202 });
  });

  test("is proven once by one link: used again, too late, or made up, it is refused", async () => {
    const { email } = await signedUp();
    const [secret = ""] = await mailed(email);
    const both = await Promise.all([1, 2].map(() => auth("/verify-email", { token: secret })));
    expect(both.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 400]);
    const late = await signedUp();
    const [lateSecret = ""] = await mailed(late.email);
    cp.clock.advance(24 * 60 * 60_000);
    for (const token of [secret, lateSecret, "made-up"])
      expect(await auth("/verify-email", { token })).toMatchObject({
        status: 400,
        body: { code: "link_invalid" },
      });
  });

  test("is proven by the last link that was mailed, and by no earlier one, nor by one for a password", async () => {
    const { email, cookie } = await signedUp();
    await mailed(email);
    await auth("/send-verification-email", {}, { cookie });
    const [first = "", second = ""] = await mailed(email);
    expect(await auth("/verify-email", { token: first })).toMatchObject({ status: 400 });
    await auth("/request-password-reset", { email });
    const reset = (await mailed(email))[2] ?? "";
    expect(await auth("/verify-email", { token: reset })).toMatchObject({ status: 400 });
    expect(await auth("/verify-email", { token: second })).toMatchObject({ status: 200 });
  });

  test("that is proven already is mailed no link", async () => {
    const { email } = await anAccount(accounts, "customer");
    const cookie = await logIn(accounts, email);
    expect(await auth("/send-verification-email", {}, { cookie })).toMatchObject({ status: 200 });
    expect(await mailed(email)).toEqual([]);
  });
});

describe("a forgotten password", () => {
  const reset = (token: string, more: object = {}) =>
    auth("/reset-password", { token, newPassword: "another horse battery", ...more });

  test("is replaced by the link: old sessions end, and the address is proven", async () => {
    const { email, cookie } = await signedUp();
    await mailed(email);
    await auth("/request-password-reset", { email: email.toUpperCase() });
    const secret = (await mailed(email)).at(-1) ?? "";
    expect(await reset(secret)).toMatchObject({ status: 200 });
    expect(await accounts.authenticate(new Headers({ cookie }))).toMatchObject(INVALID);
    const old = await post(accounts, "/sign-in/email", { email, password: PASSWORD });
    expect(old.status).toBe(401);
    const now = { email, password: "another horse battery" };
    const fresh = cookieOf(await post(accounts, "/sign-in/email", now));
    expect(await ask("GET", "/v1/auth/get-session", undefined, { cookie: fresh })).toMatchObject({
      body: { user: { email, emailVerified: true } },
    });
    expect(await reset(secret)).toMatchObject({ status: 400, body: { code: "link_invalid" } });
  });

  test.each([true, false])(
    "ends the API tokens if that is asked for (%s)",
    async (revokeTokens) => {
      const who = await anAccount(accounts, "customer");
      const { secret: token } = await aToken(accounts, who);
      await auth("/request-password-reset", { email: who.email });
      const [link = ""] = await mailed(who.email);
      expect(await reset(link, { revokeTokens })).toMatchObject({ status: 200 });
      const found = await accounts.authenticate(bearer(token));
      expect(found.ok).toBe(!revokeTokens);
    },
  );

  test("is not replaced by one that is guessed early, which uses nothing up", async () => {
    const { email } = await anAccount(accounts, "customer");
    await auth("/request-password-reset", { email });
    const [link = ""] = await mailed(email);
    for (const newPassword of ["password123", "short", email])
      expect(await reset(link, { newPassword })).toMatchObject({
        status: 422,
        body: { code: "password_unfit" },
      });
    expect(await reset(link)).toMatchObject({ status: 200 });
  });

  test("ends within the hour", async () => {
    const { email } = await anAccount(accounts, "customer");
    await auth("/request-password-reset", { email });
    const [link = ""] = await mailed(email);
    cp.clock.advance(60 * 60_000);
    expect(await reset(link)).toMatchObject({ status: 400, body: { code: "link_invalid" } });
  });

  test("tells nobody who has an account: one answer, one work, and no mail to strangers", async () => {
    const { email: known } = await anAccount(accounts, "customer");
    const unknown = anEmail();
    const statements = async (email: string) => {
      let told: unknown;
      const steps = await cp.steps.watch(async () => {
        const { status, body } = await auth("/request-password-reset", { email });
        told = { status, body };
      });
      return { told, steps };
    };
    const [ofKnown, ofUnknown] = [await statements(known), await statements(unknown)];
    expect(ofKnown).toEqual(ofUnknown);
    expect(ofKnown.told).toEqual({ status: 200, body: { status: true } });
    expect(ofKnown.steps.length).toBeGreaterThan(3);
    expect(await mailed(known)).toHaveLength(1);
    expect(await mailed(unknown)).toEqual([]);
  });

  test("of a closed account is not replaced", async () => {
    const { email, accountId } = await anAccount(accounts, "customer");
    await cp.rows("update accounts set banned_at = now() where id = $1", accountId);
    await auth("/request-password-reset", { email });
    expect(await mailed(email)).toEqual([]);
  });
});

describe("what is mailed", () => {
  test("is in the language that the browser asked for at sign-up, as plain text and HTML", async () => {
    const email = anEmail();
    const languages = { "accept-language": "ru-RU,ru;q=0.9,en;q=0.8" };
    await auth("/sign-up/email", { email, name: "Ada", password: PASSWORD }, languages);
    const [secret = ""] = await mailed(email);
    const [mail] = cp.mails.filter(({ to }) => to === email);
    expect(mail?.subject).toBe("Berth: Это ваш адрес?");
    expect(mail?.html).toContain(`<a href="http://berth.test/account/verify-email#${secret}">`);
  });

  test("is stored nowhere: neither in a row, nor in a log line", async () => {
    const { email } = await signedUp();
    const [secret = ""] = await mailed(email);
    const tables = await cp.rows("select tablename from pg_tables where schemaname = 'public'");
    for (const { tablename } of tables) {
      const rows = await cp.rows(`select t::text as row from "${String(tablename)}" t`);
      expect(JSON.stringify(rows)).not.toContain(secret);
    }
    expect(JSON.stringify(cp.log.lines)).not.toContain(secret);
  });

  test("comes again after a failure, with another link, and only that one works", async () => {
    const { email } = await anAccount(accounts, "customer");
    await auth("/request-password-reset", { email });
    // It was sent, and its answer was lost.
    await cp.steps.watch(() => cp.pump(), /^after mail/);
    cp.clock.advance(60_000);
    await sendDueMails(cp.deps, FILLERS);
    const [lost, again] = await mailed(email);
    expect(again).not.toBe(lost);
    const early = { token: lost, newPassword: "another horse battery" };
    expect(await auth("/reset-password", early)).toMatchObject({ status: 400 });
    const body = { token: again, newPassword: "another horse battery" };
    expect(await auth("/reset-password", body)).toMatchObject({ status: 200 });
  });

  test("is five links an hour for one address, however often is asked", async () => {
    const { email } = await anAccount(accounts, "customer");
    for (let n = 0; n < 7; n++)
      expect(await auth("/request-password-reset", { email })).toMatchObject({ status: 200 });
    expect(await mailed(email)).toHaveLength(5);
    cp.clock.advance(60 * 60_000);
    await auth("/request-password-reset", { email });
    expect(await mailed(email)).toHaveLength(6);
  });
});

test("a changed password ends the API tokens if that is asked for", async () => {
  const who = await anAccount(accounts, "customer");
  const { secret } = await aToken(accounts, who);
  const change = (over: object) =>
    logIn(accounts, who.email).then((cookie) =>
      auth(
        "/change-password",
        { currentPassword: PASSWORD, newPassword: PASSWORD, ...over },
        { cookie },
      ),
    );
  expect(await change({})).toMatchObject({ status: 200 });
  expect(await accounts.authenticate(bearer(secret))).toMatchObject({ ok: true });
  expect(
    await change({ currentPassword: "wrong horse battery", revokeTokens: true }),
  ).toMatchObject({ status: 400 });
  expect(await accounts.authenticate(bearer(secret))).toMatchObject({ ok: true });
  expect(await change({ revokeTokens: true })).toMatchObject({ status: 200 });
  expect(await accounts.authenticate(bearer(secret))).toMatchObject(INVALID);
});

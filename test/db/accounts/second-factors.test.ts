import { v7 } from "uuid";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { isWriting, SCOPES_OF_ROLE, type Role } from "#core/accounts/accounts.ts";
import { createToken } from "#commands/accounts/create-token.ts";
import { AT } from "#test/builders.ts";
import { cloneDatabase, type TestDatabase } from "#test/harness/database.ts";
import {
  accountsOn,
  anAccount,
  aToken,
  BASE_URL,
  bearer,
  cookieOf,
  INVALID,
  logIn,
  PASSWORD,
  post,
  totpOf,
  type Doors,
} from "./account-builders.ts";

/* 4b B5: what sessions, passwords and second factors let a thief do. */

let database: TestDatabase;
let accounts: Doors;
beforeAll(async () => {
  database = await cloneDatabase();
  ({ accounts } = accountsOn(database.db));
});
afterAll(() => database.drop());

const browser = (cookie: string) => ({ cookie, origin: BASE_URL });
async function fieldsOf(answer: Response): Promise<Record<string, unknown>> {
  const body: unknown = await answer.json();
  return Object(body);
}
const whoIs = (cookie: string) => accounts.authenticate(new Headers({ cookie }));

/** An account with an authenticator app: its set-up took the code before that of now. */
async function withApp(role: Role) {
  const who = await anAccount(accounts, role);
  const plain = await logIn(accounts, who.email);
  const before = browser(await logIn(accounts, who.email));
  const enabled = await fieldsOf(
    await post(accounts, "/two-factor/enable", { password: PASSWORD }, before),
  );
  const totpURI = String(enabled["totpURI"]);
  const setUp = () =>
    post(accounts, "/two-factor/verify-totp", { code: totpOf(totpURI, -1) }, before);
  // By the machine's clock: a half minute that ends meanwhile leaves the code two behind, and there is the next one.
  const first = await setUp();
  const cookie = cookieOf(first.ok ? first : await setUp());
  const backupCodes: unknown = enabled["backupCodes"];
  return {
    who,
    /** A log-in from before there was a second factor. */
    plain,
    cookie,
    totpURI,
    backupCodes: Array.isArray(backupCodes) ? backupCodes.map(String) : [],
  };
}

describe("a code of an authenticator app", () => {
  test("is good once, in any session, and of two at once for one", async () => {
    const { who, totpURI } = await withApp("customer");
    const half = async () =>
      browser(
        cookieOf(await post(accounts, "/sign-in/email", { email: who.email, password: PASSWORD })),
      );
    const [first, second] = [await half(), await half()];
    const code = { code: totpOf(totpURI) };
    const answers = await Promise.all(
      [first, second].map((pending) => post(accounts, "/two-factor/verify-totp", code, pending)),
    );
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 401]);
    const late = await post(accounts, "/two-factor/verify-totp", code, await half());
    expect(await late.json()).toMatchObject({
      code: "unauthenticated",
      reason: "code_already_used",
    });
  });

  test("is another one to another account", async () => {
    const { cookie, totpURI } = await withApp("customer");
    const other = await withApp("customer");
    const code = { code: totpOf(totpURI) };
    await post(accounts, "/two-factor/verify-totp", code, browser(other.cookie));
    expect((await post(accounts, "/two-factor/verify-totp", code, browser(cookie))).status).toBe(
      200,
    );
  });

  test("cannot be guessed in a session: after ten tries none is looked at for minutes", async () => {
    const { cookie, totpURI } = await withApp("customer");
    const guess = (code: string) =>
      post(accounts, "/two-factor/verify-totp", { code }, browser(cookie));
    const right = totpOf(totpURI);
    const wrong = [
      "000001",
      "000002",
      "000003",
      "000004",
      "000005",
      "000006",
      "000007",
      "000008",
      "000009",
    ];
    for (const code of wrong) expect((await guess(code)).status).toBe(401);
    expect(await (await guess(right)).json()).toMatchObject({ status: 429, code: "rate_limited" });
  });
});

describe("turning the second factor off", () => {
  const off = (cookie: string, body: object) =>
    post(accounts, "/two-factor/disable", { password: PASSWORD, ...body }, browser(cookie));

  test("takes a code of the app, and the password", async () => {
    const { who, cookie, totpURI } = await withApp("customer");
    for (const body of [{}, { code: "" }, { code: "000000" }, { code: "AAAAA-AAAAA" }])
      expect((await off(cookie, body)).status).toBe(401);
    const spent = { password: "not the password", code: totpOf(totpURI) };
    expect((await off(cookie, spent)).status).toBe(400);
    expect((await off(cookie, { code: totpOf(totpURI, 1) })).status).toBe(200);
    cookieOf(await post(accounts, "/sign-in/email", { email: who.email, password: PASSWORD }));
    expect(await whoIs(await logIn(accounts, who.email))).toMatchObject({
      value: { email: who.email },
    });
  });

  test("takes a backup code, which is good once", async () => {
    const { cookie, backupCodes } = await withApp("customer");
    const code = backupCodes[0];
    const anew = (from: string) =>
      post(
        accounts,
        "/two-factor/generate-backup-codes",
        { password: PASSWORD, code: from },
        browser(cookie),
      );
    const made = await fieldsOf(await anew(code ?? ""));
    expect(made["backupCodes"]).toHaveLength(10);
    expect((await anew(code ?? "")).status).toBe(401);
    const [fresh] = Array.isArray(made["backupCodes"]) ? made["backupCodes"].map(String) : [];
    expect((await off(cookie, { code: fresh })).status).toBe(200);
  });

  test("is refused where there is none, and where nobody is logged in", async () => {
    const { email } = await anAccount(accounts, "customer");
    const cookie = await logIn(accounts, email);
    expect(await (await off(cookie, { code: "123456" })).json()).toMatchObject({
      status: 400,
      reason: "two_factor_not_enabled",
    });
    expect((await off("", { code: "123456" })).status).toBe(401);
  });

  test("its secret is shown at the set-up, and by no password later", async () => {
    const { cookie } = await withApp("customer");
    const answer = await post(
      accounts,
      "/two-factor/get-totp-uri",
      { password: PASSWORD },
      browser(cookie),
    );
    expect(answer.status).toBe(404);
  });
});

describe("staff", () => {
  const reading = SCOPES_OF_ROLE.staff.filter((scope) => !isWriting(scope));

  test("without a second factor read, and change nothing", async () => {
    const { email } = await anAccount(accounts, "staff");
    expect(await whoIs(await logIn(accounts, email))).toMatchObject({ value: { scopes: reading } });
  });

  test("with a second factor do all that staff may; a log-in from before it does not", async () => {
    const { cookie, plain } = await withApp("staff");
    expect(await whoIs(cookie)).toMatchObject({ value: { scopes: SCOPES_OF_ROLE.staff } });
    expect(await whoIs(plain)).toMatchObject({ value: { scopes: reading } });
  });

  test("whose log-in is from before the second factor do not get it by a new password", async () => {
    const { plain } = await withApp("staff");
    const body = { currentPassword: PASSWORD, newPassword: "another horse battery" };
    const cookie = cookieOf(await post(accounts, "/change-password", body, browser(plain)));
    expect(await whoIs(cookie)).toMatchObject({ value: { scopes: reading } });
  });

  test("who turn it off read only, in each of their sessions", async () => {
    const { cookie, totpURI } = await withApp("staff");
    const body = { password: PASSWORD, code: totpOf(totpURI) };
    const after = cookieOf(await post(accounts, "/two-factor/disable", body, browser(cookie)));
    expect(await whoIs(after)).toMatchObject({ value: { scopes: reading } });
  });

  test("by a device that they trust are with their second factor", async () => {
    const { who, totpURI } = await withApp("staff");
    const credentials = { email: who.email, password: PASSWORD };
    const half = cookieOf(await post(accounts, "/sign-in/email", credentials));
    const code = { code: totpOf(totpURI), trustDevice: true };
    const trusted = cookieOf(await post(accounts, "/two-factor/verify-totp", code, browser(half)));
    const device = trusted
      .split("; ")
      .filter((cookie) => cookie.includes("trust_device"))
      .join("; ");
    const cookie = cookieOf(await post(accounts, "/sign-in/email", credentials, browser(device)));
    expect(await whoIs(cookie)).toMatchObject({ value: { scopes: SCOPES_OF_ROLE.staff } });
  });

  test("make a token that changes things in such a session, for 90 days at most", async () => {
    const deps = {
      accounts: accountsOn(database.db, { clock: { now: () => AT } }).accounts,
      clock: { now: () => AT, sleep: async () => undefined },
      db: database.db,
      ids: { newId: () => v7() },
    };
    const owner = await anAccount(accounts, "staff");
    const made = (scopes: readonly (typeof SCOPES_OF_ROLE.staff)[number][], days: number | null) =>
      createToken(deps, owner, undefined, {
        name: "ci",
        scopes,
        expiresInSeconds: days === null ? null : days * 86_400,
      });
    const in90Days = new Date(+AT + 90 * 86_400_000);
    const in89Days = new Date(+AT + 89 * 86_400_000);
    for (const [scopes, days, expiresAt] of [
      [["staff:write"], null, in90Days],
      [["staff:read", "vms:write"], 91, in90Days],
      [["staff:write"], 89, in89Days],
      [["staff:read"], null, null],
    ] as const)
      expect(await made(scopes, days)).toMatchObject({ value: { token: { expiresAt } } });
  });

  test("make no such token by a token, which may read by another", async () => {
    const owner = await anAccount(accounts, "staff");
    const { secret } = await aToken(accounts, owner, { scopes: SCOPES_OF_ROLE.staff });
    const by = await accounts.authenticate(bearer(secret));
    if (!by.ok || by.value === undefined) throw new Error("the token is good");
    const deps = {
      accounts,
      clock: { now: () => AT, sleep: async () => undefined },
      db: database.db,
      ids: { newId: () => v7() },
    };
    const input = { name: "ci", expiresInSeconds: null };
    expect(
      await createToken(deps, by.value, undefined, { ...input, scopes: ["vms:write"] }),
    ).toMatchObject({ error: { code: "second_factor_required" } });
    expect(
      await createToken(deps, by.value, undefined, { ...input, scopes: ["vms:read"] }),
    ).toMatchObject({ ok: true });
  });
});

describe("a password", () => {
  test.each([["  ".repeat(8)], ["password123"], ["qwertyuiop"]])(
    "that is blank or common is not taken (%j): at the sign-up, nor for another",
    async (easy) => {
      const email = `${v7()}@example.com`;
      const common = { status: 400, code: "invalid_request", reason: "password_too_common" };
      const signUp = await post(accounts, "/sign-up/email", { email, name: "Ada", password: easy });
      expect(await signUp.json()).toMatchObject(common);
      const who = await anAccount(accounts, "customer");
      const cookie = await logIn(accounts, who.email);
      const body = { currentPassword: PASSWORD, newPassword: easy };
      const changed = await post(accounts, "/change-password", body, browser(cookie));
      expect(await changed.json()).toMatchObject(common);
    },
  );

  test("is not one's own address", async () => {
    const email = `${v7()}@example.com`;
    const signUp = await post(accounts, "/sign-up/email", { email, name: "Ada", password: email });
    expect(await signUp.json()).toMatchObject({ reason: "password_too_common" });
    const who = await anAccount(accounts, "customer");
    const body = { currentPassword: PASSWORD, newPassword: who.email };
    const cookie = await logIn(accounts, who.email);
    const changed = await post(accounts, "/change-password", body, browser(cookie));
    expect(await changed.json()).toMatchObject({ reason: "password_too_common" });
  });

  test("that is changed ends the other sessions, whatever was asked for", async () => {
    const { email } = await anAccount(accounts, "customer");
    const [mine, other] = [await logIn(accounts, email), await logIn(accounts, email)];
    const body = { currentPassword: PASSWORD, newPassword: "another horse battery" };
    const asked = { ...body, revokeOtherSessions: false };
    const cookie = cookieOf(await post(accounts, "/change-password", asked, browser(mine)));
    expect(await whoIs(other)).toMatchObject(INVALID);
    expect(await whoIs(mine)).toMatchObject(INVALID);
    expect(await whoIs(cookie)).toMatchObject({ value: { email } });
  });
});

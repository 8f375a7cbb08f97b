import { eq } from "drizzle-orm";
import { v7 } from "uuid";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { SCOPES_OF_ROLE } from "#core/accounts/accounts.ts";
import * as accountTables from "#db/schema/accounts.ts";
import { cloneDatabase, type TestDatabase } from "#test/harness/database.ts";
import { AT } from "#test/builders.ts";
import { PATIENCE_MS } from "#test/harness/patience.ts";
import {
  accountsOn,
  anAccount,
  anEmail,
  BASE_URL,
  bearer,
  cookieOf,
  INVALID,
  logIn,
  PASSWORD,
  post,
  request,
  totpOf,
} from "./account-builders.ts";

let database: TestDatabase;
beforeAll(async () => {
  database = await cloneDatabase();
});
afterAll(() => database.drop());

describe("signing up and logging in", () => {
  test("a person who signs up is logged in as a customer with all that a customer may do", async () => {
    const { accounts } = anInstance();
    const email = anEmail();
    const cookie = cookieOf(
      await post(accounts, "/sign-up/email", { email, name: "Ada", password: PASSWORD }),
    );
    expect(await accounts.authenticate(new Headers({ cookie }))).toEqual({
      ok: true,
      value: {
        accountId: await accountIdOf(email),
        email,
        name: "Ada",
        role: "customer",
        scopes: SCOPES_OF_ROLE.customer,
        via: "session",
      },
    });
  });

  test("a session begins with the right password, and is worth nothing after the log-out", async () => {
    const { accounts } = anInstance();
    const { email } = await anAccount(accounts, "customer");
    const cookie = await logIn(accounts, email);
    const session = await accounts.handle(request("/get-session", { cookie }));
    expect(await session.json()).toMatchObject({ user: { email, role: "customer" } });
    expect((await post(accounts, "/sign-out", {}, { cookie, origin: BASE_URL })).status).toBe(200);
    expect(await accounts.authenticate(new Headers({ cookie }))).toMatchObject(INVALID);
  });

  test("a wrong password is refused with a problem document and no session", async () => {
    const { accounts } = anInstance();
    const { email } = await anAccount(accounts, "customer");
    const guess = { email, password: "wrong horse battery" };
    const answer = await post(accounts, "/sign-in/email", guess, { "x-request-id": "req-7" });
    expect(answer.headers.get("content-type")).toBe("application/problem+json");
    expect(answer.headers.get("set-cookie")).toBeNull();
    expect(await answer.json()).toEqual({
      type: "urn:berth:problem:unauthenticated",
      title: "unauthenticated",
      status: 401,
      code: "unauthenticated",
      detail: "Invalid email or password",
      instance: "req-7",
      reason: "invalid_email_or_password",
    });
  });

  test("a password of nine characters is too short", async () => {
    const { accounts } = anInstance();
    const body = { email: anEmail(), name: "Ada", password: "ninechars" };
    const answer = await post(accounts, "/sign-up/email", body);
    expect(await answer.json()).toMatchObject({
      status: 400,
      code: "invalid_request",
      reason: "password_too_short",
    });
  });

  test.each(["  ", "x".repeat(201), "nul\0"])(
    "a name must say something, and not too much (%j)",
    async (name) => {
      const { accounts } = anInstance();
      const body = { email: anEmail(), name, password: PASSWORD };
      const answer = await post(accounts, "/sign-up/email", body);
      expect(await answer.json()).toMatchObject({
        code: "invalid_request",
        reason: "invalid_name",
      });
    },
  );

  test("a sign-up cannot choose its role", async () => {
    const { accounts } = anInstance();
    const email = anEmail();
    const body = { email, name: "Eve", password: PASSWORD, role: "staff" };
    const cookie = cookieOf(await post(accounts, "/sign-up/email", body));
    expect(await accounts.authenticate(new Headers({ cookie }))).toMatchObject({
      value: { email, role: "customer", scopes: SCOPES_OF_ROLE.customer },
    });
  });

  test("an address has one account, however it is written", async () => {
    const { accounts } = anInstance();
    const { email } = await anAccount(accounts, "customer");
    const body = { email: email.toUpperCase(), name: "Ada", password: PASSWORD };
    const answer = await post(accounts, "/sign-up/email", body);
    expect(await answer.json()).toMatchObject({
      status: 409,
      code: "email_taken",
    });
    expect(await accounts.createAccount({ ...body, role: "staff" })).toMatchObject({
      error: { code: "email_taken" },
    });
  });

  test("of two accounts made for one address at once, exactly one is made", async () => {
    const { accounts } = anInstance();
    const input = { email: anEmail(), name: "Ada", password: PASSWORD, role: "customer" } as const;
    const made = await Promise.all([accounts.createAccount(input), accounts.createAccount(input)]);
    expect(made.filter((result) => result.ok)).toHaveLength(1);
  });

  test("the password is stored only as a hash", async () => {
    const { accounts } = anInstance();
    const { accountId } = await anAccount(accounts, "customer");
    const [row] = await database.db
      .select()
      .from(accountTables.credentials)
      .where(eq(accountTables.credentials.userId, accountId));
    expect(row?.password).toMatch(/^[0-9a-f]{32}:[0-9a-f]{128}$/);
    expect(JSON.stringify(row)).not.toContain(PASSWORD);
  });

  test("with an authenticator app a password alone opens no session", async () => {
    const { accounts } = anInstance();
    const { email } = await anAccount(accounts, "customer");
    const first = { cookie: await logIn(accounts, email), origin: BASE_URL };
    const enabled = await post(accounts, "/two-factor/enable", { password: PASSWORD }, first);
    const { totpURI } = await fieldsOf(enabled);
    const code = totpOf(totpURI);
    expect((await post(accounts, "/two-factor/verify-totp", { code }, first)).status).toBe(200);

    const half = await post(accounts, "/sign-in/email", { email, password: PASSWORD });
    expect(await half.clone().json()).toMatchObject({ twoFactorRedirect: true });
    const pending = { cookie: cookieOf(half), origin: BASE_URL };
    expect(await accounts.authenticate(new Headers(pending))).toEqual({
      ok: true,
      value: undefined,
    });
    const wrong = await post(accounts, "/two-factor/verify-totp", { code: "000000" }, pending);
    expect(wrong.status).toBe(401);
    // 4b B5: the code that ended the set-up is good for nothing else.
    const again = await post(accounts, "/two-factor/verify-totp", { code }, pending);
    expect(await again.json()).toMatchObject({ status: 401, reason: "code_already_used" });
    const next = { code: totpOf(totpURI, 1) };
    const cookie = cookieOf(await post(accounts, "/two-factor/verify-totp", next, pending));
    expect(await accounts.authenticate(new Headers({ cookie }))).toMatchObject({
      value: { email },
    });
  });
});

describe("an account that staff makes", () => {
  test("has its address in small letters, its role, and the clock's time, and can log in", async () => {
    const { accounts } = anInstance({ clock: { now: () => AT } });
    const email = anEmail();
    const made = await accounts.createAccount({
      email: ` ${email.toUpperCase()}\n`,
      name: "Grace",
      password: PASSWORD,
      role: "staff",
    });
    if (!made.ok) throw new Error(made.error.code);
    const rows = await database.db
      .select()
      .from(accountTables.accounts)
      .where(eq(accountTables.accounts.id, made.value.accountId));
    expect(rows).toMatchObject([
      { email, name: "Grace", role: "staff", emailVerified: true, createdAt: AT, updatedAt: AT },
    ]);
    const cookie = await logIn(accounts, email);
    expect(await accounts.authenticate(new Headers({ cookie }))).toMatchObject({
      value: { email, role: "staff" },
    });
  });

  test("has a password of ten characters or more", async () => {
    const { accounts } = anInstance();
    const made = (password: string) =>
      accounts.createAccount({ email: anEmail(), name: "Ada", password, role: "customer" });
    await expect(made("nine char")).rejects.toThrow(RangeError);
    expect(await made("ten chars.")).toMatchObject({ ok: true });
  });

  test("that the database refuses, and not for its address, is an outage without its values", async () => {
    const { accounts } = anInstance();
    const email = anEmail();
    const input = { email, name: "x".repeat(201), password: PASSWORD, role: "customer" } as const;
    await expect(accounts.createAccount(input)).rejects.toMatchObject({
      message: "the accounts' database failed",
      cause: { constraint: "accounts_name_length" },
    });
    expect(await accounts.createAccount({ ...input, name: "Ada" })).toMatchObject({ ok: true });
  });
});

test("log-ins are signed with a secret of 32 characters or more", () => {
  expect(() => anInstance({ secret: "x".repeat(31) })).toThrow("32 characters");
  expect(() => anInstance({ secret: "x".repeat(32) })).not.toThrow();
});

describe("the log-in routes", () => {
  test("a refusal is named by its request, or by an id of its own", async () => {
    const { accounts } = anInstance({ ids: { newId: () => "id-of-ours" } });
    const asked = await post(accounts, "/nothing", {}, { "x-request-id": "req-8" });
    expect(await asked.json()).toMatchObject({ status: 404, instance: "req-8" });
    const unnamed = await post(accounts, "/nothing", {});
    expect(await unnamed.json()).toMatchObject({ status: 404, instance: "id-of-ours" });
  });

  test("cookies are kept from scripts and other sites, and in production from plain HTTP", async () => {
    for (const production of [false, true]) {
      const { accounts } = anInstance({ production });
      const body = { email: anEmail(), name: "Ada", password: PASSWORD };
      const set = (await post(accounts, "/sign-up/email", body)).headers.get("set-cookie") ?? "";
      expect(set).toMatch(/HttpOnly/i);
      expect(set).toMatch(/SameSite=Lax/i);
      expect(/; Secure/i.test(set)).toBe(production);
      // 4b B5: no other host of the domain can set it.
      expect(set.startsWith("__Host-berth.session_token=")).toBe(production);
      expect(set).toMatch(/; Path=\/(;|$)/i);
      expect(set).not.toMatch(/; Domain=/i);
    }
  });

  test("a page of another site cannot use a person's cookie", async () => {
    const { accounts } = anInstance();
    const { email } = await anAccount(accounts, "customer");
    const cookie = await logIn(accounts, email);
    const evil = { cookie, origin: "https://evil.example" };
    const answer = await post(accounts, "/sign-out", {}, evil);
    expect(await answer.json()).toMatchObject({
      status: 403,
      code: "forbidden",
      reason: "invalid_origin",
    });
    expect(await accounts.authenticate(new Headers({ cookie }))).toMatchObject({
      value: { email },
    });
  });

  test.each(["/api-key/create", "/sign-in/social", "/update-user", "/delete-user", "/../orders"])(
    "%s is not served",
    async (route) => {
      const answer = await post(anInstance().accounts, route, {});
      expect(await answer.json()).toMatchObject({ status: 404, code: "not_found" });
    },
  );

  // 4b B1
  test("of forty log-ins at once some are told to come again at once, and none is kept waiting behind them all", async () => {
    const { accounts } = anInstance();
    const { email } = await anAccount(accounts, "customer");
    const answers = await Promise.all(
      Array.from({ length: 40 }, () =>
        post(accounts, "/sign-in/email", { email, password: "wrong horse battery" }),
      ),
    );
    const busy = answers.filter((a) => a.status === 503);
    // As many as may be under way or wait were looked at; the others found no room at some moment.
    expect(busy.length).toBeGreaterThan(0);
    expect(answers.filter((a) => a.status === 401)).toHaveLength(40 - busy.length);
    expect(busy[0]?.headers.get("retry-after")).toBe("1");
    expect(await busy[0]?.json()).toMatchObject({ code: "busy", reason: "too_many_log_ins" });
    await logIn(accounts, email);
  });

  test("an outage is thrown without the values of the query, not answered as a refusal", async () => {
    const gone = await cloneDatabase();
    const { accounts } = accountsOn(gone.db);
    const { email } = await anAccount(accounts, "customer");
    const cookie = await logIn(accounts, email);
    await gone.drop();
    for (const call of [
      () => post(accounts, "/sign-in/email", { email, password: PASSWORD }),
      () => accounts.authenticate(new Headers({ cookie })),
      () => accounts.authenticate(bearer(`berth_${"a".repeat(64)}`)),
    ])
      await expect(call()).rejects.toMatchObject({
        message: "the accounts' database failed",
        cause: { message: expect.stringContaining("pool") },
      });
  });

  test("a sign-up that another one overtook is told to try again, and its values are not logged", async () => {
    const { accounts, lines } = anInstance();
    const body = { email: anEmail(), name: "Ada", password: PASSWORD };
    const late = await database.db.transaction(async (tx) => {
      const at = { createdAt: new Date(), updatedAt: new Date() };
      const other = { id: v7(), email: body.email, name: "Eve", role: "customer", ...at } as const;
      await tx.insert(accountTables.accounts).values(other);
      const answer = post(accounts, "/sign-up/email", body);
      await expect.poll(insertsThatWait, { timeout: PATIENCE_MS }).toBe(1);
      return { answer };
    });
    expect(await (await late.answer).json()).toMatchObject({ status: 503, code: "busy" });
    expect(lines).toEqual([expect.objectContaining({ event: "auth_failed", error_code: "23505" })]);
    expect(JSON.stringify(lines)).not.toContain(body.email);
    expect((await post(accounts, "/sign-up/email", body)).status).toBe(409);
  });

  test("an address too long for the table is refused, not tried", async () => {
    const label = "a".repeat(60);
    const email = `${label}@${label}.${label}.${label}.${label}.example`;
    const body = { email, name: "Ada", password: PASSWORD };
    const answer = await post(anInstance().accounts, "/sign-up/email", body);
    expect(await answer.json()).toMatchObject({ code: "invalid_request", reason: "invalid_email" });
  });
});

/** With better-auth's own hashes. */
const anInstance = (over: Parameters<typeof accountsOn>[1] = {}) =>
  accountsOn(database.db, { hashing: undefined, ...over });

async function insertsThatWait(): Promise<number> {
  const { rows } = await database.pool.query(
    `select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
  );
  return rows.length;
}

async function accountIdOf(email: string): Promise<string | undefined> {
  const { accounts } = accountTables;
  const [row] = await database.db.select().from(accounts).where(eq(accounts.email, email));
  return row?.id;
}

async function fieldsOf(answer: Response): Promise<{ totpURI: string }> {
  const body: unknown = await answer.json();
  if (typeof body !== "object" || body === null || !("totpURI" in body)) throw new Error("no URI");
  return { totpURI: String(body.totpURI) };
}

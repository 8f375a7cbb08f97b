import { createHash } from "node:crypto";
import { eq } from "drizzle-orm";
import { drizzle } from "drizzle-orm/node-postgres";
import { v7 } from "uuid";
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from "vitest";
import {
  type AccountPrincipal,
  type Accounts,
  type Role,
  SCOPES_OF_ROLE,
} from "#core/accounts/accounts.ts";
import * as accountTables from "#db/schema/accounts.ts";
import { cloneDatabase, type TestDatabase } from "#test/harness/database.ts";
import {
  accountsOn,
  anAccount,
  aToken,
  bearer,
  INVALID,
  logIn,
  PASSWORD,
  post,
  request,
} from "./account-builders.ts";

let database: TestDatabase;
beforeAll(async () => {
  database = await cloneDatabase();
});
afterAll(() => database.drop());

describe("API tokens", () => {
  test("a token does what its scopes say until it is revoked", async () => {
    const { accounts } = anInstance();
    const owner = await anAccount(accounts, "customer");
    const { token, secret } = await aToken(accounts, owner, { scopes: ["vms:write", "vms:read"] });
    expect(secret.startsWith("berth_")).toBe(true);
    expect(secret.startsWith(token.start)).toBe(true);
    expect(await accounts.authenticate(bearer(secret))).toEqual({
      ok: true,
      value: {
        ...owner,
        scopes: ["vms:read", "vms:write"],
        via: "token",
        token: { id: token.id, makers: [], expiresAt: null },
      },
    });
    const [listed] = await accounts.listTokens(owner.accountId);
    expect(listed).toEqual({ ...token, lastUsedAt: expect.any(Date) });

    expect(await accounts.revokeToken(owner.accountId, token.id)).toBe(true);
    expect(await accounts.authenticate(bearer(secret))).toMatchObject(INVALID);
    expect(await accounts.listTokens(owner.accountId)).toEqual([]);
    expect(await accounts.revokeToken(owner.accountId, token.id)).toBe(false);
  });

  test("the secret is stored only as its SHA-256", async () => {
    const { accounts } = anInstance();
    const { token, secret } = await aToken(accounts, await anAccount(accounts, "customer"));
    const row = await tokenRow(token.id);
    expect(row?.key).toBe(createHash("sha256").update(secret).digest("base64url"));
    expect(JSON.stringify(row)).not.toContain(secret.slice(token.start.length));
  });

  test("tokens that better-auth's plugin made stay good, and name their makers", async () => {
    const { accounts } = anInstance();
    const owner = await anAccount(accounts, "customer");
    const maker = await aToken(accounts, owner);
    const secret = `berth_${"Zq".repeat(32)}`;
    const made = {
      id: v7(),
      referenceId: owner.accountId,
      name: "of before",
      start: secret.slice(0, 12),
      prefix: "berth_",
      key: createHash("sha256").update(secret).digest("base64url"),
      permissions: `{"vms":["write","read"],"tokens":["read"]}`,
      metadata: JSON.stringify({ makers: [maker.token.id] }),
      rateLimitEnabled: false,
      rateLimitTimeWindow: 86_400_000,
      rateLimitMax: 10,
      createdAt: new Date(),
      updatedAt: new Date(),
    };
    await database.db.insert(accountTables.apiTokens).values(made);
    expect(await accounts.authenticate(bearer(secret))).toMatchObject({
      ok: true,
      value: {
        accountId: owner.accountId,
        scopes: ["vms:read", "vms:write", "tokens:read"],
        token: { id: made.id, makers: [maker.token.id], expiresAt: null },
      },
    });
    await accounts.revokeToken(owner.accountId, maker.token.id);
    expect(await accounts.authenticate(bearer(secret))).toMatchObject(INVALID);
    expect(await accounts.listTokens(owner.accountId)).toEqual([]);
  });

  test("a token ends at its expiry by the injected clock", async () => {
    const clock = aClock();
    const { accounts } = anInstance({ clock });
    const owner = await anAccount(accounts, "customer");
    clock.advance(40 * DAY);
    const { token, secret } = await aToken(accounts, owner, { expiresInSeconds: 3600 });
    expect(Math.abs(Number(token.expiresAt) - clock.now().getTime() - HOUR)).toBeLessThan(10_000);
    clock.advance(HOUR - 20_000);
    expect(await accounts.authenticate(bearer(secret))).toMatchObject({ ok: true });
    clock.advance(40_000);
    expect(await accounts.authenticate(bearer(secret))).toMatchObject(INVALID);
  });

  test("nobody gives a token more than they have themselves", async () => {
    const { accounts } = anInstance();
    const owner = await anAccount(accounts, "customer");
    const more = {
      name: "ci",
      scopes: ["vms:read", "staff:write"],
      expiresInSeconds: null,
    } as const;
    const refused = { ok: false, error: { code: "scope_not_allowed" } };
    expect(await accounts.createToken(owner, more)).toMatchObject(refused);

    const { secret } = await aToken(accounts, owner, { scopes: ["vms:read"] });
    const reader = await accounts.authenticate(bearer(secret));
    if (!reader.ok || reader.value === undefined) throw new Error("the token is good");
    const wider = { name: "ci", scopes: ["vms:write"], expiresInSeconds: null } as const;
    expect(await accounts.createToken(reader.value, wider)).toMatchObject(refused);
    expect(await accounts.listTokens(owner.accountId)).toHaveLength(1);
  });

  test("a token that a token makes ends no later than its maker", async () => {
    const clock = aClock();
    const { accounts } = anInstance({ clock });
    const owner = await anAccount(accounts, "customer");
    const maker = await aToken(accounts, owner, { expiresInSeconds: HOUR / 1000 });
    clock.advance(HOUR / 2);
    for (const expiresInSeconds of [null, (10 * DAY) / 1000]) {
      const made = await aToken(accounts, await bearerOf(accounts, maker.secret), {
        expiresInSeconds,
      });
      expect(Math.abs(Number(made.token.expiresAt) - Number(maker.token.expiresAt))).toBeLessThan(
        5_000,
      );
    }
    const sooner = await aToken(accounts, await bearerOf(accounts, maker.secret), {
      expiresInSeconds: 60,
    });
    expect(Number(sooner.token.expiresAt)).toBeLessThan(clock.now().getTime() + 2 * MINUTE);
  });

  test("a revoked token takes along what it made, and what that made", async () => {
    const { accounts } = anInstance();
    const owner = await anAccount(accounts, "customer");
    const kept = await aToken(accounts, owner);
    const maker = await aToken(accounts, owner);
    const child = await aToken(accounts, await bearerOf(accounts, maker.secret));
    const grandchild = await aToken(accounts, await bearerOf(accounts, child.secret));
    expect(await accounts.authenticate(bearer(grandchild.secret))).toMatchObject({ ok: true });

    expect(await accounts.revokeToken(owner.accountId, maker.token.id)).toBe(true);
    for (const { secret } of [maker, child, grandchild])
      expect(await accounts.authenticate(bearer(secret))).toMatchObject(INVALID);
    const left = await accounts.listTokens(owner.accountId);
    expect(left.map((t) => t.id)).toEqual([kept.token.id]);
  });

  test("a token made while its maker is being revoked is worth nothing", async () => {
    const { accounts } = anInstance();
    const owner = await anAccount(accounts, "customer");
    const maker = await aToken(accounts, owner);
    const late = await bearerOf(accounts, maker.secret);
    await accounts.revokeToken(owner.accountId, maker.token.id);
    const made = await aToken(accounts, late);
    expect(await accounts.authenticate(bearer(made.secret))).toMatchObject(INVALID);
  });

  test("a token is judged as its account is now, in one statement, and one more for its makers", async () => {
    const statements: string[] = [];
    const logger = { logQuery: (query: string) => void statements.push(query) };
    const { accounts } = accountsOn(drizzle(database.pool, { logger }));
    const owner = await anAccount(accounts, "customer");
    const maker = await aToken(accounts, owner);
    const made = await aToken(accounts, await bearerOf(accounts, maker.secret));
    const looks = async (secret: string) => {
      await accounts.authenticate(bearer(secret)); // its first use is noted
      statements.length = 0;
      expect(await accounts.authenticate(bearer(secret))).toMatchObject({ ok: true });
      return statements.length;
    };
    expect(await looks(maker.secret)).toBe(1);
    expect(await looks(made.secret)).toBe(2);
  });

  test("an account has at most a hundred tokens", async () => {
    const { accounts } = anInstance();
    const owner = await anAccount(accounts, "customer");
    const { token } = await aToken(accounts, owner);
    const row = await tokenRow(token.id);
    if (row === undefined) throw new Error("the token is stored");
    const copies = Array.from({ length: 99 }, () => ({ ...row, id: v7(), key: aHash() }));
    await database.db.insert(accountTables.apiTokens).values(copies);
    const input = { name: "one more", scopes: [], expiresInSeconds: null };
    expect(await accounts.createToken(owner, input)).toMatchObject({
      error: { code: "token_limit" },
    });
  });

  test("an account has a hundred tokens and no more, however many are made at once (4b B7)", async () => {
    const { accounts } = anInstance();
    const owner = await anAccount(accounts, "customer");
    const { token } = await aToken(accounts, owner);
    const row = await tokenRow(token.id);
    if (row === undefined) throw new Error("the token is stored");
    const copies = Array.from({ length: 97 }, () => ({ ...row, id: v7(), key: aHash() }));
    await database.db.insert(accountTables.apiTokens).values(copies);
    const input = { name: "at once", scopes: [], expiresInSeconds: null };
    const made = await Promise.all(
      Array.from({ length: 8 }, () => accounts.createToken(owner, input)),
    );
    expect(made.filter(({ ok }) => ok)).toHaveLength(2);
    expect(await accounts.listTokens(owner.accountId)).toHaveLength(100);
  });

  test("another account's token can neither be revoked nor seen", async () => {
    const { accounts } = anInstance();
    const { token, secret } = await aToken(accounts, await anAccount(accounts, "customer"));
    const other = await anAccount(accounts, "staff");
    expect(await accounts.revokeToken(other.accountId, token.id)).toBe(false);
    expect(await accounts.listTokens(other.accountId)).toEqual([]);
    expect(await accounts.authenticate(bearer(secret))).toMatchObject({ ok: true });
    expect(await accounts.revokeToken(other.accountId, "' or true --")).toBe(false);
  });

  test("a token in use is written once in five minutes, not at each request", async () => {
    const clock = aClock();
    const { accounts } = anInstance({ clock });
    const { token, secret } = await aToken(accounts, await anAccount(accounts, "integration"), {
      scopes: ["services:write"],
    });
    const usedAt = async () => {
      expect(await accounts.authenticate(bearer(secret))).toMatchObject({ ok: true });
      return (await tokenRow(token.id))?.lastRequest;
    };
    const first = clock.now();
    expect(await usedAt()).toEqual(first);
    clock.advance(4 * MINUTE);
    expect(await usedAt()).toEqual(first);
    clock.advance(MINUTE);
    expect(await usedAt()).toEqual(clock.now());
  });
});

describe("authenticating", () => {
  test("no credentials are no refusal", async () => {
    const headers = new Headers({ cookie: "theme=dark" });
    expect(await anInstance().accounts.authenticate(headers)).toEqual({
      ok: true,
      value: undefined,
    });
  });

  test.each([
    ["an unknown token", { authorization: `Bearer berth_${"a".repeat(64)}` }],
    ["a token of somebody else's making", { authorization: "Bearer eyJhbGciOiJub25lIn0.e30." }],
    ["another scheme", { authorization: "Basic YWRhOmhvcnNl" }],
    ["a forged cookie", { cookie: "berth.session_token=forged.c2lnbmF0dXJl" }],
  ])("%s is refused", async (_what, headers) => {
    expect(await anInstance().accounts.authenticate(new Headers(headers))).toMatchObject(INVALID);
  });

  test("a token that is switched off is refused", async () => {
    const { accounts } = anInstance();
    const { token, secret } = await aToken(accounts, await anAccount(accounts, "customer"));
    const { apiTokens } = accountTables;
    await database.db.update(apiTokens).set({ enabled: false }).where(eq(apiTokens.id, token.id));
    expect(await accounts.authenticate(bearer(secret))).toMatchObject(INVALID);
  });

  test("a session is prolonged when a browser asks for it, and never by a request of the API", async () => {
    const { accounts } = anInstance();
    const { accountId, email } = await anAccount(accounts, "customer");
    const cookie = await logIn(accounts, email);
    const { sessions } = accountTables;
    const mine = eq(sessions.userId, accountId);
    const expiresAt = new Date(Date.now() + 2 * DAY);
    await database.db.update(sessions).set({ expiresAt }).where(mine);
    const expiry = async () =>
      (await database.db.select().from(sessions).where(mine))[0]?.expiresAt;

    expect(await accounts.authenticate(new Headers({ cookie }))).toMatchObject({
      value: { email },
    });
    expect(await expiry()).toEqual(expiresAt);
    await accounts.handle(request("/get-session", { cookie }));
    expect(Number(await expiry())).toBeGreaterThan(expiresAt.getTime() + 4 * DAY);
  });

  test("a changed role is in force at the next request, for sessions and for tokens", async () => {
    const { accounts } = anInstance();
    const owner = await anAccount(accounts, "staff");
    const cookie = await logIn(accounts, owner.email);
    const { secret } = await aToken(accounts, owner, { scopes: ["staff:write", "vms:read"] });
    await changeAccount(owner.accountId, { role: "customer", staffRole: null });
    expect(await accounts.authenticate(new Headers({ cookie }))).toMatchObject({
      value: { role: "customer", scopes: SCOPES_OF_ROLE.customer },
    });
    expect(await accounts.authenticate(bearer(secret))).toMatchObject({
      value: { role: "customer", scopes: ["vms:read"] },
    });
  });

  test("a ban is in force at the next request, and ends log-ins", async () => {
    const { accounts } = anInstance();
    const owner = await anAccount(accounts, "customer");
    const cookie = await logIn(accounts, owner.email);
    const { secret } = await aToken(accounts, owner);
    await changeAccount(owner.accountId, { bannedAt: new Date() });
    expect(await accounts.authenticate(new Headers({ cookie }))).toMatchObject(INVALID);
    expect(await accounts.authenticate(bearer(secret))).toMatchObject(INVALID);
    const answer = await post(accounts, "/sign-in/email", {
      email: owner.email,
      password: PASSWORD,
    });
    expect(await answer.json()).toMatchObject({ code: "forbidden", reason: "account_banned" });
  });

  test("nothing here calls out to the network", async () => {
    const fetched = vi.spyOn(globalThis, "fetch");
    onTestFinished(() => fetched.mockRestore());
    const { accounts } = anInstance({ production: true });
    const owner = await anAccount(accounts, "customer");
    const { secret } = await aToken(accounts, owner);
    await accounts.authenticate(bearer(secret));
    expect(fetched).not.toHaveBeenCalled();
  });
});

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const anInstance = (over: Parameters<typeof accountsOn>[1] = {}) => accountsOn(database.db, over);

async function bearerOf(accounts: Accounts, secret: string): Promise<AccountPrincipal> {
  const found = await accounts.authenticate(bearer(secret));
  if (!found.ok || found.value === undefined) throw new Error("the token is good");
  return found.value;
}

const aHash = () => createHash("sha256").update(v7()).digest("base64url");

function aClock() {
  let now = Date.now();
  return {
    now: () => new Date(now),
    advance: (ms: number) => {
      now += ms;
    },
  };
}

async function changeAccount(
  id: string,
  change: { role?: Role; staffRole?: null; bannedAt?: Date },
): Promise<void> {
  await database.db
    .update(accountTables.accounts)
    .set(change)
    .where(eq(accountTables.accounts.id, id));
}

async function tokenRow(id: string) {
  const { apiTokens } = accountTables;
  const [row] = await database.db.select().from(apiTokens).where(eq(apiTokens.id, id));
  return row;
}

import { createHash, createHmac } from "node:crypto";
import { expect } from "vitest";
import { v7 } from "uuid";
import { systemClock, systemSecrets } from "#adapters/clock.ts";
import { createLogIns } from "#adapters/log-ins.ts";
import type { Hashing } from "#adapters/password-hashes.ts";
import { createSessionCookies } from "#adapters/session-cookies.ts";
import { createAccounts } from "#commands/accounts/check-access.ts";
import {
  type AccountPrincipal,
  type Accounts,
  type LogIns,
  type Role,
  scopesOf,
  SCOPES_OF_ROLE,
  type StaffRole,
} from "#core/accounts/accounts.ts";
import type { Db } from "#db/client.ts";
import { spendCode } from "#db/accounts/spent-codes.ts";
import * as accountTables from "#db/schema/accounts.ts";

export const BASE_URL = "http://berth.test";
export const PASSWORD = "correct horse battery";
export const INVALID = { ok: false, error: { code: "token_invalid" } };

const SECRET = "for tests only, and long enough for a secret";

/**
 * Hashes in no time: better-auth's own takes a processor for 50 ms and more, and these tests are about all else. Its own are what
 * `accounts.test.ts`, every stack of `test/e2e/` and the bundles of `test/cdk/` hash with.
 */
const lightly: Hashing = {
  hashPassword: async (password) => createHash("sha256").update(password).digest("hex"),
  verifyPassword: async ({ hash, password }) => hash === (await lightly.hashPassword(password)),
};

/** Log-ins and the check of access over one database. */
export type Doors = Accounts & LogIns;

/** Both over this database, and what was logged. Several over one database are several Lambdas. */
export function accountsOn(
  db: Db,
  over: Partial<Parameters<typeof createLogIns>[0]> = {},
): { accounts: Doors; lines: Record<string, unknown>[] } {
  const lines: Record<string, unknown>[] = [];
  const write = (event: string, fields: Record<string, unknown>) =>
    lines.push({ event, ...fields });
  const options = {
    db,
    clock: systemClock,
    ids: { newId: () => v7() },
    log: { info: write, error: write },
    production: false,
    hashing: lightly,
    ...over,
  };
  const logIns = createLogIns({
    tables: accountTables,
    spendCode: (accountId, code) => spendCode(db, accountId, code, new Date()),
    secret: SECRET,
    baseUrl: BASE_URL,
    trustedOrigins: [],
    ...options,
  });
  const checks = createAccounts({
    ...options,
    clock: { ...systemClock, ...options.clock },
    secrets: systemSecrets,
    sessionClock: systemClock,
    cookies: createSessionCookies({ secret: SECRET, secure: options.production }),
  });
  return { accounts: { ...logIns, ...checks }, lines };
}

export const anEmail = () => `${v7()}@example.com`;
export const bearer = (secret: string) => new Headers({ authorization: `Bearer ${secret}` });

export async function anAccount(accounts: LogIns, role: Role): Promise<AccountPrincipal> {
  const email = anEmail();
  const made = await accounts.createAccount({ email, name: "Ada", password: PASSWORD, role });
  if (!made.ok) throw new Error(made.error.code);
  const { accountId } = made.value;
  return { accountId, email, name: "Ada", role, scopes: SCOPES_OF_ROLE[role], via: "session" };
}

/** A member of staff with a token that may do all that they may, as a log-in with a second factor makes it. */
export async function aMember(
  accounts: Doors,
  staffRole: StaffRole,
): Promise<{ accountId: string; email: string; secret: string }> {
  const who = { email: anEmail(), name: "Grace", role: "staff", staffRole } as const;
  const made = await accounts.createAccount({ ...who, password: PASSWORD });
  if (!made.ok) throw new Error(made.error.code);
  const scopes = scopesOf(who);
  const owner = { ...who, ...made.value, scopes, via: "session" } as const;
  const token = await accounts.createToken(owner, { name: "desk", scopes, expiresInSeconds: null });
  if (!token.ok) throw new Error(token.error.code);
  return { ...made.value, email: who.email, secret: token.value.secret };
}

export async function aToken(
  accounts: Accounts,
  owner: AccountPrincipal,
  over: Partial<Parameters<Accounts["createToken"]>[1]> = {},
) {
  const input = { name: "ci", scopes: ["vms:read"] as const, expiresInSeconds: null, ...over };
  const made = await accounts.createToken(owner, input);
  if (!made.ok) throw new Error(made.error.code);
  return made.value;
}

export const request = (route: string, headers: Record<string, string>, body?: object) =>
  new Request(`${BASE_URL}/v1/auth${route}`, {
    method: body === undefined ? "GET" : "POST",
    headers: { "content-type": "application/json", ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });

export const post = (
  accounts: LogIns,
  route: string,
  body: object,
  headers: Record<string, string> = {},
) => accounts.handle(request(route, headers, body));

export async function logIn(accounts: LogIns, email: string): Promise<string> {
  return cookieOf(await post(accounts, "/sign-in/email", { email, password: PASSWORD }));
}

/** The cookies of an answer, as a browser sends them back. */
export function cookieOf(answer: Response): string {
  expect(answer.status).toBe(200);
  return answer.headers
    .getSetCookie()
    .filter((cookie) => !/Max-Age=0/i.test(cookie))
    .map((cookie) => cookie.split(";")[0])
    .join("; ");
}

/**
 * The code that an authenticator app shows for an `otpauth:` address (RFC 6238; SHA-1, 30 s, 6 digits): now, or by a clock
 * that is `ahead` so many steps, of which better-auth allows one.
 */
export function totpOf(address: string, ahead = 0): string {
  const digits = new URL(address).searchParams.get("secret") ?? "";
  const bits = Array.from(digits, (c) =>
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".indexOf(c).toString(2).padStart(5, "0"),
  );
  const bytes = (bits.join("").match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000) + ahead));
  const mac = createHmac("sha1", Buffer.from(bytes)).update(counter).digest();
  const number = mac.readUInt32BE((mac.at(-1) ?? 0) & 15) & 0x7fff_ffff;
  return String(number % 1_000_000).padStart(6, "0");
}

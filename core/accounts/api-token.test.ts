import { describe, expect, test } from "vitest";
import { aPrincipal, AT, minutesAfter } from "#test/builders.ts";
import { SCOPES } from "./accounts.ts";
import {
  isInForce,
  isUseNoted,
  newApiToken,
  TOKEN_BYTES,
  TOKEN_PREFIX,
  toTokenView,
  type ApiToken,
} from "./api-token.ts";

const MADE = { id: "token-3", secret: "berth_AbCdEfGhIjKl", now: AT };
const aToken = (over: Partial<ApiToken> = {}): ApiToken => ({
  id: "token-1",
  accountId: "account-1",
  name: "deploys",
  start: "berth_XyZ123",
  scopes: ["vms:read", "tokens:read"],
  makers: ["token-0"],
  enabled: true,
  createdAt: minutesAfter(-60),
  expiresAt: minutesAfter(60),
  lastUsedAt: minutesAfter(-30),
  ...over,
});

/** An hour after `AT`, as what is asked for. */
const AN_HOUR = 3600;
const madeBy = (
  maker: { id: string; makers: readonly string[]; expiresAt: Date | null } | undefined,
  expiresInSeconds: number | null,
) => {
  const owner = aPrincipal({ accountId: "account-2", ...(maker ? { token: maker } : {}) });
  return newApiToken(owner, { name: "backups", scopes: ["vms:read"], expiresInSeconds }, MADE);
};

describe("a new token", () => {
  test("of a session is in force at once, keeps the secret's first six characters, and has no maker", () => {
    expect(madeBy(undefined, AN_HOUR)).toEqual({
      id: "token-3",
      accountId: "account-2",
      name: "backups",
      start: "berth_AbCdEf",
      scopes: ["vms:read"],
      makers: [],
      enabled: true,
      createdAt: AT,
      expiresAt: minutesAfter(60),
      lastUsedAt: null,
    });
  });

  test("is told as one of ours by its prefix, and has 48 random bytes", () => {
    expect(TOKEN_PREFIX).toBe("berth_");
    expect(TOKEN_BYTES).toBe(48);
  });

  test("of a token knows all that made it, the first one first", () => {
    const maker = { id: "token-2", makers: ["token-0", "token-1"], expiresAt: null };
    expect(madeBy(maker, null).makers).toEqual(["token-0", "token-1", "token-2"]);
  });

  test("has the scopes that were asked for, once each and in our order, and no other", () => {
    const asked = {
      name: "all",
      scopes: ["tokens:write", "vms:read", "orders:read", "vms:read"],
      expiresInSeconds: null,
    } as const;
    expect(newApiToken(aPrincipal(), asked, MADE).scopes).toEqual([
      "orders:read",
      "vms:read",
      "tokens:write",
    ]);
    expect(newApiToken(aPrincipal(), { ...asked, scopes: [] }, MADE).scopes).toEqual([]);
    expect(newApiToken(aPrincipal(), { ...asked, scopes: SCOPES }, MADE).scopes).toEqual(SCOPES);
  });

  test.each([
    { name: "never, when nothing ends it", maker: undefined, asked: null, ends: null },
    { name: "when it was asked to", maker: undefined, asked: AN_HOUR, ends: minutesAfter(60) },
    { name: "never, by a maker that never does", maker: null, asked: null, ends: null },
    {
      name: "when asked, by a maker that never does",
      maker: null,
      asked: AN_HOUR,
      ends: minutesAfter(60),
    },
    {
      name: "with its maker, when asked for no end",
      maker: minutesAfter(30),
      asked: null,
      ends: minutesAfter(30),
    },
    {
      name: "with its maker, when asked for more",
      maker: minutesAfter(30),
      asked: AN_HOUR,
      ends: minutesAfter(30),
    },
    {
      name: "before its maker, when asked for less",
      maker: minutesAfter(90),
      asked: AN_HOUR,
      ends: minutesAfter(60),
    },
  ])("ends $name", ({ maker, asked, ends }) => {
    const token = maker === undefined ? maker : { id: "token-2", makers: [], expiresAt: maker };
    expect(madeBy(token, asked).expiresAt).toEqual(ends);
  });
});

test.each([
  { name: "one that never ends", over: { expiresAt: null }, inForce: true },
  {
    name: "one with a millisecond left",
    over: { expiresAt: new Date(+AT + 1) },
    inForce: true,
  },
  { name: "one that ends now", over: { expiresAt: AT }, inForce: false },
  { name: "one that ended", over: { expiresAt: minutesAfter(-1) }, inForce: false },
  { name: "a revoked one", over: { enabled: false }, inForce: false },
  {
    name: "a revoked one that never ends",
    over: { enabled: false, expiresAt: null },
    inForce: false,
  },
])("$name is in force: $inForce", ({ over, inForce }) => {
  expect(isInForce(aToken(over), AT)).toBe(inForce);
});

test.each([
  { name: "never", lastUsedAt: null, noted: false },
  { name: "just now", lastUsedAt: AT, noted: true },
  {
    name: "a millisecond less than five minutes ago",
    lastUsedAt: new Date(+minutesAfter(-5) + 1),
    noted: true,
  },
  { name: "five minutes ago", lastUsedAt: minutesAfter(-5), noted: false },
  { name: "an hour ago", lastUsedAt: minutesAfter(-60), noted: false },
])("the use of a token last used $name is noted: $noted", ({ lastUsedAt, noted }) => {
  expect(isUseNoted(aToken({ lastUsedAt }), AT)).toBe(noted);
});

test("a token is shown without whose it is, what made it, and whether it is revoked", () => {
  expect(toTokenView(aToken())).toEqual({
    id: "token-1",
    name: "deploys",
    start: "berth_XyZ123",
    scopes: ["vms:read", "tokens:read"],
    createdAt: minutesAfter(-60),
    expiresAt: minutesAfter(60),
    lastUsedAt: minutesAfter(-30),
  });
});

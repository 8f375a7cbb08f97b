import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { addHost } from "#commands/hosts/add-host.ts";
import { createSlowDown } from "#commands/accounts/slow-down.ts";
import { purgeOldRows } from "#commands/purge-old-rows.ts";
import { LIMITS } from "#core/accounts/attempts.ts";
import type { LogIns } from "#core/accounts/accounts.ts";
import { hostFacts } from "#test/builders.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { anAgentKey } from "#test/harness/agent-requests.ts";
import { aWorld, SYSTEM, valueOf } from "#test/harness/world.ts";
import {
  accountsOn,
  anAccount,
  anEmail,
  aToken,
  BASE_URL,
  type Doors,
  PASSWORD,
} from "./account-builders.ts";

/* 4b B1: whoever tries too often is slowed down, and nobody else. */

let cp: ControlPlane;
let doors: Doors;
beforeAll(async () => {
  cp = await startControlPlane({
    accounts: (db) => {
      const made = accountsOn(db, { clock: { now: () => cp.clock.now() } });
      doors = withoutHashing(made.accounts);
      return doors;
    },
  });
});
afterAll(() => cp.drop());

/** Log-ins that know the right password without a hash: what is counted here stands before it. */
function withoutHashing(accounts: Doors): Doors {
  const handle: LogIns["handle"] = async (request) => {
    if (!request.url.endsWith("/sign-in/email")) return accounts.handle(request);
    const { password } = JSON.parse(await request.text());
    return Response.json({}, { status: password === PASSWORD ? 200 : 401 });
  };
  return { ...accounts, handle };
}

let addresses = 0;
/** An address, and network, that no other test has. */
const anAddress = () => {
  addresses += 1;
  return `10.${addresses >> 8}.${addresses & 255}.9`;
};

const send = (
  route: string,
  from: string,
  { body, token }: { body?: object; token?: string } = {},
): Promise<Response> =>
  cp.fetch(
    new Request(`${BASE_URL}${route}`, {
      method: body === undefined ? "GET" : "POST",
      headers: {
        "x-berth-client-ip": from,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    }),
  );
const logIn = (email: string, from: string, password = "wrong horse battery") =>
  send("/v1/auth/sign-in/email", from, { body: { email, password } });

async function refusedFor(answer: Response): Promise<number> {
  expect(answer.status).toBe(429);
  expect(await answer.json()).toMatchObject({ code: "rate_limited", status: 429 });
  return Number(answer.headers.get("retry-after"));
}
/** How many of these answers had each status. */
const statuses = (answers: readonly Response[]) =>
  Object.fromEntries(
    [...Map.groupBy(answers, (a) => a.status)].map(([status, of]) => [status, of.length]),
  );
const inTurn = async (n: number, call: (n: number) => Promise<Response>) => {
  const answers: Response[] = [];
  for (let i = 0; i < n; i++) answers.push(await call(i));
  return answers;
};

describe("API tokens that are wrong", () => {
  const wrong = (from: string, n = 0) =>
    send("/v1/me", from, { token: `berth_${String(n).padStart(64, "x")}` });

  test("are slowed down by address after some, before anything is looked up, and told when to come again", async () => {
    const from = anAddress();
    const answers = await inTurn(300, (n) => wrong(from, n));
    expect(statuses(answers)).toEqual({ 401: LIMITS.wrong_api_token.atOnce, 429: 280 });
    expect(await refusedFor(await wrong(from))).toBe(10);
    cp.clock.advance(10_000);
    // One more is looked at, and that is all for now.
    expect(statuses(await inTurn(2, () => wrong(from)))).toEqual({ 401: 1, 429: 1 });
  });

  test("cost no statement once their address is known", async () => {
    const from = anAddress();
    await inTurn(LIMITS.wrong_api_token.atOnce + 1, (n) => wrong(from, n));
    expect(await cp.steps.watch(() => wrong(anAddress()))).not.toEqual([]);
    expect(await cp.steps.watch(() => inTurn(50, (n) => wrong(from, n)))).toEqual([]);
  });

  test("of one address slow down nobody at another; a right one counts nothing", async () => {
    const owner = await anAccount(doors, "customer");
    const { secret: token } = await aToken(doors, owner, { scopes: ["tokens:read"] });
    const [attacker, other] = [anAddress(), anAddress()];
    await inTurn(30, (n) => wrong(attacker, n));
    expect(statuses(await inTurn(40, () => send("/v1/me", other, { token })))).toEqual({ 200: 40 });
    // The same machine's good one waits with its bad ones, for no longer than the next attempt does.
    await refusedFor(await send("/v1/me", attacker, { token }));
    cp.clock.advance(10_000);
    expect((await send("/v1/me", attacker, { token })).status).toBe(200);
  });

  test("from a household's many IPv6 addresses are one caller's; its neighbours are not meant", async () => {
    const answers = await inTurn(60, (n) =>
      wrong(`2001:db8:7:${(0x100 + n).toString(16)}::${n}`, n),
    );
    expect(statuses(answers)).toEqual({ 401: 20, 429: 40 });
    expect((await wrong("2001:db8:7:200::1")).status).toBe(401);
    const ipv4 = anAddress();
    await inTurn(21, (n) => wrong(ipv4, n));
    expect((await wrong(ipv4.replace(/9$/, "10"))).status).toBe(401);
  });

  test("are counted over all processes, and of any number at once no more are taken", async () => {
    const counted = anAddress();
    const processes = Array.from({ length: 4 }, () => createSlowDown(cp.deps));
    const taken = await Promise.all(
      processes.flatMap((one) =>
        Array.from({ length: 20 }, () => one.takeOfCaller("wrong_api_token", counted)),
      ),
    );
    expect(taken.filter((t) => t.ok)).toHaveLength(LIMITS.wrong_api_token.atOnce);
  });
});

describe("join tokens that are wrong", () => {
  test("are slowed down by address, and the right one of another is taken", async () => {
    const { locationId } = await aWorld(cp);
    const host = { name: anEmail(), locationId, testOnly: false, cpuOvercommit: 4 };
    const { joinToken } = valueOf(await addHost(cp.deps, SYSTEM, host));
    const { x } = await anAgentKey();
    const enrol = (from: string, token: string) =>
      send("/agent/v1/enroll", from, {
        body: {
          joinToken: token,
          publicKey: { kty: "OKP", crv: "Ed25519", x },
          facts: hostFacts(),
        },
      });
    const from = anAddress();
    const answers = await inTurn(60, (n) => enrol(from, `${joinToken}${n}`));
    expect(statuses(answers)).toEqual({ 401: LIMITS.wrong_join_token.atOnce, 429: 40 });
    expect(await refusedFor(await enrol(from, joinToken))).toBe(10);
    expect((await enrol(anAddress(), joinToken)).status).toBe(200);
  });
});

describe("log-ins", () => {
  test("of one address are ten at once, then one in six seconds, whoever's", async () => {
    const from = anAddress();
    expect(statuses(await inTurn(12, () => logIn(anEmail(), from)))).toEqual({ 401: 10, 429: 2 });
    cp.clock.advance(6_000);
    expect(statuses(await inTurn(2, () => logIn(anEmail(), from)))).toEqual({ 401: 1, 429: 1 });
    expect((await logIn(anEmail(), anAddress())).status).toBe(401);
  });

  test("of one account are slowed down from 60 addresses too, whether it has an account or not", async () => {
    const { email } = await anAccount(doors, "customer");
    for (const victim of [email, anEmail()]) {
      const answers = await inTurn(60, () => logIn(victim, anAddress()));
      expect(statuses(answers)).toEqual({ 401: 10, 429: 50 });
      expect(await refusedFor(await logIn(victim.toUpperCase(), anAddress()))).toBe(300);
      cp.clock.advanceMinutes(5);
      expect(statuses(await inTurn(2, () => logIn(victim, anAddress())))).toEqual({
        401: 1,
        429: 1,
      });
    }
  });

  test("of its owner, from where he has logged in before, go on while others guess", async () => {
    const { email } = await anAccount(doors, "customer");
    const home = anAddress();
    expect((await logIn(email, home, PASSWORD)).status).toBe(200);
    await inTurn(60, () => logIn(email, anAddress()));
    await refusedFor(await logIn(email, anAddress(), PASSWORD));
    // From the same network, though not from the very address.
    expect((await logIn(email, home, PASSWORD)).status).toBe(200);
    expect((await logIn(email, home.replace(/9$/, "77"), PASSWORD)).status).toBe(200);
    // There he has his own limit, which nobody elsewhere uses up.
    const answers = await inTurn(20, (n) => logIn(email, home.replace(/9$/, String(100 + n))));
    expect(statuses(answers)).toEqual({ 401: 8, 429: 12 });
  });

  test("by another one's guesses are not shut for good: a link that was mailed lets its reader in from where he is", async () => {
    const { email } = await anAccount(doors, "customer");
    await inTurn(60, () => logIn(email, anAddress()));
    const away = anAddress();
    await refusedFor(await logIn(email, away, PASSWORD));
    await send("/v1/auth/request-password-reset", away, { body: { email } });
    await cp.pump();
    const token = /#(\S+)/.exec(cp.mails.findLast((m) => m.to === email)?.text ?? "")?.[1];
    const reset = { token, newPassword: "another horse battery" };
    expect((await send("/v1/auth/reset-password", away, { body: reset })).status).toBe(200);
    expect((await logIn(email, away, PASSWORD)).status).toBe(200);
  });
});

describe("every other route of log-ins", () => {
  test.each([
    ["/v1/auth/request-password-reset", { email: "nobody@example.com" }, LIMITS.link.atOnce],
    [
      "/v1/auth/reset-password",
      { token: "x", newPassword: "long enough, this" },
      LIMITS.link.atOnce,
    ],
    ["/v1/auth/verify-email", { token: "x" }, LIMITS.link.atOnce],
    ["/v1/auth/two-factor/verify-totp", { code: "000000" }, LIMITS.second_factor.atOnce],
    ["/v1/auth/two-factor/verify-backup-code", { code: "x" }, LIMITS.second_factor.atOnce],
    ["/v1/auth/sign-out", {}, LIMITS.log_in_route.atOnce],
    ["/v1/auth/get-session", undefined, LIMITS.log_in_route.atOnce],
  ])("%s is slowed down by address", async (route, body, atOnce) => {
    const from = anAddress();
    const answers = await inTurn(atOnce + 3, () => send(route, from, body ? { body } : {}));
    expect(statuses(answers)[429]).toBe(3);
    expect((await send(route, anAddress(), body ? { body } : {})).status).not.toBe(429);
  });
});

test("what runs out is swept away, and nothing that still counts", async () => {
  const kept = anAddress();
  await inTurn(12, () => logIn(anEmail(), kept));
  const { email } = await anAccount(doors, "customer");
  await logIn(email, anAddress(), PASSWORD);
  const rows = async (table: string) => (await cp.rows(`select 1 from ${table}`)).length;
  cp.clock.advance(2_000);
  await purgeOldRows(cp.deps);
  await refusedFor(await logIn(anEmail(), kept));
  expect(await rows("attempts")).toBeGreaterThan(0);
  expect(await rows("known_networks")).toBeGreaterThan(0);
  cp.clock.advanceDays(91);
  await purgeOldRows(cp.deps);
  expect([await rows("attempts"), await rows("known_networks")]).toEqual([0, 0]);
});

test("where nobody's address is known, nothing is counted by it", async () => {
  const slowDown = createSlowDown(cp.deps);
  await aWorld(cp);
  for (const address of [undefined, "", "unknown"])
    for (let n = 0; n < 30; n++) {
      expect((await slowDown.takeOfCaller("sign_in", address)).ok).toBe(true);
      expect((await slowDown.takeLogIn("ada@example.com", address)).ok).toBe(true);
    }
});

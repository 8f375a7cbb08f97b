import { afterAll, beforeAll, expect, test } from "vitest";
import { chooseLocale } from "#commands/accounts/set-locale.ts";
import { askForLink } from "#commands/accounts/ask-for-link.ts";
import type { AccountPrincipal } from "#core/accounts/accounts.ts";
import type { Db } from "#db/client.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { accountsOn, anAccount, aToken, BASE_URL, logIn, type Doors } from "./account-builders.ts";

/* Issue 15 item 9: everybody chooses the language that they are written to in. */

let cp: ControlPlane;
let accounts: Doors;
beforeAll(async () => {
  const doorsOn = (db: Db) => ({ accounts } = accountsOn(db)).accounts;
  cp = await startControlPlane({ accounts: doorsOn });
});
afterAll(() => cp.drop());

const bearing = (secret: string) => ({ authorization: `Bearer ${secret}` });
async function me(headers: Record<string, string>, change?: object) {
  const answer = await cp.fetch(
    new Request(`${BASE_URL}/v1/me`, {
      method: change === undefined ? "GET" : "PATCH",
      headers: { "content-type": "application/json", origin: BASE_URL, ...headers },
      ...(change === undefined ? {} : { body: JSON.stringify(change) }),
    }),
  );
  return { status: answer.status, body: Object(await answer.json()) };
}
const chosen = ({ accountId }: AccountPrincipal) =>
  cp.rows(
    "select detail from audit_log where action = 'account.set_locale' and subject_id = $1",
    accountId,
  );

test("whoever is logged in chooses a language, and the next mail is written in it", async () => {
  const who = await anAccount(accounts, "customer");
  const browser = { cookie: await logIn(accounts, who.email) };
  expect(await me(browser)).toMatchObject({ body: { locale: "en" } });
  for (let n = 0; n < 2; n++)
    expect(await me(browser, { locale: "ru" })).toMatchObject({
      status: 200,
      body: { locale: "ru" },
    });
  expect(await chosen(who)).toEqual([{ detail: { locale: "ru" } }]);
  await askForLink(cp.deps, "reset_password", who.email);
  await cp.pump();
  expect(cp.mails.find(({ to }) => to === who.email)?.subject).toBe("Berth: Новый пароль");
});

test("a token that may change anything may, and one that only reads may not", async () => {
  const who = await anAccount(accounts, "customer");
  const reading = await aToken(accounts, who, { scopes: ["vms:read", "billing:read"] });
  expect(await me(bearing(reading.secret), { locale: "ru" })).toMatchObject({
    status: 403,
    body: { code: "scope_missing" },
  });
  const writing = await aToken(accounts, who, { scopes: ["vms:write"] });
  expect(await me(bearing(writing.secret), { locale: "ru" })).toMatchObject({ status: 200 });
  expect(await me(bearing(reading.secret))).toMatchObject({ body: { locale: "ru" } });
});

test("a language that no letter is written in is none to choose", async () => {
  const browser = { cookie: await logIn(accounts, (await anAccount(accounts, "customer")).email) };
  expect(await me(browser, { locale: "tlh" })).toMatchObject({ status: 400 });
  expect(await me(browser)).toMatchObject({ body: { locale: "en" } });
});

test("staff who act as a customer choose nothing for them", async () => {
  const who = await anAccount(accounts, "customer");
  const { accountId: impersonator } = await anAccount(accounts, "staff");
  expect(await chooseLocale(cp.deps, { ...who, impersonator }, "ru")).toMatchObject({
    error: { code: "forbidden" },
  });
  expect(await chosen(who)).toEqual([]);
});

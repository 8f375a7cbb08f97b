import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { v7 } from "uuid";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import {
  SCOPES_OF_STAFF,
  STAFF_ROLES,
  isWriting,
  type StaffRole,
} from "#core/accounts/accounts.ts";
import { addStaff } from "#commands/accounts/add-staff.ts";
import type { Db } from "#db/client.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import {
  accountsOn,
  anAccount,
  anEmail,
  BASE_URL,
  cookieOf,
  type Doors,
} from "./account-builders.ts";

/* 6a item 6: members of staff are made by a command, not by SQL. */

let cp: ControlPlane;
let accounts: Doors;
beforeAll(async () => {
  const doorsOn = (db: Db) => ({ accounts } = accountsOn(db)).accounts;
  cp = await startControlPlane({ accounts: doorsOn });
});
afterAll(() => cp.drop());

const add = (email: string, role: StaffRole = "owner") =>
  addStaff({ ...cp.deps, settings: { publicUrl: BASE_URL } }, { email, role });
async function linkFor(email: string, role?: StaffRole): Promise<string> {
  const added = await add(email, role);
  if (!added.ok) throw new Error(added.error.detail);
  return added.value.link;
}
async function auth(route: string, body: object) {
  const answer = await cp.fetch(
    new Request(`${BASE_URL}/v1/auth${route}`, {
      method: "POST",
      headers: { "content-type": "application/json", origin: BASE_URL },
      body: JSON.stringify(body),
    }),
  );
  return answer;
}
const password = "seven blue kites 88";
const setBy = async (link: string, newPassword = password) =>
  auth("/reset-password", { token: link.split("#")[1], newPassword });

describe("a member of staff who is added", () => {
  test("sets a password by the link, once, and then logs in with what the role may read", async () => {
    const email = anEmail();
    const link = await linkFor(email, "support");
    expect(link.startsWith(`${BASE_URL}/account/reset-password#`)).toBe(true);
    // There is no password yet, and none that could be guessed.
    expect((await auth("/sign-in/email", { email, password })).status).toBe(401);
    expect((await setBy(link)).status).toBe(200);
    expect(await (await setBy(link)).json()).toMatchObject({ code: "link_invalid" });
    const cookie = cookieOf(await auth("/sign-in/email", { email, password }));
    expect(await accounts.authenticate(new Headers({ cookie }))).toMatchObject({
      value: {
        role: "staff",
        staffRole: "support",
        scopes: SCOPES_OF_STAFF.support.filter((scope) => !isWriting(scope)),
      },
    });
  });

  test("has an hour to use the link, and the last one is the one that works", async () => {
    const email = anEmail();
    const first = await linkFor(email);
    const second = await linkFor(email);
    expect((await setBy(first)).status).toBe(400);
    cp.clock.advance(61 * 60_000);
    expect((await setBy(second)).status).toBe(400);
    expect((await setBy(await linkFor(email))).status).toBe(200);
  });

  test("keeps the password when added again, in another role, until the new link is used", async () => {
    const email = anEmail();
    await setBy(await linkFor(email, "support"));
    const cookie = cookieOf(await auth("/sign-in/email", { email, password }));
    await linkFor(email, "billing");
    expect(await accounts.authenticate(new Headers({ cookie }))).toMatchObject({
      value: { staffRole: "billing" },
    });
  });

  test("is one account, also when added twice at once, and the audit says by what", async () => {
    const email = anEmail();
    const both = await Promise.all([add(email), add(email)]);
    const ids = new Set(both.map((added) => added.ok && added.value.accountId));
    expect([...ids]).toEqual([expect.any(String)]);
    expect(
      await cp.rows(
        `select a.actor_kind, a.actor_id, a.action, a.detail from audit_log a join accounts on accounts.id = a.subject_id
         where email = $1 order by a.id`,
        email,
      ),
    ).toEqual(
      [null, "owner"].map((before) => ({
        actor_kind: "system",
        actor_id: "staff:add",
        action: "account.add_staff",
        detail: { role: "owner", before },
      })),
    );
  });

  test.each(["customer", "integration"] as const)("is never who is a %s already", async (role) => {
    const { email } = await anAccount(accounts, role);
    expect(await add(email)).toMatchObject({ ok: false, error: { code: "email_taken" } });
    expect(await cp.rows("select role from accounts where email = $1", email)).toEqual([{ role }]);
  });

  test("is not let in again by it when the account is closed", async () => {
    const email = anEmail();
    await linkFor(email);
    await cp.rows("update accounts set banned_at = now() where email = $1", email);
    expect(await add(email)).toMatchObject({ ok: false, error: { code: "email_taken" } });
  });
});

describe("the command", () => {
  const run = (...args: string[]) =>
    promisify(execFile)(process.execPath, ["local/add-staff.ts", ...args], {
      env: {
        ...process.env,
        BERTH_DATABASE_URL: cp.database.url,
        BERTH_PUBLIC_URL: `${BASE_URL}/`,
      },
    });

  test("prints a link by which a password is set", async () => {
    const email = anEmail();
    const { stdout } = await run("--email", email.toUpperCase(), "--role", "operator", "--json");
    const { link } = z.object({ link: z.string() }).parse(JSON.parse(stdout));
    expect((await setBy(link)).status).toBe(200);
    expect(
      await cp.rows("select role, staff_role, name from accounts where email = $1", email),
    ).toEqual([{ role: "staff", staff_role: "operator", name: email }]);
  });

  test("says what it wants when it is asked for something else", async () => {
    await expect(run("--email", anEmail(), "--role", "king")).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringContaining("support or billing or operator or owner"),
    });
  });
});

test("the database holds that staff, and nobody else, have a staff role", async () => {
  const staff = await anAccount(accounts, "staff");
  const customer = await anAccount(accounts, "customer");
  const set = (role: string | null, id: string) =>
    cp.rows("update accounts set staff_role = $1 where id = $2", role, id);
  await expect(set(null, staff.accountId)).rejects.toThrow("accounts_staff_have_a_staff_role");
  await expect(set("owner", customer.accountId)).rejects.toThrow(
    "accounts_staff_have_a_staff_role",
  );
});

test.each(STAFF_ROLES)(
  "a token of a member of staff who is %s by now does no more",
  async (role) => {
    const { accountId } = await anAccount(accounts, "staff");
    const owner = { accountId, email: "", name: "", role: "staff", via: "session" } as const;
    const made = await accounts.createToken(
      { ...owner, scopes: SCOPES_OF_STAFF.owner },
      { name: v7(), scopes: SCOPES_OF_STAFF.owner, expiresInSeconds: null },
    );
    if (!made.ok) throw new Error(made.error.code);
    await cp.rows("update accounts set staff_role = $1 where id = $2", role, accountId);
    const headers = new Headers({ authorization: `Bearer ${made.value.secret}` });
    const known = await accounts.authenticate(headers);
    const scopes = known.ok ? (known.value?.scopes ?? []) : [];
    expect(new Set(scopes)).toEqual(new Set(SCOPES_OF_STAFF[role]));
  },
);

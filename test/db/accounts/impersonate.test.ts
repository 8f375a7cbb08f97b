import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { toWireId } from "#core/ids.ts";
import { anActiveVm, aWorld } from "#test/harness/world.ts";
import { anAccount, BASE_URL, cookieOf, PASSWORD, post } from "./account-builders.ts";
import { openDesk, type Asking } from "./desk.ts";

/* 6a item 6: staff act as a customer, who sees it; and the audit log names both. */

let desk: Awaited<ReturnType<typeof openDesk>>;
beforeAll(async () => {
  desk = await openDesk();
});
afterAll(() => desk.cp.drop());

const Begun = z.object({ cookie: z.string(), expiresAt: z.string() });
const pathOf = (accountId: string) =>
  `/staff/v1/accounts/${toWireId("account", accountId)}/impersonation`;

/** Who asks with a cookie, as a page of ours does. */
const withCookie =
  (cookie: string): Asking =>
  async (method, path, body) => {
    const answer = await desk.cp.fetch(
      new Request(`${BASE_URL}${path}`, {
        method,
        headers: { cookie, origin: BASE_URL, ...(body && { "content-type": "application/json" }) },
        ...(body && { body: JSON.stringify(body) }),
      }),
    );
    const text = await answer.text();
    return { status: answer.status, body: text === "" ? null : JSON.parse(text) };
  };

async function begun(more: object = {}) {
  const member = await desk.member("support");
  const customer = await anAccount(desk.accounts, "customer");
  const path = pathOf(customer.accountId);
  const answer = await member.ask("POST", path, { reason: "cannot find the button", ...more });
  const { cookie, expiresAt } = Begun.parse(answer.body);
  return { member, customer, path, expiresAt, as: withCookie(cookie), cookie };
}

describe("staff who act as a customer", () => {
  test("are that customer, for an hour at most, and see and change what is theirs", async () => {
    const { as, customer, expiresAt } = await begun();
    expect(await as("GET", "/v1/me")).toMatchObject({
      status: 200,
      body: { id: toWireId("account", customer.accountId), role: "customer" },
    });
    expect(Date.parse(expiresAt) - Date.now()).toBeLessThanOrEqual(60 * 60_000);
    const world = { ...(await aWorld(desk.cp)), buyer: customer };
    const { vmId } = await anActiveVm(desk.cp, world);
    const vm = `/v1/vms/${toWireId("vm", vmId)}`;
    expect(await as("PATCH", vm, { label: "theirs" })).toMatchObject({ status: 200 });
  });

  test("are named by the audit log, with whom they act as", async () => {
    const { as, customer, member } = await begun();
    const world = { ...(await aWorld(desk.cp)), buyer: customer };
    const { vmId } = await anActiveVm(desk.cp, world);
    const vm = `/v1/vms/${toWireId("vm", vmId)}`;
    await as("PATCH", vm, { label: "theirs" });
    await as("POST", `${vm}/actions`, { type: "reboot" });
    expect(
      await desk.cp.rows(
        `select actor_kind, actor_id, action, detail ->> 'on_behalf_of' as as_whom from audit_log
          where subject_id = any($1) and actor_kind in ('staff', 'account') order by at, id`,
        [customer.accountId, vmId],
      ),
    ).toEqual(
      ["account.impersonate", "vm.relabel", "vm.reboot"].map((action) => ({
        actor_kind: "staff",
        actor_id: member.accountId,
        action,
        as_whom: customer.accountId,
      })),
    );
  });

  test("touch nothing that would outlive it: no orders, resizes, tokens, passwords, second factors, and no deletes", async () => {
    const { as, customer, path } = await begun();
    const world = { ...(await aWorld(desk.cp)), buyer: customer };
    const { vmId } = await anActiveVm(desk.cp, world);
    const vm = `/v1/vms/${toWireId("vm", vmId)}`;
    const passwords = { currentPassword: PASSWORD, newPassword: "another good password" };
    const refused = [
      await as("POST", "/v1/tokens", { name: "mine", scopes: ["vms:read"] }),
      await as("GET", "/v1/tokens"),
      await as("POST", "/v1/auth/change-password", passwords),
      await as("POST", "/v1/auth/two-factor/enable", { password: PASSWORD }),
      await as("POST", "/v1/auth/two-factor/verify-totp", { code: "123456" }),
      await as("POST", "/v1/auth/revoke-other-sessions", {}),
      await as("GET", "/v1/auth/list-sessions"),
      await as("GET", "/v1/auth/get-session"),
      await as("POST", `${vm}/initial-password`),
      await as("POST", path, { reason: "further" }),
    ];
    expect(refused.map(({ status }) => status)).toEqual(refused.map(() => 403));
    expect(await as("DELETE", vm)).toMatchObject({ body: { code: "second_person_required" } });
    const planId = toWireId("plan", world.planId);
    const quotes = await as("POST", `${vm}/resize-quotes`, { planId });
    expect(quotes.status).toBeLessThan(300);
    const resize = { type: "resize", quoteId: toWireId("quote", desk.cp.deps.ids.newId()) };
    expect(await as("POST", `${vm}/actions`, resize)).toMatchObject({
      body: { code: "forbidden" },
    });
  });

  test("are seen by the customer among their sessions, and by staff at the account's", async () => {
    const { customer, member } = await begun();
    const own = { email: customer.email, password: PASSWORD };
    const session = withCookie(cookieOf(await post(desk.accounts, "/sign-in/email", own)));
    const sessions = await session("GET", "/v1/auth/list-sessions");
    expect(sessions.body).toContainEqual(
      expect.objectContaining({
        impersonatedBy: member.accountId,
        userAgent: expect.stringContaining("our staff"),
      }),
    );
    expect(sessions.body).toContainEqual(expect.objectContaining({ impersonatedBy: null }));
    const account = `/staff/v1/accounts/${toWireId("account", customer.accountId)}`;
    expect((await member.ask("GET", account)).body).toMatchObject({
      logIns: expect.arrayContaining([
        expect.objectContaining({ impersonatedBy: toWireId("account", member.accountId) }),
      ]),
    });
  });
});

describe("it ends", () => {
  test("by a call, and by signing out, and when the customer ends their sessions", async () => {
    const one = await begun();
    expect(await desk.cp.fetch(new Request(`${BASE_URL}/v1/me`))).toMatchObject({ status: 401 });
    const end = async (by: typeof one) => {
      const audit =
        "select count(*)::int as n from audit_log where action = $1 and subject_id = $2";
      const of = ["account.end_impersonation", by.customer.accountId];
      return (await desk.cp.rows(audit, ...of))[0]?.["n"];
    };
    const { ask } = one.member;
    await ask("DELETE", one.path).catch(() => undefined); // 204 has no body
    await ask("DELETE", one.path).catch(() => undefined);
    expect(await one.as("GET", "/v1/me")).toMatchObject({ status: 401 });
    expect(await end(one)).toBe(1);
    const other = await begun();
    expect(await other.as("POST", "/v1/auth/sign-out", {})).toMatchObject({ status: 200 });
    expect(await other.as("GET", "/v1/me")).toMatchObject({ status: 401 });
  });

  test("by itself: no use of it makes it longer, and the database holds no longer one", async () => {
    const { as, customer } = await begun({ minutes: 5 });
    const ends = "select expires_at from sessions where account_id = $1";
    const before = await desk.cp.rows(ends, customer.accountId);
    await as("GET", "/v1/auth/get-session");
    await as("GET", "/v1/me");
    expect(await desk.cp.rows(ends, customer.accountId)).toEqual(before);
    const longer =
      "update sessions set expires_at = expires_at + interval '2 hours' where account_id = $1";
    await expect(desk.cp.rows(longer, customer.accountId)).rejects.toThrow(
      "impersonation_is_short",
    );
    const past = `update sessions set created_at = created_at - interval '10 minutes',
      expires_at = expires_at - interval '10 minutes' where account_id = $1`;
    await desk.cp.rows(past, customer.accountId);
    expect(await as("GET", "/v1/me")).toMatchObject({ status: 401 });
  });

  test.each([
    "update accounts set staff_role = 'operator' where id = $1",
    "update accounts set banned_at = now() where id = $1",
  ])("when who acts may not do so any more: %s", async (change) => {
    const { as, member } = await begun();
    await desk.cp.rows(change, member.accountId);
    expect(await as("GET", "/v1/me")).toMatchObject({ status: 401 });
  });
});

test("it is of customers that are there and not closed, with a reason, by who has the scope for it", async () => {
  const { ask } = await desk.member("support");
  const staff = await desk.member("support");
  const closed = await anAccount(desk.accounts, "customer");
  await desk.cp.rows("update accounts set banned_at = now() where id = $1", closed.accountId);
  const of = (accountId: string) => ask("POST", pathOf(accountId), { reason: "why" });
  expect(await of(staff.accountId)).toMatchObject({ body: { code: "forbidden" } });
  expect(await of(closed.accountId)).toMatchObject({ body: { code: "account_closed" } });
  expect(await of(desk.cp.deps.ids.newId())).toMatchObject({ body: { code: "account_not_found" } });
  const customer = await anAccount(desk.accounts, "customer");
  for (const body of [{}, { reason: " " }, { reason: "why", minutes: 61 }])
    expect(await ask("POST", pathOf(customer.accountId), body)).toMatchObject({ status: 400 });
  const billing = await desk.member("billing");
  expect(await billing.ask("POST", pathOf(customer.accountId), { reason: "why" })).toMatchObject({
    body: { code: "scope_missing" },
  });
});

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { toWireId } from "#core/ids.ts";
import { anAccount, aToken, BASE_URL, cookieOf, PASSWORD, post } from "./account-builders.ts";
import { openDesk, type Asking, type Said } from "./desk.ts";

/* 6a item 6: staff close an account, and open it again. */

let desk: Awaited<ReturnType<typeof openDesk>>;
beforeAll(async () => {
  desk = await openDesk();
});
afterAll(() => desk.cp.drop());

const Plan = z.object({ hash: z.string(), effects: z.array(z.string()), done: z.boolean() });
/** A dry run, and then the call that carries its hash; what was refused dry as it was. */
async function forced(ask: Asking, path: string, reason = "as they asked"): Promise<Said> {
  const dry = await ask("POST", path, { reason, dryRun: true });
  if (dry.status !== 200) return dry;
  return ask("POST", path, { reason, hash: Plan.parse(dry.body).hash });
}
const accountPath = (accountId: string) => `/staff/v1/accounts/${toWireId("account", accountId)}`;
/** How a credential is answered. */
const me = async (headers: Record<string, string>) =>
  (await desk.cp.fetch(new Request(`${BASE_URL}/v1/me`, { headers }))).status;

describe("an account that is closed", () => {
  test("has no session and no token from then on, not even when it is opened again", async () => {
    const { ask, accountId: by } = await desk.member("support");
    const who = await anAccount(desk.accounts, "customer");
    const token = { authorization: `Bearer ${(await aToken(desk.accounts, who)).secret}` };
    const signIn = () =>
      post(desk.accounts, "/sign-in/email", { email: who.email, password: PASSWORD });
    const session = { cookie: cookieOf(await signIn()) };
    expect([await me(token), await me(session)]).toEqual([200, 200]);
    const path = accountPath(who.accountId);
    expect(await forced(ask, `${path}/close`)).toMatchObject({ status: 200, body: { done: true } });
    expect([await me(token), await me(session)]).toEqual([401, 401]);
    expect((await signIn()).status).toBe(403);
    const again = await ask("POST", `${path}/close`, { reason: "twice", dryRun: true });
    expect(again.body).toMatchObject({ effects: ["nothing: it is closed already"] });
    expect(await forced(ask, `${path}/reopen`)).toMatchObject({ status: 200 });
    expect([await me(token), await me(session)]).toEqual([401, 401]);
    expect((await signIn()).status).toBe(200);
    expect(
      await desk.cp.rows(
        "select action, actor_id, detail from audit_log where subject_id = $1 order by at, id",
        who.accountId,
      ),
    ).toEqual([
      { action: "account.close", actor_id: by, detail: { reason: "as they asked" } },
      { action: "account.reopen", actor_id: by, detail: { reason: "as they asked" } },
    ]);
  });

  test("is another's, of staff's an owner's to close, and there", async () => {
    const owner = await desk.member("owner");
    const support = await desk.member("support");
    const close = (accountId: string) => `${accountPath(accountId)}/close`;
    const forbidden = { status: 403, body: { code: "forbidden" } };
    expect(await forced(owner.ask, close(owner.accountId))).toMatchObject(forbidden);
    expect(await forced(support.ask, close(owner.accountId))).toMatchObject(forbidden);
    expect(await forced(owner.ask, close(support.accountId))).toMatchObject({ status: 200 });
    expect(await support.ask("GET", "/staff/v1/accounts")).toMatchObject({ status: 401 });
    expect(await forced(owner.ask, close(desk.cp.deps.ids.newId()))).toMatchObject({
      body: { code: "account_not_found" },
    });
  });

  test("is not closed without a hash of what was shown", async () => {
    const { ask } = await desk.member("billing");
    const who = await anAccount(desk.accounts, "customer");
    const path = `${accountPath(who.accountId)}/close`;
    for (const hash of [undefined, "0".repeat(64)])
      expect(await ask("POST", path, { reason: "why", ...(hash && { hash }) })).toMatchObject({
        status: 409,
        body: { code: "plan_changed" },
      });
  });
});

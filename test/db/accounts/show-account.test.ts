import { v7 } from "uuid";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { toWireId } from "#core/ids.ts";
import type { ControlPlane } from "#test/harness/control-plane.ts";
import { aProvisionedVm, aWorld, MONTH, type World } from "#test/harness/world.ts";
import { anAccount, aToken, logIn, type Doors } from "./account-builders.ts";
import { openDesk, type Asking } from "./desk.ts";

/* 6a item 6: an account with its money, machines, log-ins and notes. */

let cp: ControlPlane;
let accounts: Doors;
let world: World;
let support: { accountId: string; ask: Asking };
let member: Awaited<ReturnType<typeof openDesk>>["member"];
beforeAll(async () => {
  ({ cp, accounts, member } = await openDesk());
  support = await member("support");
  world = await aWorld(cp);
});
afterAll(() => cp.drop());

const pageOf = (accountId: string) => `/staff/v1/accounts/${toWireId("account", accountId)}`;
const show = async (accountId: string, ask = support.ask) =>
  z.record(z.string(), z.unknown()).parse((await ask("GET", pageOf(accountId))).body);
const note = (accountId: string, text: string, ask = support.ask) =>
  ask("POST", `${pageOf(accountId)}/notes`, { text });

describe("an account's page", () => {
  test("has its orders, its machines, and what it has paid", async () => {
    const { orderId, vmId } = await aProvisionedVm(cp, world);
    const page = await show(world.buyer.accountId);
    const paid = { minor: String(MONTH), currency: "usd" };
    expect(page).toMatchObject({
      email: world.buyer.email,
      role: "customer",
      staffRole: null,
      orders: [{ id: toWireId("order", orderId) }],
      vms: [{ id: toWireId("vm", vmId) }],
      money: {
        sums: [{ paid, open: { minor: "0", currency: "usd" } }],
        invoices: [{ orderId: toWireId("order", orderId), paid }],
      },
      notes: [],
    });
    const open = "update invoices set status = 'open', paid_minor = 0 where order_id = $1";
    await cp.rows(open, orderId);
    expect(await show(world.buyer.accountId)).toMatchObject({
      money: { sums: [{ paid: { minor: "0" }, open: { minor: String(MONTH) } }] },
    });
  });

  test("has its log-ins and tokens, and nothing that opens one", async () => {
    const who = await anAccount(accounts, "customer");
    const cookie = await logIn(accounts, who.email);
    const { secret } = await aToken(accounts, who, { name: "ci" });
    const page = await show(who.accountId);
    expect(page).toMatchObject({
      logIns: [{ secondFactor: false, createdAt: expect.any(String) }],
      tokens: [{ name: "ci", scopes: ["vms:read"] }],
    });
    const told = JSON.stringify(page);
    const opens = cookie.split("=")[1]?.split(".")[0] ?? "";
    for (const one of [secret, opens]) {
      expect(one.length).toBeGreaterThan(20);
      expect(told).not.toContain(one);
    }
    const [session] = await cp.rows(
      "select token from sessions where account_id = $1",
      who.accountId,
    );
    expect(told).not.toContain(String(session?.["token"]));
  });

  test("shows no machines or money to whose scopes do not: with a token of fewer, they are null", async () => {
    const who = await anAccount(accounts, "customer");
    const owner = await anAccount(accounts, "staff");
    const { secret } = await aToken(accounts, owner, { scopes: ["accounts:read"] });
    const request = new Request(`http://berth.test${pageOf(who.accountId)}`, {
      headers: { authorization: `Bearer ${secret}` },
    });
    expect(await (await cp.fetch(request)).json()).toMatchObject({
      money: null,
      orders: null,
      vms: null,
      notes: [],
    });
  });

  test("is not there for nobody's id", async () => {
    expect(await support.ask("GET", pageOf(v7()))).toMatchObject({
      status: 404,
      body: { code: "account_not_found" },
    });
  });
});

describe("a note about an account", () => {
  test("is on its page with who wrote it, the newest first, and in the audit without its text", async () => {
    const { accountId } = await anAccount(accounts, "customer");
    const billing = await member("billing");
    expect(await note(accountId, "  Called.\nWants more disk.  ")).toMatchObject({ status: 201 });
    cp.clock.advanceMinutes(1);
    await note(accountId, "Refunded 50% _of it_.", billing.ask);
    expect(await show(accountId)).toMatchObject({
      notes: [
        { text: "Refunded 50% _of it_.", authorId: toWireId("account", billing.accountId) },
        { text: "Called.\nWants more disk.", authorId: toWireId("account", support.accountId) },
      ],
    });
    const audited = await cp.rows(
      "select actor_id, action, detail from audit_log where subject_id = $1 order by at, id",
      accountId,
    );
    expect(audited.map((row) => [row["actor_id"], row["action"]])).toEqual([
      [support.accountId, "account.add_note"],
      [billing.accountId, "account.add_note"],
    ]);
    expect(JSON.stringify(audited)).not.toContain("disk");
  });

  test.each(["", " ", "x".repeat(4001), "a\u0000b", "\u001b[31m"])(
    "is refused: %j",
    async (text) => {
      const { accountId } = await anAccount(accounts, "customer");
      expect(await note(accountId, text)).toMatchObject({
        status: 400,
        body: { code: "invalid_request" },
      });
    },
  );

  test("stays as it was written, whoever would change it", async () => {
    const { accountId } = await anAccount(accounts, "customer");
    await note(accountId, "As it was.");
    await expect(cp.rows("update account_notes set text = 'x'")).rejects.toThrow(
      "permission denied",
    );
    await expect(cp.database.asOwner("delete from account_notes")).rejects.toThrow("append-only");
    await expect(cp.database.asOwner("truncate account_notes")).rejects.toThrow("append-only");
  });

  test("of nobody's account is refused", async () => {
    expect(await note(v7(), "Nobody.")).toMatchObject({ body: { code: "account_not_found" } });
  });
});

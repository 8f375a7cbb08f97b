import { v7 } from "uuid";
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { LIMITS } from "#core/accounts/attempts.ts";
import { QuotedResize } from "#core/contracts/api/resizes.ts";
import { toWireId } from "#core/ids.ts";
import { aToken, type Doors } from "#test/db/accounts/account-builders.ts";
import { openDesk } from "#test/db/accounts/desk.ts";
import type { ControlPlane } from "#test/harness/control-plane.ts";
import type { World } from "#test/harness/world.ts";
import { aLargePlan, aVmToResize } from "./resize-builders.ts";

/* 6a 2: quotes as customers ask for them over HTTP. */

let cp: ControlPlane;
let accounts: Doors;
beforeAll(async () => {
  ({ cp, accounts } = await openDesk());
});
afterAll(() => cp.drop());

const Answer = z.looseObject({ code: z.string().optional() });

async function askerOf({ buyer }: World) {
  const { secret } = await aToken(accounts, buyer, { scopes: ["vms:read", "vms:write"] });
  return async (method: "GET" | "POST", path: string, body?: object, key?: string) => {
    const answer = await cp.fetch(
      new Request(`http://berth.test/v1/vms/${path}`, {
        method,
        headers: {
          authorization: `Bearer ${secret}`,
          ...(body && { "content-type": "application/json" }),
          ...(key !== undefined && { "idempotency-key": key }),
        },
        ...(body && { body: JSON.stringify(body) }),
      }),
    );
    const said: unknown = await answer.json();
    return { ...Answer.parse(said), status: answer.status, said };
  };
}

async function aCustomersVm() {
  const vm = await aVmToResize(cp);
  const planId = toWireId("plan", (await aLargePlan(cp)).id);
  const id = toWireId("vm", vm.vmId);
  const quotes = `${id}/resize-quotes`;
  const count = async () =>
    (await cp.rows("select id from resize_quotes where vm_id = $1", vm.vmId)).length;
  return { ...vm, ask: await askerOf(vm.world), id, planId, quotes, count };
}

test("a quote is 201, and the same again by the same key; what stands against one is 200", async () => {
  const vm = await aCustomersVm();
  const key = v7();
  const first = await vm.ask("POST", vm.quotes, { planId: vm.planId }, key);
  expect(first).toMatchObject({ status: 201, refusals: [] });
  expect(QuotedResize.parse(first.said).quote).toMatchObject({
    vmId: vm.id,
    dueNow: { minor: "711", currency: "usd" },
    recurring: {
      before: { interval: "month", amount: { minor: "500", currency: "usd" } },
      after: { interval: "month", amount: { minor: "1550", currency: "usd" } },
    },
  });
  cp.clock.advance(60_000);
  expect(await vm.ask("POST", vm.quotes, { planId: vm.planId }, key)).toEqual(first);
  expect(await vm.count()).toBe(1);
  const other = { planId: vm.planId, keepDisk: true };
  expect(await vm.ask("POST", vm.quotes, other, key)).toMatchObject({
    status: 422,
    code: "idempotency_key_reused",
  });
  const none = await vm.ask("POST", vm.quotes, { planId: toWireId("plan", v7()) });
  expect(none).toMatchObject({
    status: 200,
    quote: null,
    refusals: [{ code: "plan_not_on_sale" }],
  });
});

test("a provider that is away is told, and the same key goes on", async () => {
  const vm = await aCustomersVm();
  const key = v7();
  cp.stripe.trouble.outage = true;
  const away = { status: 502, code: "payment_provider_unavailable" };
  expect(await vm.ask("POST", vm.quotes, { planId: vm.planId }, key)).toMatchObject(away);
  expect(await vm.ask("GET", `${vm.id}/resize-options`)).toMatchObject(away);
  cp.stripe.trouble.outage = false;
  expect(await vm.ask("POST", vm.quotes, { planId: vm.planId }, key)).toMatchObject({
    status: 201,
  });
  expect(await vm.count()).toBe(1);
});

test("two requests with one key at once are one quote", async () => {
  const vm = await aCustomersVm();
  const key = v7();
  const both = await Promise.all(
    [1, 2].map(() => vm.ask("POST", vm.quotes, { planId: vm.planId }, key)),
  );
  expect(both[0]).toEqual(both[1]);
  expect(await vm.count()).toBe(1);
});

test("what was answered is answered again when the VM is gone, and what was not found leaves its key unused", async () => {
  const vm = await aCustomersVm();
  const [key, unused] = [v7(), v7()];
  const body = { planId: vm.planId };
  const first = await vm.ask("POST", vm.quotes, body, key);
  const present = (presence: string) =>
    cp.rows("update vms set presence = $2 where id = $1", vm.vmId, presence);
  await present("absent");
  expect(await vm.ask("POST", vm.quotes, body, key)).toEqual(first);
  expect(await vm.ask("POST", vm.quotes, body, unused)).toMatchObject({ status: 404 });
  await present("present");
  const other = { ...body, keepDisk: true };
  expect(await vm.ask("POST", vm.quotes, other, unused)).toMatchObject({ status: 201 });
});

test("another customer's VM is not found", async () => {
  const vm = await aCustomersVm();
  const other = await aCustomersVm();
  const notFound = { status: 404, code: "vm_not_found" };
  expect(await other.ask("POST", vm.quotes, { planId: vm.planId })).toMatchObject(notFound);
  expect(await other.ask("GET", `${vm.id}/resize-options`)).toMatchObject(notFound);
});

test("quotes and options of an account are counted together", async () => {
  const vm = await aCustomersVm();
  const nothing = toWireId("vm", v7());
  for (let times = 0; times < LIMITS.quote.atOnce; times++)
    await vm.ask("GET", `${nothing}/resize-options`);
  expect(await vm.ask("POST", vm.quotes, { planId: vm.planId })).toMatchObject({
    status: 429,
    code: "rate_limited",
  });
  cp.clock.advance(LIMITS.quote.everyMs);
  expect(await vm.ask("GET", `${vm.id}/resize-options`)).toMatchObject({ status: 200 });
});

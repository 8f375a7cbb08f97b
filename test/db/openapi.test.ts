import fc from "fast-check";
import { v7 } from "uuid";
import { expireOrders } from "#commands/orders/expire-orders.ts";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import type { Quote } from "#core/billing/quote.ts";
import { FILLERS } from "#commands/fill-mail.ts";
import { sendDueMails } from "#commands/messages/send-mail.ts";
import { idIn, toWireId } from "#core/ids.ts";
import { insertQuote, loadQuote } from "#db/billing/quotes.ts";
import { loadMove } from "#db/moves/moves.ts";
import { insertUnknownVm } from "#db/hosts/restores.ts";
import { inTransaction } from "#db/transaction.ts";
import { aSample, hostFacts, minutesAfter } from "#test/builders.ts";
import { anAgentKey } from "#test/harness/agent-requests.ts";
import { callsOf, exampleOf, noId, noneLike, rightCallersOf } from "#test/harness/api-calls.ts";
import type { Operation } from "#test/harness/api-document.ts";
import { CALLERS, openApiWorld, type ApiWorld } from "#test/harness/api-world.ts";
import { aMovableVm, bringTo } from "#test/harness/moves.ts";
import { isSeen } from "#test/harness/plan-changes.ts";
import {
  aBuyer,
  anActiveVm,
  aProvisionedVm,
  GUEST,
  hostSees,
  MONTH,
  reportOf,
  SIZE,
} from "#test/harness/world.ts";
import { PASSWORD, totpOf } from "./accounts/account-builders.ts";
import { aLargePlan } from "./billing/resize-builders.ts";

/*
 * The API is held against its own document: every operation is driven from it, by everybody, with requests that fit and
 * with such as do not, and each answer is one that the operation declares, with its schema and its codes.
 *
 * `BERTH_OPENAPI_SEED=7 npx vitest run --project db test/db/openapi.test.ts` draws others.
 */

const SEED = Number(process.env["BERTH_OPENAPI_SEED"] ?? 1);
/** Requests for each operation. A log-in hashes a password each time, so that those are fewer. */
const RUNS = Number(process.env["BERTH_OPENAPI_RUNS"] ?? 20);
const RUNS_OF_LOG_IN = Math.ceil(RUNS / 3);

let api: ApiWorld;
beforeAll(async () => {
  api = await openApiWorld();
});
afterAll(async () => {
  await api.cp.drop();
  const operations = api.document.operations.length;
  process.stdout.write(
    `openapi: seed ${SEED}, ${operations} operations, ${api.judged()} answers judged\n`,
  );
});

/** Codes that take a race, a clock or a production's settings: tests of their commands have them. */
const SEEN_ELSEWHERE = new Set([
  "agent_clock_off", // test/db/hosts/host-clock.test.ts
  "agent_token_used", // test/db/hosts/replays.test.ts
  "internal",
  // Of who acts as somebody else, and of a token that only reads: test/db/accounts/choose-locale.test.ts
  "changeMe forbidden",
  "changeMe scope_missing",
  "rate_limited", // counted in production only: test/db/accounts
  "busy",
  "forbidden of a log-in", // another site's page: test/db/accounts
  "host_wrong_state",
  "image_needs_more_disk",
  "image_needs_more_memory",
  "image_unavailable_here",
  "no_address",
  "newcomers_share_taken",
  // Of an installation without a release key: test/db/fleet/rollouts.test.ts
  "releases_not_signed",
  "no_capacity",
  "order_wrong_state",
  "password_expired",
  "password_unavailable",
  "plan_unavailable_here",
  "token_limit",
  // Of who holds more without paying than these worlds do: test/db/orders/newcomers.test.ts
  "too_many_expired_orders",
  "too_many_unpaid_from_network",
  "too_many_unpaid_orders",
  // Of a host whose agent is too old for it: test/db/vms/repair-vm.test.ts
  "repair_unavailable",
  "plan_migration_too_large", // of more VMs than these worlds have
  "unsupported_by_agent", // test/db/hosts/agents-words.test.ts
  "vm_lost",
  // Of an action that makes a VM or deletes it: core/vms/call-off.test.ts
  "action_not_cancellable",
  "vm_not_running",
  "vm_suspended",
  // Of a VM that two of staff would destroy: test/db/vms/destroy-by-two.test.ts
  "vm_protected",
  "vm_cancelled", // test/db/billing/end-with-period.test.ts
]);

describe("the API and its document", () => {
  test("agree on everything that it is for", async () => {
    const [vm, otherVm] = api.there.vm;
    const id = { parameters: { id: vm } };
    for (const list of ["listPlans", "listImages", "listLocations", "checkHealth"])
      await api.does(list, "nobody");
    await api.does("changeMe", "customer", { body: { locale: "ru" } });
    await api.does("changeMe", "customer", { body: { locale: "en" } });
    for (const list of ["listVms", "listInvoices", "listTokens", "showMe"])
      await api.does(list, "customer", { parameters: { limit: 1 } });
    await api.does("listHosts", "staff");
    await api.does("listFindings", "staff");
    const accountId = toWireId("account", api.people.customer.accountId);
    await api.does("showAccount", "staff", { parameters: { id: accountId } });
    const ofAccount = { parameters: { id: accountId, "idempotency-key": v7() } };
    await api.does("addAccountNote", "staff", { ...ofAccount, body: { text: "Called." } });
    const otherNote = { ...ofAccount, body: { text: "Called again." } };
    await api.refuses("addAccountNote", "staff", "idempotency_key_reused", otherNote);
    for (const [id, body] of [["showAccount"], ["addAccountNote", { text: "Nobody." }]] as const)
      await api.refuses(id, "staff", "account_not_found", {
        parameters: { id: noId("account") },
        ...(body && { body }),
      });
    await api.does("search", "staff", { parameters: { q: vm } });
    const mail = { parameters: { id: api.there.mail[0] } };
    await api.does("showMail", "staff", mail);
    await api.refuses("resendMail", "staff", "mail_not_resendable", mail);
    await sendDueMails(api.cp.deps, FILLERS);
    const sent = z
      .object({ items: z.array(z.object({ id: z.string() })).min(1) })
      .parse(await api.does("listMails", "staff", { parameters: { state: "sent" } }));
    const resent = { id: sent.items[0]?.id, "idempotency-key": v7() };
    await api.does("resendMail", "staff", { parameters: resent });
    await api.refuses("resendMail", "staff", "idempotency_key_reused", {
      parameters: { ...resent, id: api.there.mail[0] },
    });
    await api.cp.rows(
      `insert into refusing_addresses (address, kind, reason, mail_id, noted_at)
       select distinct on (to_address) to_address, 'bounce'::mail_refusal, 'gone', id, now()
         from mails where state = 'sent'`,
    );
    const refused = { parameters: { id: sent.items[0]?.id } };
    expect(await api.does("showMail", "staff", refused)).toMatchObject({
      refusal: { kind: "bounce", reason: "gone" },
    });
    await api.does("clearMailAddress", "staff", refused);
    await api.cp.rows("delete from refusing_addresses");
    for (const id of ["showMail", "resendMail", "clearMailAddress"])
      await api.refuses(id, "staff", "mail_not_found", { parameters: { id: noId("mail") } });
    // Of each, the second page; and the same cursor where it means nothing.
    for (const [list, other] of [
      ["listAudit", { subject: vm }],
      ["listMails", { kind: "vm_ready" }],
      ["listAccounts", { sort: "email" }],
      ["listOrders", { state: "active" }],
      ["listStaffVms", { sort: "hostname" }],
      ["listActions", { vmId: vm }],
      ["listHosts", { sort: "name" }],
    ] as const) {
      const first = await api.does(list, "staff", { parameters: { limit: 1 } });
      const { nextCursor: cursor } = z.object({ nextCursor: z.string() }).parse(first);
      await api.does(list, "staff", { parameters: { limit: 1, cursor } });
      await api.refuses(list, "staff", "cursor_invalid", { parameters: { cursor, ...other } });
    }
    await api.does("showHost", "staff", { parameters: { id: api.there.host[0] } });
    await api.does("showOrder", "customer", { parameters: { id: api.there.order[0] } });
    await api.does("showInvoice", "customer", { parameters: { id: api.there.invoice[0] } });
    await api.does("showAction", "customer", { parameters: { id: api.there.action[0] } });
    await api.does("showVm", "customer", id);
    await api.does("changeVm", "customer", { ...id, body: { label: "Mail" } });
    await api.does("requestAction", "customer", { ...id, body: { type: "reboot" } });
    await api.does("showVm", "session", id);
    const order = {
      planId: api.there.plan[0],
      imageId: api.there.image[0],
      locationId: api.there.location[0],
      hostname: "web-1",
      sshKeys: [exampleOf(api, "PlaceOrder", "sshKeys")],
      billingInterval: "month",
    };
    const soldInYen = async () => {
      const prices = [{ interval: "month", amountMinor: "750", currency: "jpy" }];
      const body = { name: "yen", vcpus: 1, memoryMib: 512, diskGib: 10, trafficGib: 1, prices };
      return z.object({ id: z.string() }).parse(await api.does("addPlan", "staff", { body })).id;
    };
    const key = { parameters: { "idempotency-key": v7() } };
    const place = (code: string, over: Record<string, unknown>, more = {}) =>
      api.refuses("placeOrder", "customer", code, {
        body: { ...order, another: true, ...over },
        ...more,
      });
    await api.does("placeOrder", "customer", { ...key, body: order });
    // Once more: it is answered with 200.
    await api.does("placeOrder", "customer", { body: order });
    await place("order_open", { another: false, userData: "#cloud-config\n" });
    const proven = (is: boolean) =>
      api.cp.rows(
        "update accounts set email_verified = $1 where id = $2",
        is,
        api.people.customer.accountId,
      );
    await proven(false);
    await place("email_not_verified", {});
    await api.refuses("openCardPage", "customer", "email_not_verified", { body: {} });
    await proven(true);
    await place("idempotency_key_reused", { hostname: "web-2" }, key);
    await place("idempotency_key_missing", {}, { parameters: { "idempotency-key": undefined } });
    await place("plan_not_found", { planId: noId("plan") });
    await place("image_not_found", { imageId: noId("image") });
    await place("location_not_found", { locationId: noId("location") });
    await place("hostname_invalid", { hostname: "-" });
    api.cp.stripe.trouble.outage = true;
    await place("payment_provider_unavailable", {});
    api.cp.stripe.trouble.outage = false;
    await place("ssh_key_missing", { sshKeys: [] });
    await place("user_data_too_large", { userData: "é".repeat(10_000) });
    await place("user_data_invalid", { userData: "#", userDataEncoding: "base64" });
    await place("ssh_key_invalid", { sshKeys: ["ssh-ed25519 AAAA"] });
    await place("billing_interval_unavailable", { billingInterval: "hour" });
    // This customer has paid in dollars, and the other plan is not sold in those.
    await place("currency_fixed", { currency: "eur" });
    await place("currency_not_sold", { planId: await soldInYen() });
    await trialsAgree(api, { ...order, another: true, trial: true });
    await cardsAgree(api, { ...order, another: true });
    const shutdown = { parameters: { id: vm, ...key.parameters }, body: { type: "shutdown" } };
    await api.refuses("requestAction", "customer", "idempotency_key_reused", shutdown);
    await api.refuses("requestAction", "customer", "vm_locked", { ...id, body: { type: "stop" } });
    await api.refuses("takeInitialPassword", "customer", "no_initial_password", id);
    const asked = {
      parameters: { "idempotency-key": v7() },
      body: { name: "ci", scopes: ["vms:read"] },
    };
    const made = await api.does("createToken", "customer", asked);
    await api.refuses("createToken", "customer", "secret_shown_once", asked);
    const other = { ...asked, body: { ...asked.body, name: "other" } };
    await api.refuses("createToken", "customer", "idempotency_key_reused", other);
    const staffs = { name: "ci", scopes: ["staff:write"] };
    await api.refuses("createToken", "customer", "scope_not_allowed", { body: staffs });
    const { token } = z.object({ token: z.object({ id: z.string() }) }).parse(made);
    await api.does("revokeToken", "customer", { parameters: { id: token.id } });
    await usageOf(otherVm);
    await quotesOf(String(vm));
    await migrations();
    await resizes();
    expect(api.faults.splice(0)).toEqual([]);
  });

  test("agree on what staff do", async () => {
    /** Makes it; then again by the same key with another body, and by another key with the same. */
    const adds = async (
      id: string,
      body: Record<string, unknown>,
      other: Record<string, unknown>,
      more: { taken?: string; parameters?: Record<string, unknown> } = {},
    ) => {
      const parameters = { "idempotency-key": v7(), ...more.parameters };
      const made = await api.does(id, "staff", { parameters, body });
      const reused = { parameters, body: { ...body, ...other } };
      await api.refuses(id, "staff", "idempotency_key_reused", reused);
      const again = more.parameters === undefined ? {} : { parameters: more.parameters };
      await api.refuses(id, "staff", more.taken ?? "name_taken", { ...again, body });
      return made;
    };
    const place = { name: "fsn9", city: "Falkenstein", country: "DE", nameservers: ["192.0.2.53"] };
    const Made = z.object({ id: z.string() });
    const location = Made.parse(await adds("addLocation", place, { city: "Hof" }));
    const pool = { cidr: "198.51.100.0/24", gateway: "198.51.100.1" };
    await adds("addPool", pool, { vlan: 7 }, { parameters: { id: location.id } });
    const nowhere = { parameters: { id: noId("location") }, body: pool };
    await api.refuses("addPool", "staff", "location_not_found", nowhere);
    const outside = { parameters: { id: location.id }, body: { ...pool, gateway: "192.0.2.1" } };
    await api.refuses("addPool", "staff", "pool_invalid", outside);
    const price = { interval: "month", amountMinor: "100", currency: "usd" };
    const offStep = { interval: "month", amountMinor: "1001", currency: "kwd" };
    const size = { vcpus: 1, memoryMib: 512, diskGib: 10 };
    const plan = { name: "tiny", ...size, trafficGib: 1, prices: [price] };
    const tiny = Made.parse(await adds("addPlan", plan, { trafficGib: 2 }));
    const changed = { ...size, trafficGib: 3, prices: [price] };
    const ofTiny = { parameters: { id: tiny.id, "idempotency-key": v7() } };
    await api.does("addPlanVersion", "staff", { ...ofTiny, body: changed });
    for (const [code, parameters, over] of [
      ["idempotency_key_reused", ofTiny.parameters, { trafficGib: 4 }],
      ["plan_beyond_limits", { id: tiny.id }, { memoryMib: 2 ** 40 }],
      ["price_off_step", { id: tiny.id }, { prices: [offStep] }],
      ["plan_not_found", { id: noId("plan") }, {}],
    ] as const)
      await api.refuses("addPlanVersion", "staff", code, {
        parameters,
        body: { ...changed, ...over },
      });
    const taxed = { ...price, taxBehavior: "exclusive" };
    const catalogue = {
      plans: [{ ...plan, name: "filed", prices: [taxed], metadata: { a: "b" } }],
    };
    const sync = (over: object) => ({ body: { catalogue, ...over } });
    const shown = await api.does("syncCatalogue", "staff", sync({ dryRun: true }));
    const { hash } = z.object({ hash: z.string() }).parse(shown);
    await api.does("syncCatalogue", "staff", sync({ hash }));
    await api.refuses("syncCatalogue", "staff", "plan_changed", sync({ hash }));
    for (const [code, over] of [
      ["plan_beyond_limits", { memoryMib: 2 ** 40 }],
      ["price_off_step", { prices: [offStep] }],
    ] as const)
      await api.refuses("syncCatalogue", "staff", code, {
        body: { catalogue: { plans: [{ ...plan, ...over }] } },
      });
    const terms = { ...TRIALS, planIds: [tiny.id] };
    const offer = (over: object) => ({ body: { terms, reason: "spring", ...over } });
    const offered = await api.does("offerTrials", "staff", offer({ dryRun: true }));
    const { hash: ofOffer } = z.object({ hash: z.string() }).parse(offered);
    await api.does("offerTrials", "staff", offer({ hash: ofOffer }));
    await api.refuses(
      "offerTrials",
      "staff",
      "plan_changed",
      offer({ terms: null, hash: ofOffer }),
    );
    const ofNone = { ...terms, planIds: [noId("plan")] };
    await api.refuses("offerTrials", "staff", "plan_not_found", offer({ terms: ofNone }));
    const odd = { ...plan, name: "odd", prices: [offStep] };
    await api.refuses("addPlan", "staff", "price_off_step", { body: odd });
    const giant = { ...plan, name: "giant", memoryMib: 2 ** 40 };
    await api.refuses("addPlan", "staff", "plan_beyond_limits", { body: giant });
    const needs = { hypervisors: ["kvm"], minMemoryMib: 128, minDiskGib: 1 };
    const linux = { name: "Alpine", os: "linux", file: "alpine", ...needs };
    const alpine = Made.parse(await adds("addImage", linux, { minDiskGib: 2 }));
    const ofImage = { parameters: { id: alpine.id } };
    const url = "https://images.example.com/alpine.qcow2";
    const source = { hypervisor: "kvm", url, sha256: "a".repeat(64), locationIds: [location.id] };
    await api.does("setImageSource", "staff", { ...ofImage, body: source });
    for (const [code, over] of [
      ["image_other_file", { sha256: "b".repeat(64) }],
      ["image_not_for_hypervisor", { hypervisor: "hyperv" }],
      ["location_not_found", { locationIds: [noId("location")] }],
    ] as const)
      await api.refuses("setImageSource", "staff", code, {
        ...ofImage,
        body: { ...source, ...over },
      });
    await api.does("listHostsOfImage", "staff", ofImage);
    for (const id of ["setImageSource", "listHostsOfImage"] as const)
      await api.refuses(id, "staff", "image_not_found", {
        parameters: { id: noId("image") },
        ...(id === "setImageSource" && { body: source }),
      });
    const host = await adds("addHost", { name: "r1", locationId: location.id }, { testOnly: true });
    const Added = z.object({ joinToken: z.string(), host: z.object({ id: z.string() }) });
    const added = Added.parse(host);
    const ofHost = { parameters: { id: added.host.id } };
    await api.does("changeHost", "staff", { ...ofHost, body: { ceiling: { memoryMib: 4096 } } });
    const key = { "idempotency-key": v7() };
    const secret = { parameters: key, body: { name: "r2", locationId: location.id } };
    await api.does("addHost", "staff", secret);
    await api.refuses("addHost", "staff", "secret_shown_once", secret);
    const elsewhere = { name: "r3", locationId: noId("location") };
    await api.refuses("addHost", "staff", "location_not_found", { body: elsewhere });
    const publicKey = { kty: "OKP", crv: "Ed25519", x: (await anAgentKey()).x };
    const enrolment = { joinToken: added.joinToken, publicKey, facts: hostFacts() };
    await api.does("enrollHost", "nobody", { body: enrolment });
    const stolen = { ...publicKey, x: (await anAgentKey()).x };
    const late = { body: { ...enrolment, publicKey: stolen } };
    await api.refuses("enrollHost", "nobody", "join_token_invalid", late);
    const another = { parameters: { "idempotency-key": v7(), id: added.host.id } };
    await api.does("issueJoinToken", "staff", another);
    await api.refuses("issueJoinToken", "staff", "secret_shown_once", another);
    const others = { parameters: { ...another.parameters, id: api.there.host[1] } };
    await api.refuses("issueJoinToken", "staff", "idempotency_key_reused", others);
    expect(api.faults.splice(0)).toEqual([]);
  });

  // 6a item 6
  test("agree on what staff do about what was bought, and about accounts", async () => {
    const [vm, , making] = api.there.vm;
    const id = { id: vm };
    const suspension = { reason: "staff", note: "as told" };
    await forced("suspendVm", id, suspension);
    await api.refuses("suspendVm", "staff", "vm_locked", {
      parameters: { id: making },
      body: { ...suspension, dryRun: true },
    });
    await forced("unsuspendVm", id, suspension);
    const reason = "we were down";
    await forced("extendEntitlement", id, { days: 1, reason });
    const until = minutesAfter(1440, api.cp.clock.now()).toISOString();
    await forced("keepFromSuspension", id, { until, reason });
    for (const [op, over] of [
      ["extendEntitlement", { days: 366, reason }],
      ["keepFromSuspension", { until: "2099-01-01T00:00:00.000Z", reason }],
    ] as const)
      await api.refuses(op, "staff", "grant_too_long", { parameters: id, body: over });
    await forced("cancelVmForCustomer", id, { reason });
    await forced("uncancelVmForCustomer", id, { reason });
    for (const [op, body] of [
      ["suspendVm", suspension],
      ["unsuspendVm", suspension],
      ["extendEntitlement", { days: 1, reason }],
      ["keepFromSuspension", { until, reason }],
      ["cancelVmForCustomer", { reason }],
      ["uncancelVmForCustomer", { reason }],
    ] as const) {
      const nowhere = { parameters: { id: noId("vm") }, body };
      await api.refuses(op, "staff", "vm_not_found", nowhere);
    }
    await api.refuses("reviveVm", "customer", "vm_not_ended", { parameters: id });
    await api.refuses("reviveVm", "other_customer", "vm_not_found", { parameters: id });
    await api.cp.database.asOwner(
      `insert into dunnings (id, vm_id, subscription_id, policy_version, state, state_at, started_at, ending_at, due_at)
        select gen_random_uuid(), vm_id, subscription_id, 1, 'terminated', now(), now(), now(), '2999-01-01'
        from services where vm_id = '${idIn("vm").parse(vm)}'`,
    );
    api.cp.stripe.trouble.outage = true;
    await api.refuses("reviveVm", "customer", "payment_provider_unavailable", { parameters: id });
    api.cp.stripe.trouble.outage = false;
    await api.does("reviveVm", "customer", { parameters: id });
    await api.cp.database.asOwner("delete from dunnings");
    for (const op of ["cancelVm", "uncancelVm"]) {
      await api.does(op, "customer", { parameters: id });
      await api.refuses(op, "other_customer", "vm_not_found", { parameters: id });
    }
    await api.refuses("deleteVm", "staff", "second_person_required", { parameters: id });
    const ask = { how: "delete", reason };
    const asked = z
      .object({ id: z.string() })
      .parse(await forced("askToDestroyVm", id, ask, { how: "delete", reason: "other" }));
    await api.refuses("askToDestroyVm", "staff", "destroy_request_open", {
      parameters: id,
      body: ask,
    });
    for (const [code, parameters, how] of [
      ["vm_not_found", { id: noId("vm") }, "delete"],
      ["vm_not_lost", { id: api.doomed[0] }, "recreate"],
    ] as const)
      await api.refuses("askToDestroyVm", "staff", code, { parameters, body: { how, reason } });
    await api.does("listDestroyRequests", "staff");
    const request = { parameters: { id: asked.id }, body: {} };
    const none = { parameters: { id: noId("destroy_request") }, body: {} };
    await api.refuses("confirmDestroyRequest", "staff", "same_person", request);
    await api.refuses("confirmDestroyRequest", "staff", "destroy_request_not_found", none);
    const { body: _, ...nothing } = none;
    await api.refuses("withdrawDestroyRequest", "staff", "destroy_request_not_found", nothing);
    await api.does("withdrawDestroyRequest", "staff", { parameters: { id: asked.id } });
    await api.refuses("confirmDestroyRequest", "staff", "destroy_request_ended", request);
    const buyer = await aBuyer(api.cp);
    const account = { id: toWireId("account", buyer.accountId) };
    await api.does("impersonate", "staff", { parameters: account, body: { reason } });
    await api.does("endImpersonation", "staff", { parameters: account });
    const days = { suspendDays: 10, terminateDays: 30, deleteDays: 60 };
    await forced("agreeOnDunning", account, { days, reason });
    await forced("closeAccount", account, { reason });
    const closed = { parameters: account, body: { reason } };
    await api.refuses("impersonate", "staff", "account_closed", closed);
    await forced("reopenAccount", account, { reason });
    for (const op of ["impersonate", "closeAccount", "reopenAccount", "agreeOnDunning"]) {
      const body = { reason, ...(op === "agreeOnDunning" && { days }) };
      const nobody = { parameters: { id: noId("account") }, body };
      await api.refuses(op, "staff", "account_not_found", nobody);
    }
    expect(api.faults.splice(0)).toEqual([]);
  });

  test("agree on hosts' states and maintenance (6b item 4)", async () => {
    const place = { locationId: api.there.location[0] };
    const Host = z.object({ host: z.object({ id: z.string() }) });
    const added = Host.parse(
      await api.does("addHost", "staff", { body: { name: "r9", ...place } }),
    );
    const taken = { parameters: { id: added.host.id }, body: { name: "r1" } };
    await api.refuses("changeHost", "staff", "name_taken", taken);
    const [used] = await api.cp.rows("select id from hosts where allocated_vms > 0");
    const id = { id: toWireId("host", String(used?.["id"])) };
    const reason = "a fan is loud";
    const at = (hours: number) => minutesAfter(hours * 60, api.cp.clock.now()).toISOString();
    const shown = await api.does("showHost", "staff", { parameters: id });
    const { testOnly } = z.object({ testOnly: z.boolean() }).parse(shown);
    const marked = { parameters: id, body: { testOnly: !testOnly } };
    await api.refuses("changeHost", "staff", "host_not_empty", marked);
    const window = { startsAt: at(60), endsAt: at(61), reason };
    await forced("planMaintenance", id, window);
    await api.does("showHost", "staff", { parameters: id });
    for (const [code, over] of [
      ["maintenance_invalid", { endsAt: at(59) }],
      ["notice_too_short", { startsAt: at(1), endsAt: at(2) }],
    ] as const)
      await api.refuses("planMaintenance", "staff", code, {
        parameters: id,
        body: { ...window, ...over },
      });
    await forced("cancelMaintenance", id, { reason });
    const none = { parameters: id, body: { reason } };
    await api.refuses("cancelMaintenance", "staff", "no_maintenance", none);
    await api.refuses("showDrain", "staff", "drain_not_found", { parameters: id });
    for (const [code, times] of [
      ["maintenance_invalid", { startsAt: at(60), endsAt: at(59) }],
      ["notice_too_short", { startsAt: at(1), endsAt: at(2) }],
    ] as const)
      await api.refuses("drainHost", "staff", code, {
        parameters: id,
        body: { window: times, reason, dryRun: true },
      });
    await forced("drainHost", id, {
      window: { startsAt: at(60), endsAt: at(61) },
      reason,
    });
    await api.cp.pump();
    await api.does("showDrain", "staff", { parameters: { ...id, limit: 1 } });
    await api.does("showHost", "staff", { parameters: id });
    await forced("cordonHost", id, { reason });
    await api.refuses("retireHost", "staff", "host_not_empty", none);
    await forced("activateHost", id, { reason });
    await api.refuses("retireHost", "staff", "host_wrong_state", none);
    await forced("retireHost", { id: added.host.id }, { reason });
    const nowhere = { parameters: { id: noId("host") } };
    await api.refuses("showDrain", "staff", "host_not_found", nowhere);
    for (const op of ["cordonHost", "drainHost", "activateHost", "retireHost", "cancelMaintenance"])
      await api.refuses(op, "staff", "host_not_found", {
        parameters: { id: noId("host") },
        body: { reason },
      });
    expect(api.faults.splice(0)).toEqual([]);
  });

  test("agree on the releases of the agent, and how they come to hosts", async () => {
    const Made = z.object({ id: z.string() });
    const version = "1.2.3";
    const release = { version, manifestUrl: "https://releases.example/1.2.3/manifest.json" };
    const key = { parameters: { "idempotency-key": v7() } };
    const moved = { ...release, manifestUrl: "https://elsewhere.example/manifest.json" };
    await api.does("registerAgentRelease", "staff", { ...key, body: release });
    await api.refuses("registerAgentRelease", "staff", "idempotency_key_reused", {
      ...key,
      body: moved,
    });
    await api.refuses("registerAgentRelease", "staff", "release_exists", { body: moved });
    await api.does("listAgentReleases", "staff");
    const [hostId] = api.there.host;
    await api.does("changeHost", "staff", { parameters: { id: hostId }, body: { group: "rack" } });
    const begin = (code: string, body: object, more = {}) =>
      api.refuses("beginAgentRollout", "staff", code, { body: { version, ...body }, ...more });
    const body = { version, hosts: { group: "rack" } };
    const once = { parameters: { "idempotency-key": v7() } };
    const made = await api.does("beginAgentRollout", "staff", { ...once, body });
    const id = { parameters: { id: Made.parse(made).id } };
    await begin("idempotency_key_reused", { hosts: { group: "other" } }, once);
    await begin("rollout_open", { hosts: { ids: [hostId] } });
    await begin("rollout_without_hosts", { hosts: { group: "nobodys" } });
    await begin("agent_release_not_found", { hosts: { group: "rack" }, version: "9.9.9" });
    await api.does("showAgentRollout", "staff", id);
    await api.does("listAgentRollouts", "staff");
    await api.does("changeAgentRollout", "staff", { ...id, body: { state: "cancelled" } });
    const again = { ...id, body: { state: "running" } };
    await api.refuses("changeAgentRollout", "staff", "rollout_wrong_state", again);
    api.there.agent_rollout = [id.parameters.id];
    expect(api.faults.splice(0)).toEqual([]);
  });

  test("agree on what agents do, and on a Windows VM's first password", async () => {
    await api.does("openAgentSession", "agent");
    await api.does("exchangeImages", "agent", { body: { fetches: [] } });
    const desired = z.object({ generation: z.int() }).parse(await api.does("readDesired", "agent"));
    await api.cp.rows("update images set os = 'windows' where id = $1", api.world.imageId);
    const { vmId } = await aProvisionedVm(api.cp, api.world);
    const early = { parameters: { id: toWireId("vm", vmId) } };
    await api.refuses("takeInitialPassword", "customer", "password_not_ready", early);
    await api.does("handInitialPassword", "agent", { parameters: { id: vmId } });
    const windows = await reportOf(api.cp, vmId, {
      observed: { guest: { source: "console", hostname: "w" } },
    });
    await api.does("recordReport", "agent", {
      body: {
        desiredGeneration: desired.generation,
        vms: [windows],
        actions: [],
        strangers: [],
        facts: null,
      },
    });
    const numbered = {
      body: {
        desiredGeneration: desired.generation,
        vms: [],
        actions: [],
        strangers: [],
        facts: null,
        serial: { process: 2, seq: 1 },
      },
    };
    await api.does("recordReport", "agent", numbered);
    await api.refuses("recordReport", "agent", "report_stale", numbered);
    const windowsVm = { parameters: { id: toWireId("vm", vmId) } };
    await api.does("takeInitialPassword", "customer", windowsVm);
    await api.refuses("takeInitialPassword", "customer", "password_already_taken", windowsVm);
    const handed = { parameters: { id: vmId } };
    await api.refuses("handInitialPassword", "agent", "no_initial_password", handed);
    await api.cp.rows("update images set os = 'linux' where id = $1", api.world.imageId);
    const lost = { parameters: { id: api.doomed[1] }, body: { how: "adopt_disk", dryRun: true } };
    await api.refuses("repairVm", "staff", "vm_not_lost", lost);
    const uuid = idIn("vm").parse(api.doomed[1]);
    await api.cp.rows("update vms set lost_at = $2 where id = $1", uuid, api.cp.clock.now());
    await api.does("repairVm", "staff", lost);
    const stale = { ...lost, body: { how: "adopt_disk", hash: "0".repeat(64) } };
    await api.refuses("repairVm", "staff", "plan_changed", stale);
    const hashOf = async (how: string) =>
      Hashed.parse(await api.does("repairVm", "staff", { ...lost, body: { how, dryRun: true } }))
        .hash;
    const recreates = { ...lost, body: { how: "recreate", hash: await hashOf("recreate") } };
    await api.refuses("repairVm", "staff", "second_person_required", recreates);
    const ofHost = { parameters: { id: toWireId("host", api.world.hostId) } };
    await api.does("repairHost", "staff", { ...ofHost, body: { how: "recreate", dryRun: true } });
    const staleOfHost = { ...ofHost, body: stale.body };
    await api.refuses("repairHost", "staff", "plan_changed", staleOfHost);
    const elsewhere = { parameters: { id: toWireId("host", v7()) } };
    await api.refuses("repairHost", "staff", "host_not_found", {
      ...elsewhere,
      body: { how: "adopt_disk" },
    });
    const repair = async (how: string) => {
      const body = { how, hash: await hashOf(how) };
      const begun = await api.does("repairVm", "staff", { ...lost, body });
      const { action } = z.object({ action: z.object({ id: z.string() }) }).parse(begun);
      return { ...lost.parameters, actionId: action.id };
    };
    const adoption = { parameters: await repair("adopt_disk"), body: {} };
    const twice = { how: "adopt_disk", hash: await hashOf("adopt_disk") };
    await api.refuses("repairVm", "staff", "vm_locked", { ...lost, body: twice });
    await twoRecreate(lost.parameters);
    const cancels = async (of: typeof adoption, body: object = {}) => {
      const dry = await api.does("cancelAction", "staff", {
        ...of,
        body: { ...body, dryRun: true },
      });
      const { hash } = Hashed.parse(dry);
      await api.does("cancelAction", "staff", { ...of, body: { ...body, hash } });
    };
    await cancels(adoption);
    const other = { ...adoption.parameters, actionId: noId("action") };
    await api.refuses("cancelAction", "staff", "action_not_found", { parameters: other, body: {} });
    const recreation = { parameters: await repair("adopt_disk"), body: {} };
    await api.does("readDesired", "agent");
    await api.refuses("cancelAction", "staff", "action_may_be_under_way", recreation);
    const abandons = { ...recreation, body: { abandon: true } };
    await api.refuses("cancelAction", "staff", "plan_changed", abandons);
    await cancels(recreation, { abandon: true });
    const itsHost = { parameters: { id: toWireId("host", api.onAgent().hostId) } };
    const all = { ...itsHost, body: { how: "adopt_disk", dryRun: true } };
    const { hash } = Hashed.parse(await api.does("repairHost", "staff", all));
    await api.does("repairHost", "staff", { ...itsHost, body: { how: "adopt_disk", hash } });
    const staffs = await api.does("showStaffVm", "staff", { parameters: lost.parameters });
    const made = z.object({ actions: z.array(z.object({ id: z.string() })) }).parse(staffs);
    const ended = { ...lost.parameters, actionId: made.actions.at(-1)?.id };
    await api.refuses("cancelAction", "staff", "action_ended", { parameters: ended, body: {} });
    await restored();
    expect(api.faults.splice(0)).toEqual([]);
  });

  test("agree on log-ins, sessions and second factors", async () => {
    const email = `${v7()}@example.com`;
    await api.does("signUp", "nobody", { body: { email, name: "Ada", password: PASSWORD } });
    const again = { body: { email, name: "Ada", password: PASSWORD } };
    await api.refuses("signUp", "nobody", "email_taken", again);
    await api.does("signIn", "nobody", { body: { email, password: PASSWORD } });
    const wrong = { body: { email, password: "a wrong password" } };
    await api.refuses("signIn", "nobody", "unauthenticated", wrong);
    await api.does("signOut", "session");
    await api.does("showSession", "session");
    await api.does("listSessions", "session");
    await api.does("revokeSession", "session", { body: { token: "none" } });
    await api.does("revokeOtherSessions", "session");
    const passwords = { currentPassword: PASSWORD, newPassword: PASSWORD };
    await api.does("changePassword", "session", { body: passwords });
    const byPassword = { body: { password: PASSWORD } };
    const enabled = await api.does("enableTwoFactor", "session", byPassword);
    const { totpURI } = z.object({ totpURI: z.string() }).parse(enabled);
    await api.does("verifyTotp", "session", { body: { code: totpOf(totpURI, -1) } });
    // The set-up made the session anew, and the answer to it is not read here.
    await api.cp.rows(
      "update accounts set two_factor_enabled = false where email = $1",
      api.people.customer.email,
    );
    const codes = z.object({ backupCodes: z.array(z.string()) });
    api.forgetSession();
    await api.session();
    await api.cp.rows(
      "update accounts set two_factor_enabled = true where email = $1",
      api.people.customer.email,
    );
    const byCode = { body: { password: PASSWORD, code: totpOf(totpURI) } };
    const { backupCodes } = codes.parse(await api.does("makeBackupCodes", "session", byCode));
    await api.does("verifyBackupCode", "session", { body: { code: backupCodes[0] } });
    const off = { body: { password: PASSWORD, code: backupCodes[1] } };
    await api.does("disableTwoFactor", "session", off);
    api.forgetSession();
    await api.does("revokeSessions", "session");
    const mailed = async (): Promise<string> => {
      await api.cp.pump();
      return api.cp.mails.at(-1)?.text.match(/#(\S+)/)?.[1] ?? "no link";
    };
    const { customer } = api.people;
    const proven = (is: boolean) =>
      api.cp.rows("update accounts set email_verified = $2 where email = $1", customer.email, is);
    await proven(false);
    await api.does("sendVerificationEmail", "session");
    await api.does("verifyEmail", "nobody", { body: { token: await mailed() } });
    await api.refuses("verifyEmail", "nobody", "link_invalid", { body: { token: "none" } });
    await api.does("requestPasswordReset", "nobody", { body: { email: customer.email } });
    const reset = { body: { token: await mailed(), newPassword: PASSWORD } };
    const weak = { body: { ...reset.body, newPassword: "password123" } };
    await api.refuses("resetPassword", "nobody", "password_unfit", weak);
    await api.does("resetPassword", "nobody", reset);
    await api.refuses("resetPassword", "nobody", "link_invalid", reset);
    api.forgetSession();
    const newEmail = `${v7()}@example.com`;
    await api.does("changeEmail", "session", { body: { newEmail, password: PASSWORD } });
    const unsure = { body: { newEmail, password: "a wrong password" } };
    await api.refuses("changeEmail", "session", "invalid_request", unsure);
    const [toNew, takenSince] = [await mailed(), `${v7()}@example.com`];
    await api.refuses("confirmNewEmail", "nobody", "link_invalid", { body: { token: "none" } });
    await api.does("signUp", "nobody", {
      body: { email: takenSince, name: "Eve", password: PASSWORD },
    });
    const meant = (address: string) =>
      api.cp.rows("update mailed_links set address = $1 where asked_by is not null", address);
    await meant(takenSince);
    const use = { body: { token: toNew } };
    await api.refuses("confirmNewEmail", "nobody", "email_taken", use);
    // The address that it has: whoever goes on with these tests logs in with that.
    await meant(customer.email);
    await api.does("confirmNewEmail", "nobody", use);
    api.forgetSession();
    expect(api.faults.splice(0)).toEqual([]);
  });

  // After those that need hosts which were heard of: time passes in it.
  test("agree on moves of VMs (6b item 3)", async () => {
    const { cp } = api;
    const aMove = async () => {
      const vm = await aMovableVm(cp);
      const body = { hostId: toWireId("host", vm.to), method: "cold", reason: "it is worn out" };
      return { vm, id: { id: toWireId("vm", vm.vmId) }, body };
    };
    const Begun = z.object({ move: z.object({ id: z.string() }) });
    const one = await aMove();
    const begun = Begun.parse(await forced("migrateVm", one.id, one.body));
    const again = { parameters: one.id, body: one.body };
    await api.refuses("migrateVm", "staff", "move_refused", again);
    const shown = { parameters: one.id, body: { ...one.body, dryRun: true } };
    expect(await api.does("migrateVm", "staff", shown)).toMatchObject({ hash: null });
    for (const [code, id, over] of [
      ["vm_not_found", { id: noId("vm") }, {}],
      ["host_not_found", one.id, { hostId: noId("host") }],
    ] as const)
      await api.refuses("migrateVm", "staff", code, {
        parameters: id,
        body: { ...one.body, ...over },
      });
    const two = await aMove();
    const dry = { parameters: two.id, body: { ...two.body, dryRun: true } };
    const { hash } = Hashed.parse(await api.does("migrateVm", "staff", dry));
    const keyed = {
      parameters: { ...two.id, "idempotency-key": v7() },
      body: { ...two.body, hash },
    };
    const other = Begun.parse(await api.does("migrateVm", "staff", keyed));
    const reused = { ...keyed, body: { ...keyed.body, reason: "another" } };
    await api.refuses("migrateVm", "staff", "idempotency_key_reused", reused);
    const first = await api.does("listMoves", "staff", { parameters: { limit: 1 } });
    const { nextCursor: cursor } = z.object({ nextCursor: z.string() }).parse(first);
    await api.does("listMoves", "staff", { parameters: { limit: 1, cursor } });
    const elsewhere = { parameters: { cursor, state: "open" } };
    await api.refuses("listMoves", "staff", "cursor_invalid", elsewhere);
    const { reason } = one.body;
    const stop = (id: string) => ({ parameters: { id }, body: { reason } });
    await api.does("showMove", "staff", { parameters: begun.move });
    await api.does("showStaffVm", "staff", { parameters: one.id });
    await forced("stopMove", begun.move, { reason });
    const none = noId("move");
    await api.refuses("showMove", "staff", "move_not_found", { parameters: { id: none } });
    await api.refuses("stopMove", "staff", "move_not_found", stop(none));
    const kept = await loadMove(cp.deps.db, idIn("move").parse(other.move.id));
    if (!kept) throw new Error("the move is not kept");
    await bringTo(cp, two.vm, kept, "take_over");
    await api.refuses("stopMove", "staff", "move_not_stoppable", stop(other.move.id));
    api.there.move = [begun.move.id, other.move.id];
    expect(api.faults.splice(0)).toEqual([]);
  });

  test("agree on who is let in nowhere, and on what is not looked at", async () => {
    const json = "application/json";
    const large = JSON.stringify({ name: "x".repeat(4 * 1024 * 1024) });
    for (const op of api.document.operations) {
      const nothing = op.parameters
        .filter((p) => p.in === "path")
        .map((p) => [p.name, noneLike(p.schema)]);
      const parameters: Record<string, unknown> = Object.fromEntries(nothing);
      const body = op.body === null ? undefined : "{}";
      const type = op.body === null ? undefined : json;
      for (const caller of CALLERS) await api.send(op, { caller, parameters, body, type });
      const caller = rightCallersOf(op)[0] ?? "nobody";
      await api.send(op, { caller, parameters, body, type: "text/plain" });
      const bad = Object.fromEntries(op.parameters.map((p) => [p.name, "x".repeat(300)]));
      if (op.parameters.length > 0) await api.send(op, { caller, parameters: bad, body, type });
      // Where a key must be, nothing is looked at without one.
      const key = op.parameters.some(({ name }) => name === "idempotency-key");
      const keyed = { ...parameters, ...(key && { "idempotency-key": v7() }) };
      if (op.body !== null)
        await api.send(op, { caller, parameters: keyed, body: "{", type: json });
      if (op.method === "GET") continue;
      const sent = await api.send(op, { caller, parameters, body: large, type: json });
      expect({ id: op.id, status: sent.status }).toEqual({ id: op.id, status: 413 });
    }
    expect(api.faults.splice(0)).toEqual([]);
  });

  test("agree on whatever is asked of each operation, by everybody", async () => {
    const last = ["deleteVm", "changePassword"];
    for (const op of api.document.operations) if (!last.includes(op.id)) await drive(op);
    expect(api.faults.splice(0)).toEqual([]);
  });

  test("agree on what ends tokens, and on VMs that are deleted", async () => {
    await api.does("deleteVm", "customer", { parameters: { id: api.doomed[0] } });
    api.there.vm = api.doomed;
    await drive(api.opOf("deleteVm"));
    await drive(api.opOf("changePassword"));
    expect(api.faults.splice(0)).toEqual([]);
  });

  test("leave no operation out: each was seen to succeed, and to refuse", () => {
    const never = (wanted: (status: number) => boolean) =>
      api.document.operations
        .map((op) => op.id)
        .filter(
          (id) => ![...(api.seen.get(id) ?? [])].some((s) => typeof s === "number" && wanted(s)),
        );
    expect(api.document.operations.length).toBeGreaterThan(45);
    expect(never((status) => status >= 200 && status < 300)).toEqual([]);
    expect(never((status) => status >= 400)).toEqual([]);
  });

  // 6a item 6
  test("leave a word in the audit log of all that staff change", () => {
    const writes = api.document.operations.filter(
      ({ method, path }) => method !== "GET" && path.startsWith("/staff/"),
    );
    expect(writes.length).toBeGreaterThan(12);
    const silent = writes.map(({ id }) => id).filter((id) => !api.audited.has(id));
    expect(silent).toEqual([]);
  });

  test("agree on what is refused: what is declared was seen", () => {
    const unseen = api.document.operations.flatMap((op) => {
      const known = (code: string) =>
        api.seen.get(op.id)?.has(code) === true ||
        SEEN_ELSEWHERE.has(`${op.id} ${code}`) ||
        SEEN_ELSEWHERE.has(
          op.access.who === "anybody" ? code.replace(/^forbidden$/, "$& of a log-in") : code,
        );
      return op.codes.filter((code) => !known(code)).map((code) => `${op.id} ${code}`);
    });
    expect(unseen).toEqual([]);
  });

  test("were asked often, and nothing was an error of ours", () => {
    expect(api.judged()).toBeGreaterThan(1000);
    expect(api.cp.log.errors.filter((line) => line["status"] === 500)).toEqual([]);
  });
});

const Hashed = z.object({ hash: z.string() });

/** A force as it is meant to be made: refused without a hash, shown dry, and done by its hash. */
async function forced(
  id: string,
  parameters: Record<string, unknown>,
  body: Record<string, unknown>,
  other = body,
): Promise<unknown> {
  await api.refuses(id, "staff", "plan_changed", { parameters, body: other });
  const dry = await api.does(id, "staff", { parameters, body: { ...body, dryRun: true } });
  const { hash } = Hashed.parse(dry);
  return api.does(id, "staff", { parameters, body: { ...body, hash } });
}

/** Two of staff have a lost VM made anew, on which something runs; and then one that is not lost any more, is gone, and is. */
async function twoRecreate(parameters: Record<string, unknown>): Promise<void> {
  const { cp } = api;
  const asked = await forced("askToDestroyVm", parameters, { how: "recreate", reason: "as asked" });
  const { id } = z.object({ id: z.string() }).parse(asked);
  const other = await aBuyer(cp);
  const uuid = idIn("destroy_request").parse(id);
  await cp.rows("update destroy_requests set asked_by = $2 where id = $1", uuid, other.accountId);
  const of = { parameters: { id } };
  const refuses = (code: string, body: object) =>
    api.refuses("confirmDestroyRequest", "staff", code, { ...of, body });
  const hash = async () =>
    Hashed.parse(
      await api.does("confirmDestroyRequest", "staff", { ...of, body: { dryRun: true } }),
    ).hash;
  await refuses("plan_changed", {});
  await refuses("vm_locked", { hash: await hash() });
  const vmId = idIn("vm").parse(parameters["id"]);
  await cp.rows("update vms set lost_at = null where id = $1", vmId);
  await refuses("vm_not_lost", {});
  await cp.rows("update vms set presence = 'absent' where id = $1", vmId);
  await refuses("vm_not_found", {});
  const back = "update vms set presence = 'present', lost_at = $2 where id = $1";
  await cp.rows(back, vmId, cp.clock.now());
  const running =
    "update actions set status = 'success', finished_at = $2 where vm_id = $1 and status = 'running' returning id";
  const [held] = await cp.rows(running, vmId, cp.clock.now());
  await api.does("confirmDestroyRequest", "staff", { ...of, body: { hash: await hash() } });
  await cp.rows(
    "update actions set status = 'success', finished_at = $2 where vm_id = $1 and status = 'running'",
    vmId,
    cp.clock.now(),
  );
  const again = "update actions set status = 'running', finished_at = null where id = $1";
  await cp.rows(again, held?.["id"]);
  await api.refuses("withdrawDestroyRequest", "staff", "destroy_request_ended", of);
}

/** The database was restored: a dry run, as the true one ends everybody's session, and a VM that is adopted. */
async function restored(): Promise<void> {
  const { cp, world, people } = api;
  const now = cp.clock.now();
  const to = (at: Date) => ({ body: { restoredTo: at.toISOString(), dryRun: true } });
  await api.does("recordRestore", "staff", to(now));
  await api.refuses("recordRestore", "staff", "restore_point_invalid", to(minutesAfter(1, now)));
  const [orderId, vmId] = [v7(), v7()];
  const { payments } = cp.deps;
  const { customer } = people;
  const payer = { accountId: customer.accountId, currency: "usd", attempt: 7 } as const;
  const checkout = await payments.createCheckout({
    orderId,
    customerId: await payments.ensureCustomer({ ...payer, email: customer.email, name: "Ada" }),
    priceId: await payments.ensurePrice({
      planPriceId: v7(),
      planId: world.planId,
      planName: "any",
      amount: { minor: MONTH, currency: "usd" },
      interval: "month",
      taxBehavior: null,
    }),
    successUrl: "http://berth.test/done",
    cancelUrl: "http://berth.test/cancelled",
    expiresAt: minutesAfter(60, now),
  });
  expect(await cp.stripe.pay(checkout.url)).toBe(303);
  await cp.rows(
    "update hosts set capacity_memory_mib = allocated_memory_mib + 1024, capacity_disk_gib = allocated_disk_gib + 20, " +
      "capacity_vcpus = allocated_vcpus + 1, capacity_vms = allocated_vms + 1 where id = $1",
    world.hostId,
  );
  const free = await cp.rows(
    "select host(address) as a from ip_addresses where location_id = $1 and busy_until <= $2 limit 1",
    world.locationId,
    now,
  );
  await inTransaction(cp.deps.db, (tx) =>
    insertUnknownVm(tx, {
      vmId,
      hostId: world.hostId,
      ownerEpoch: 1,
      hostname: "web-1",
      imageId: world.imageId,
      ...SIZE,
      address: String(free[0]?.["a"]),
      toldAt: now,
    }),
  );
  const body = {
    checkoutId: checkout.id,
    accountId: toWireId("account", customer.accountId),
    planId: api.there.plan[0],
  };
  const adopt = { parameters: { id: toWireId("vm", vmId) }, body };
  const another = { ...adopt, body: { ...body, checkoutId: "cs_none" } };
  await api.refuses("adoptVm", "staff", "adoption_refused", another);
  const stale = { ...adopt, body: { ...body, hash: "0".repeat(64) } };
  await api.refuses("adoptVm", "staff", "plan_changed", stale);
  const dry = await api.does("adoptVm", "staff", { ...adopt, body: { ...body, dryRun: true } });
  const { hash } = Hashed.parse(dry);
  await api.does("adoptVm", "staff", { ...adopt, body: { ...body, hash } });
  await api.refuses("adoptVm", "staff", "vm_not_found", adopt);
}

/** Quotes for a VM of which its host has shown all, and what stands against them. */
async function quotesOf(vm: string): Promise<void> {
  const { cp } = api;
  const limits = { bandwidthMbit: 1000, diskIops: null };
  const vmId = idIn("vm").parse(vm);
  await hostSees(cp, api.onAgent().hostId, vmId, { observed: { guest: GUEST, limits } });
  const planId = toWireId("plan", (await aLargePlan(cp)).id);
  const key = { parameters: { id: vm, "idempotency-key": v7() } };
  await api.does("quoteResize", "customer", { ...key, body: { planId } });
  const other = { ...key, body: { planId, keepDisk: true } };
  await api.refuses("quoteResize", "customer", "idempotency_key_reused", other);
  const word = { reason: "asked for by phone", when: "now", billing: "none", dryRun: true };
  const calls = [
    ["quoteResize", "customer", { planId }],
    ["listResizeOptions", "customer", undefined],
    ["resizeForStaff", "staff", { planId, ...word }],
  ] as const;
  for (const [id, who, body] of calls) {
    const asking = (of: string) => ({ parameters: { id: of }, ...(body && { body }) });
    await api.does(id, who, asking(vm));
    await api.refuses(id, who, "vm_not_found", asking(noId("vm")));
    cp.stripe.trouble.outage = true;
    await api.refuses(id, who, "payment_provider_unavailable", asking(vm));
    cp.stripe.trouble.outage = false;
  }
}

/** A plan migration, from its dry run to its stop, and what it is refused for. */
async function migrations(): Promise<void> {
  const [from] = api.there.plan;
  const body = {
    from: { planId: from },
    to: { planId: toWireId("plan", (await aLargePlan(api.cp)).id) },
    filter: { hostId: api.there.host[1] },
    when: "now",
    price: "new",
    announceDays: 1,
    reason: "the plan is sold no more",
  };
  const ask = (over: object) => ({ body: { ...body, ...over } });
  const refuses = (code: string, over: object) =>
    api.refuses("migratePlans", "staff", code, ask(over));
  await refuses("plan_not_found", { dryRun: true, to: { planId: noId("plan") } });
  await refuses("plan_migration_without_vms", { dryRun: true });
  await refuses("plan_changed", {});
  const Planned = z.object({ id: z.string(), hash: z.string() });
  const dry = await api.does("migratePlans", "staff", ask({ dryRun: true, filter: {} }));
  const { id: wire, hash } = Planned.parse(dry);
  const id = { parameters: { id: wire } };
  await api.refuses("changePlanMigration", "staff", "plan_migration_wrong_state", {
    ...id,
    body: { do: "resume" },
  });
  await api.does("migratePlans", "staff", ask({ filter: {}, hash }));
  await api.does("showPlanMigration", "staff", id);
  await api.does("listPlanMigrations", "staff");
  await api.does("listPlanMigrationVms", "staff", { parameters: { ...id.parameters, limit: 1 } });
  for (const of of ["pause", "stop"])
    await api.does("changePlanMigration", "staff", { ...id, body: { do: of } });
  api.there.plan_migration = [wire];
}

/** Quotes that are taken, dropped and carried out, by their customer and by staff. */
async function resizes(): Promise<void> {
  const { cp } = api;
  const [{ vmId }, other] = [
    await anActiveVm(cp, api.onAgent()),
    await anActiveVm(cp, api.onAgent()),
  ];
  const [vm, otherVm] = [toWireId("vm", vmId), toWireId("vm", other.vmId)];
  const planId = toWireId("plan", (await aLargePlan(cp)).id);
  for (const each of [vmId, other.vmId]) await isSeen(cp, { world: api.onAgent(), vmId: each });
  const aQuote = async () => {
    const body = { planId };
    const made = await api.does("quoteResize", "customer", { parameters: { id: vm }, body });
    const { quote } = z.object({ quote: z.object({ id: z.string() }).nullable() }).parse(made);
    if (quote === null) throw new Error(`no quote: ${JSON.stringify(made)}`);
    return quote.id;
  };
  const take = (quoteId: string) => ({
    parameters: { id: vm },
    body: { type: "resize", quoteId },
  });
  /** As one that was offered, but for this. */
  const butFor = async (over: Partial<Quote>) => {
    const found = await loadQuote(cp.deps.db, idIn("quote").parse(await aQuote()));
    if (!found) throw new Error("the quote is not kept");
    return toWireId("quote", (await insertQuote(cp.deps.db, { ...found, id: v7(), ...over })).id);
  };
  const refuses = async (code: string, quoteId: string) =>
    api.refuses("requestAction", "customer", code, take(quoteId));
  await refuses("quote_not_found", noId("quote"));
  const past = (ms: number) => new Date(+cp.clock.now() - ms);
  await refuses("quote_expired", await butFor({ createdAt: past(2), expiresAt: past(1) }));
  await refuses("quote_outdated", await butFor({ basis: "of another period" }));
  const quoteId = await aQuote();
  cp.stripe.trouble.outage = true;
  await refuses("payment_provider_unavailable", quoteId);
  cp.stripe.trouble.outage = false;
  await api.does("requestAction", "customer", take(quoteId));
  await refuses("quote_taken", quoteId);
  const ofIt = { parameters: { id: vm } };
  await api.does("cancelResize", "customer", ofIt);
  await api.does("cancelResize", "staff", ofIt);
  const none = { parameters: { id: otherVm } };
  await api.refuses("cancelResize", "customer", "change_not_found", none);
  await api.does("requestAction", "customer", take(await aQuote()));
  await cp.pump();
  await api.refuses("cancelResize", "customer", "change_under_way", ofIt);
  await isSeen(cp, { world: api.onAgent(), vmId });
  await cp.pump();

  const word = { reason: "asked for by phone", when: "now", billing: "none" };
  const asked = { parameters: { id: vm, "idempotency-key": v7() }, body: { planId, ...word } };
  await api.refuses("resizeForStaff", "staff", "resize_refused", asked);
  const shown = { parameters: none.parameters, body: { ...asked.body, dryRun: true } };
  const { hash } = z
    .object({ hash: z.string() })
    .parse(await api.does("resizeForStaff", "staff", shown));
  const ofOther = {
    parameters: { id: otherVm, "idempotency-key": v7() },
    body: { ...asked.body, hash },
  };
  const stale = { parameters: none.parameters, body: { ...ofOther.body, hash: "0".repeat(64) } };
  await api.refuses("resizeForStaff", "staff", "plan_changed", stale);
  const first = await api.does("resizeForStaff", "staff", ofOther);
  expect(await api.does("resizeForStaff", "staff", ofOther)).toEqual(first);
  const reused = { ...ofOther, body: { ...ofOther.body, reason: "another" } };
  await api.refuses("resizeForStaff", "staff", "idempotency_key_reused", reused);
}

/** What a VM's host measured. */
async function usageOf(vm: string | undefined): Promise<void> {
  const vmId = api.uuids[1];
  const now = api.cp.clock.now();
  const sample = aSample({
    ...(vmId === undefined ? {} : { vmId }),
    from: minutesAfter(-1, now).toISOString(),
    to: now.toISOString(),
  });
  await api.does("recordUsage", "agent", { body: { samples: [sample] } });
  await api.does("showUsage", "customer", { parameters: { id: vm } });
}

/** Asks an operation whatever its document says, and more. What is wrong is told by `faults`: a state is not shrunk. */
async function drive(op: Operation): Promise<void> {
  const numRuns = op.path.startsWith("/v1/auth/") ? RUNS_OF_LOG_IN : RUNS;
  for (const call of fc.sample(callsOf(api, op), { seed: SEED, numRuns })) await api.send(op, call);
}

const TRIALS = {
  days: 7,
  endsIn: "payment",
  suspendDays: 1,
  noticeDays: 3,
  mostAtOnce: 1,
  planIds: null,
};

/** A trial is for whoever has paid nothing yet. */
async function trialsAgree(api: ApiWorld, body: Record<string, unknown>): Promise<void> {
  await api.refuses("placeOrder", "customer", "trial_unavailable", { body });
  const offer = { terms: TRIALS, reason: "spring" };
  const shown = await api.does("offerTrials", "staff", { body: { ...offer, dryRun: true } });
  const { hash } = z.object({ hash: z.string() }).parse(shown);
  await api.does("offerTrials", "staff", { body: { ...offer, hash } });
  await api.refuses("placeOrder", "customer", "trial_used", { body });
  const turnPayments = () => api.cp.rows("update invoices set paid_minor = -paid_minor");
  await turnPayments();
  await api.does("placeOrder", "customer", { body });
  await api.refuses("placeOrder", "customer", "trials_taken", { body });
  await turnPayments();
  await api.cp.rows("update orders set expires_at = created_at where trial_policy is not null");
  await expireOrders(api.cp.deps);
}

/** Cards on file, and orders that are paid with one: this customer has paid on a page, and chose no card. */
async function cardsAgree({ cp, ...api }: ApiWorld, order: Record<string, unknown>) {
  const calls = [
    ["openCardPage", {}],
    ["openPortal", {}],
    ["showPaymentMethod", undefined],
  ] as const;
  for (const [id, body] of calls) {
    await api.does(id, "customer", body && { body });
    cp.stripe.trouble.outage = true;
    await api.refuses(id, "customer", "payment_provider_unavailable", body && { body });
    cp.stripe.trouble.outage = false;
  }
  await api.refuses("openCardPage", "customer", "currency_fixed", { body: { currency: "eur" } });
  await api.refuses("openPortal", "customer", "return_url_foreign", {
    body: { returnUrl: "https://elsewhere.example/" },
  });
  const body = { ...order, paymentMethod: "default" };
  const [row] = await cp.rows(
    "select customer_id as id from billing_customers where account_id = $1 and currency = 'usd'",
    api.people.customer.accountId,
  );
  const customer = String(row?.["id"]);
  const choose = async (token: string) => {
    const { paymentMethods, customers } = cp.stripe.dashboard;
    const { id: method } = await paymentMethods.attach(token, { customer });
    await customers.update(customer, { invoice_settings: { default_payment_method: method } });
  };
  await choose("pm_usBankAccount");
  await api.refuses("placeOrder", "customer", "payment_method_missing", { body });
  await choose("pm_card_chargeCustomerFail");
  await api.refuses("placeOrder", "customer", "payment_declined", { body });
  await choose("pm_card_visa");
}

import fc from "fast-check";
import { v7 } from "uuid";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { SCOPES_OF_ROLE, type AccountPrincipal, type Role } from "#core/accounts/accounts.ts";
import { ID_PREFIX, toWireId, type IdKind } from "#core/ids.ts";
import { issueJoinToken } from "#commands/hosts/add-host.ts";
import { aSample, hostFacts, minutesAfter } from "#test/builders.ts";
import { anAgentKey, aSigningHost, signed, type AgentKey } from "#test/harness/agent-requests.ts";
import { readDocument, type ApiDocument, type Operation } from "#test/harness/api-document.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { spoiledOf, valuesOf, type Known } from "#test/harness/schema-values.ts";
import {
  anActiveVm,
  aProvisionedVm,
  aWorld,
  reportOf,
  SYSTEM,
  valueOf,
  type World,
} from "#test/harness/world.ts";
import {
  accountsOn,
  type Doors,
  anAccount,
  aToken,
  BASE_URL,
  cookieOf,
  PASSWORD,
  post,
  totpOf,
} from "./accounts/account-builders.ts";

/*
 * The API is held against its own document: every operation is driven from it, by everybody, with requests that fit and
 * with such as do not, and each answer is one that the operation declares, with its schema and its codes.
 *
 * `BERTH_OPENAPI_SEED=7 npx vitest run --project db test/db/openapi.test.ts` draws others.
 */

const SEED = Number(process.env["BERTH_OPENAPI_SEED"] ?? 1);
/** Requests for each operation. A log-in hashes a password each time, so that those are fewer. */
const RUNS = Number(process.env["BERTH_OPENAPI_RUNS"] ?? 30);
const RUNS_OF_LOG_IN = Math.ceil(RUNS / 3);

const CALLERS = [
  "nobody",
  "garbage",
  "customer",
  "other_customer",
  "staff",
  "integration",
  "weak",
  "session",
  "agent",
  "other_agent",
] as const;
type Caller = (typeof CALLERS)[number];
type Call = Readonly<{
  caller: Caller;
  /** By the parameter's name; undefined leaves it out. */
  parameters: Readonly<Record<string, unknown>>;
  /** The body's text; undefined sends none. */
  body: string | undefined;
  type: string | undefined;
}>;

let cp: ControlPlane;
let accounts: Doors;
let document: ApiDocument;
let world: World;
let agents: Record<"agent" | "other_agent", { hostId: string; key: AgentKey }>;
let people: Record<"customer" | "other_customer" | "staff" | "integration", AccountPrincipal>;
let tokens: Record<"customer" | "other_customer" | "staff" | "integration" | "weak", string>;
/** What is there: ids as the wire has them, by their prefix. */
let there: Record<IdKind, string[]>;
let uuids: string[];
let ownTokens: string[];
let doomed: string[];
let cookie: string | undefined;

/** What each operation was seen to answer. */
const seen = new Map<string, Map<number, number>>();
const faults: string[] = [];
let judged = 0;

beforeAll(async () => {
  cp = await startControlPlane({ accounts: (db) => (accounts = accountsOn(db).accounts) });
  document = readDocument(await (await cp.fetch(new Request(`${BASE_URL}/openapi.json`))).json());
  const byRole = (role: Role) => anAccount(accounts, role);
  people = {
    customer: await byRole("customer"),
    other_customer: await byRole("customer"),
    staff: await byRole("staff"),
    integration: await byRole("integration"),
  };
  const whole = async (who: AccountPrincipal) =>
    (await aToken(accounts, who, { scopes: SCOPES_OF_ROLE[who.role] })).secret;
  tokens = {
    customer: await whole(people.customer),
    other_customer: await whole(people.other_customer),
    staff: await whole(people.staff),
    integration: await whole(people.integration),
    weak: (await aToken(accounts, people.customer, { scopes: ["billing:read"] })).secret,
  };
  // The world's own host has no room: every VM is on the host whose agent signs.
  world = { ...(await aWorld(cp, { places: 0, addresses: 40 })), buyer: people.customer };
  agents = {
    agent: await aSigningHost(cp, world.locationId),
    other_agent: await aSigningHost(cp, (await aWorld(cp)).locationId),
  };
  const active = [await anActiveVm(cp, onAgent()), await anActiveVm(cp, onAgent())];
  const made = [...active, await aProvisionedVm(cp, world)];
  doomed = [await anActiveVm(cp, onAgent()), await anActiveVm(cp, onAgent())].map((o) =>
    toWireId("vm", o.vmId),
  );
  const idsOf = async (table: string) =>
    (await cp.rows(`select id from ${table} order by id`)).map((row) => String(row["id"]));
  const wire = async (kind: IdKind, table: string) =>
    (await idsOf(table)).map((id) => toWireId(kind, id));
  there = {
    account: [],
    action: await wire("action", "actions"),
    host: [world.hostId, agents.other_agent.hostId].map((id) => toWireId("host", id)),
    image: [toWireId("image", world.imageId)],
    invoice: await wire("invoice", "invoices"),
    location: [toWireId("location", world.locationId)],
    order: made.map((o) => toWireId("order", o.orderId)),
    plan: [toWireId("plan", world.planId)],
    vm: made.map((o) => toWireId("vm", o.vmId)),
  };
  uuids = [...made.map((o) => o.vmId), agents.agent.hostId, ...(await idsOf("actions"))];
  const some = Array.from({ length: 6 }, () => aToken(accounts, people.customer));
  ownTokens = (await Promise.all(some)).map(({ token }) => token.id);
});
afterAll(async () => {
  await cp.drop();
  const operations = document.operations.length;
  process.stdout.write(
    `openapi: seed ${SEED}, ${operations} operations, ${judged} answers judged\n`,
  );
});

const onAgent = (): World => ({ ...world, hostId: agents.agent.hostId });

/** The session of a customer who has just logged in, unless the last one still stands. */
async function session(): Promise<string> {
  const known = cookie !== undefined && (await accounts.authenticate(new Headers({ cookie })));
  if (cookie === undefined || !known || !known.ok) {
    const who = { email: people.customer.email, password: PASSWORD };
    cookie = cookieOf(await post(accounts, "/sign-in/email", who));
  }
  return cookie;
}

async function credentials(
  caller: Caller,
  call: { method: string; target: string; body?: string },
) {
  switch (caller) {
    case "nobody":
      return {};
    case "garbage":
      return { authorization: "Bearer berth_garbage" };
    case "session":
      return { cookie: await session(), origin: BASE_URL };
    case "agent":
    case "other_agent": {
      const { target, ...rest } = call;
      const method = call.method === "GET" ? "GET" : "POST";
      const token = await signed(agents[caller], { target, ...rest, method }, cp.clock.now());
      return { authorization: `Bearer ${token}` };
    }
    default:
      return { authorization: `Bearer ${tokens[caller]}` };
  }
}

/** Sends a call, judges its answer, and gives it back. */
async function send(op: Operation, call: Call): Promise<{ status: number; text: string }> {
  const value = (name: string) => encodeURIComponent(String(call.parameters[name]));
  const given = (place: string) =>
    op.parameters.filter((p) => p.in === place && call.parameters[p.name] !== undefined);
  const query = [
    ...given("query").map((p) => `${p.name}=${value(p.name)}`),
    ...("unexpected" in call.parameters ? ["unexpected=1"] : []),
  ].join("&");
  const path = op.path.replaceAll(/\{(\w+)\}/g, (_, name: string) => value(name));
  const target = `${path}${query === "" ? "" : `?${query}`}`;
  const { body, type } = call;
  const own = { method: op.method, target, ...(body === undefined ? {} : { body }) };
  const headers = new Headers(await credentials(call.caller, own));
  for (const { name } of given("header")) headers.set(name, String(call.parameters[name]));
  if (type !== undefined) headers.set("content-type", type);
  const init = { method: op.method, headers, ...(body === undefined ? {} : { body }) };
  const answer = await cp.fetch(new Request(`${BASE_URL}${target}`, init));
  const { status } = answer;
  const heard = { status, type: answer.headers.get("content-type"), text: await answer.text() };
  judged++;
  const counts = seen.get(op.id) ?? new Map<number, number>();
  seen.set(op.id, counts.set(status, (counts.get(status) ?? 0) + 1));
  const fault = op.faultOf(heard) ?? (await unfair(op, call, heard));
  if (fault !== undefined)
    faults.push(
      `${op.method} ${target} as ${call.caller} with ${body?.slice(0, 300) ?? "no body"}: ${fault}\n  ${status} ${heard.text.slice(0, 300)}`,
    );
  return heard;
}

const Refused = z.object({ code: z.string(), reason: z.string().optional() });
const NOT_AS_ASKED = ["invalid_request", "malformed_json", "idempotency_key_missing"];
/** What the schemas cannot say. */
const BEYOND_SCHEMAS: Record<string, string> = {
  showUsage: "`from` lies before `to`, by 35 days at most",
};

/** The document is as strict as the API: what fits it is not malformed, and what does not fit is not taken. */
async function unfair(
  op: Operation,
  call: Call,
  { status, text }: { status: number; text: string },
) {
  if (status === 401 || status === 403 || status === 413 || status === 415) return undefined;
  const fits = fitsDocument(op, call);
  if (status < 300) return fits ? undefined : "it was taken, and the document does not allow it";
  const { code, reason } =
    status === 304 ? { code: "", reason: "" } : Refused.parse(JSON.parse(text));
  return fits && NOT_AS_ASKED.includes(code) && reason === undefined && !(op.id in BEYOND_SCHEMAS)
    ? "the document allows it, and it was refused as malformed"
    : undefined;
}

function fitsDocument(op: Operation, call: Call): boolean {
  if ("unexpected" in call.parameters) return false;
  const parametersFit = op.parameters.every((p) => {
    const given = call.parameters[p.name];
    if (given === undefined) return !p.required;
    const isNumber = document.resolve(p.schema)["type"] === "integer";
    return document.fits(p.schema, isNumber ? Number(given) : String(given));
  });
  if (!parametersFit || op.body === null) return parametersFit;
  if (call.body === undefined) return !op.bodyIsRequired || document.fits(op.body, {});
  try {
    return op.takes(JSON.parse(call.body));
  } catch {
    return false;
  }
}

const opOf = (id: string): Operation => {
  const op = document.operations.find((o) => o.id === id);
  if (op === undefined) throw new Error(`the document has no operation ${id}`);
  return op;
};

/** A call as it is meant to be made, which must succeed. */
async function does(
  id: string,
  caller: Caller,
  given: { parameters?: Record<string, unknown>; body?: unknown } = {},
): Promise<unknown> {
  const body = given.body === undefined ? undefined : JSON.stringify(given.body);
  const parameters = { "idempotency-key": v7(), ...given.parameters };
  const type = body === undefined ? undefined : "application/json";
  const { status, text } = await send(opOf(id), { caller, parameters, body, type });
  expect({ id, status, text }).toMatchObject({
    status: expect.toSatisfy((s) => s >= 200 && s < 300),
  });
  return text === "" ? undefined : JSON.parse(text);
}

describe("the API and its document", () => {
  test("agree on everything that it is for", async () => {
    const [vm, otherVm] = there.vm;
    const id = { parameters: { id: vm } };
    for (const list of ["listPlans", "listImages", "listLocations", "checkHealth"])
      await does(list, "nobody");
    for (const list of ["listVms", "listInvoices", "listTokens", "showMe"])
      await does(list, "customer", { parameters: { limit: 1 } });
    await does("listHosts", "staff");
    await does("showHost", "staff", { parameters: { id: there.host[0] } });
    await does("showOrder", "customer", { parameters: { id: there.order[0] } });
    await does("showInvoice", "customer", { parameters: { id: there.invoice[0] } });
    await does("showAction", "customer", { parameters: { id: there.action[0] } });
    await does("showVm", "customer", id);
    await does("changeVm", "customer", { ...id, body: { label: "Mail" } });
    await does("requestAction", "customer", { ...id, body: { type: "reboot" } });
    await does("showVm", "session", id);
    await does("placeOrder", "customer", {
      body: {
        planId: there.plan[0],
        imageId: there.image[0],
        locationId: there.location[0],
        hostname: "web-1",
        sshKeys: [exampleOf("PlaceOrder", "sshKeys")],
        billingInterval: "month",
      },
    });
    const made = await does("createToken", "customer", {
      body: { name: "ci", scopes: ["vms:read"] },
    });
    const { token } = z.object({ token: z.object({ id: z.string() }) }).parse(made);
    await does("revokeToken", "customer", { parameters: { id: token.id } });
    await usageOf(otherVm);
  });

  test("agree on what staff do", async () => {
    const place = { city: "Falkenstein", country: "DE", nameservers: ["192.0.2.53"] };
    const added = await does("addLocation", "staff", { body: { name: "fsn9", ...place } });
    const location = { id: z.object({ id: z.string() }).parse(added).id };
    const pool = { cidr: "198.51.100.0/24", gateway: "198.51.100.1" };
    await does("addPool", "staff", { parameters: location, body: pool });
    await does("addPlan", "staff", {
      body: {
        name: "tiny",
        vcpus: 1,
        memoryMib: 512,
        diskGib: 10,
        trafficGib: 1,
        prices: [{ interval: "month", amountMinor: "100", currency: "usd" }],
      },
    });
    const image = { os: "linux", hypervisors: ["kvm"], minMemoryMib: 128, minDiskGib: 1 };
    await does("addImage", "staff", { body: { name: "Alpine", file: "alpine", ...image } });
    const host = await does("addHost", "staff", { body: { name: "r1", locationId: location.id } });
    const { joinToken } = z.object({ joinToken: z.string() }).parse(host);
    await does("enrollHost", "nobody", {
      body: {
        joinToken,
        publicKey: { kty: "OKP", crv: "Ed25519", x: (await anAgentKey()).x },
        facts: hostFacts(),
      },
    });
    await does("issueJoinToken", "staff", { parameters: { id: there.host[1] } });
  });

  test("agree on what agents do, and on a Windows VM's first password", async () => {
    await does("openAgentSession", "agent");
    const desired = z.object({ generation: z.int() }).parse(await does("readDesired", "agent"));
    await cp.rows("update images set os = 'windows' where id = $1", world.imageId);
    const { vmId } = await aProvisionedVm(cp, world);
    await does("handInitialPassword", "agent", { parameters: { id: vmId } });
    const windows = await reportOf(cp, vmId, {
      observed: { guest: { source: "console", hostname: "w" } },
    });
    await does("recordReport", "agent", {
      body: {
        desiredGeneration: desired.generation,
        vms: [windows],
        actions: [],
        strangers: [],
        facts: null,
      },
    });
    await does("takeInitialPassword", "customer", { parameters: { id: toWireId("vm", vmId) } });
    await cp.rows("update images set os = 'linux' where id = $1", world.imageId);
  });

  test("agree on log-ins, sessions and second factors", async () => {
    const email = `${v7()}@example.com`;
    await does("signUp", "nobody", { body: { email, name: "Ada", password: PASSWORD } });
    await does("signIn", "nobody", { body: { email, password: PASSWORD } });
    await does("signOut", "session");
    await does("showSession", "session");
    await does("listSessions", "session");
    await does("revokeSession", "session", { body: { token: "none" } });
    await does("revokeOtherSessions", "session");
    const passwords = { currentPassword: PASSWORD, newPassword: PASSWORD };
    await does("changePassword", "session", { body: passwords });
    const byPassword = { body: { password: PASSWORD } };
    const enabled = await does("enableTwoFactor", "session", byPassword);
    const { totpURI } = z.object({ totpURI: z.string() }).parse(enabled);
    await does("showTotpUri", "session", byPassword);
    await does("verifyTotp", "session", { body: { code: totpOf(totpURI) } });
    // The set-up made the session anew, and the answer to it is not read here.
    await cp.rows(
      "update accounts set two_factor_enabled = false where email = $1",
      people.customer.email,
    );
    const codes = z.object({ backupCodes: z.array(z.string()) });
    cookie = undefined;
    await session();
    await cp.rows(
      "update accounts set two_factor_enabled = true where email = $1",
      people.customer.email,
    );
    const { backupCodes } = codes.parse(await does("makeBackupCodes", "session", byPassword));
    await does("verifyBackupCode", "session", { body: { code: backupCodes[0] } });
    await cp.rows(
      "update accounts set two_factor_enabled = false where email = $1",
      people.customer.email,
    );
    cookie = undefined;
    await does("disableTwoFactor", "session", byPassword);
    await does("revokeSessions", "session");
  });

  test("agree on a payment provider that does not answer, and on a body that is too large", async () => {
    cp.stripe.trouble.outage = true;
    const order = opOf("placeOrder");
    const [parameters, body] = fc.sample(
      fc.tuple(fc.constant({ "idempotency-key": v7() }), bodiesOf(order)),
      { numRuns: 1, seed: SEED },
    )[0] ?? [{}, null];
    const asked = {
      ...Object(body),
      sshKeys: [exampleOf("PlaceOrder", "sshKeys")],
      billingInterval: "month",
    };
    const ids = { planId: there.plan[0], imageId: there.image[0], locationId: there.location[0] };
    const text = JSON.stringify({ ...asked, ...ids });
    const call = { caller: "customer", parameters, body: text, type: "application/json" } as const;
    expect(await send(order, call)).toMatchObject({ status: 502 });
    cp.stripe.trouble.outage = false;
    for (const op of document.operations.filter((o) => o.body !== null)) {
      const large = JSON.stringify({ name: "x".repeat(4 * 1024 * 1024) });
      const sent = await send(op, { ...call, body: large });
      expect({ id: op.id, status: sent.status }).toEqual({ id: op.id, status: 413 });
    }
  });

  test("agree on whatever is asked of each operation, by everybody", async () => {
    for (const op of document.operations.filter((o) => o.id !== "deleteVm")) await drive(op);
  });

  test("agree on VMs that are deleted", async () => {
    await does("deleteVm", "customer", { parameters: { id: doomed[0] } });
    there.vm = doomed;
    await drive(opOf("deleteVm"));
  });

  test("leave no operation out: each was seen to succeed, and to refuse", () => {
    const statuses = (id: string) => [...(seen.get(id)?.keys() ?? [])];
    const never = (wanted: (status: number) => boolean) =>
      document.operations.map((op) => op.id).filter((id) => !statuses(id).some(wanted));
    expect(document.operations.length).toBeGreaterThan(45);
    expect(never((status) => status >= 200 && status < 300)).toEqual([]);
    expect(never((status) => status >= 400)).toEqual([]);
  });

  test("agree", () => {
    expect(faults).toEqual([]);
    expect(judged).toBeGreaterThan(500);
    expect(cp.log.errors.filter((line) => line["status"] === 500)).toEqual([]);
  });
});

/** What a VM's host measured. */
async function usageOf(vm: string | undefined): Promise<void> {
  const vmId = uuids[1];
  const now = cp.clock.now();
  const sample = aSample({
    ...(vmId === undefined ? {} : { vmId }),
    from: minutesAfter(-1, now).toISOString(),
    to: now.toISOString(),
  });
  await does("recordUsage", "agent", { body: { samples: [sample] } });
  await does("showUsage", "customer", { parameters: { id: vm } });
}

function exampleOf(schema: string, property: string): unknown {
  const named = document.resolve({ $ref: `#/components/schemas/${schema}` });
  const OfItems = z.object({ items: z.object({ example: z.unknown() }) });
  const Properties = z.object({ properties: z.record(z.string(), z.unknown()) });
  return OfItems.parse(Properties.parse(named).properties[property]).items.example;
}

/** Ids that are there, passwords that are right. */
const known: Known = (schema, property) => {
  const pattern = String(schema["pattern"]);
  for (const [kind, prefix] of Object.entries(ID_PREFIX))
    if (pattern.startsWith(`^${prefix}_`))
      return Object.entries(there).find(([k]) => k === kind)?.[1];
  if (schema["format"] === "uuid") return uuids;
  if (property === "currentPassword" || property === "password") return [PASSWORD];
  if (property === "hostname") return ["web-1", "web-1.example.com"];
  if (property === "bootEpoch") return ["boot-1"];
  return undefined;
};
const bodiesOf = (op: Operation): fc.Arbitrary<unknown> =>
  op.body === null
    ? fc.constant(undefined)
    : // A new password is always the old one, or nobody could log in any more.
      valuesOf(document, op.body, { known, now: cp.clock.now }).map((body) =>
        op.id === "changePassword" ? { ...Object(body), newPassword: PASSWORD } : body,
      );

/** Who may call it, most of the time. */
function callersOf({ access }: Operation): fc.Arbitrary<Caller> {
  const right: readonly Caller[] =
    access.who === "account"
      ? CALLERS.filter((c) => access.roles.some((role) => role === c))
      : ({ agent: ["agent"], session: ["session"], anybody: ["nobody"], join_token: ["nobody"] }[
          access.who
        ] as Caller[]);
  return fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom(...right) },
    { weight: 1, arbitrary: fc.constantFrom(...CALLERS) },
  );
}

const BAD_VALUES = [
  "",
  "%00",
  "0",
  "-1",
  "🚀",
  "x".repeat(300),
  "vm_1",
  "' or 1=1 --",
  "99999999999999",
];

function parametersOf(op: Operation): fc.Arbitrary<Record<string, unknown>> {
  const fields: Record<string, fc.Arbitrary<unknown>> = {};
  for (const p of op.parameters) {
    const { id } = op;
    const fitting: fc.Arbitrary<unknown> =
      id === "revokeToken"
        ? fc.constantFrom(...ownTokens)
        : valuesOf(document, p.schema, { known, now: cp.clock.now, property: p.name });
    const bad =
      p.name === "idempotency-key" ? ["short", "x".repeat(256), "with a space"] : BAD_VALUES;
    // A path's value is never empty, nor is a header's left over: those would be another route, and none.
    const spoiled = fc.constantFrom(...bad.filter((v) => p.in !== "path" || v !== ""));
    const options = [
      { weight: 8, arbitrary: fitting },
      { weight: 1, arbitrary: spoiled },
    ];
    fields[p.name] = fc.oneof(
      ...options,
      ...(p.in === "path"
        ? []
        : [{ weight: p.required ? 1 : 5, arbitrary: fc.constant(undefined) }]),
    );
  }
  const strange = op.parameters.some((p) => p.in === "query")
    ? fc.oneof(
        { weight: 9, arbitrary: fc.constant({}) },
        { weight: 1, arbitrary: fc.constant({ unexpected: 1 }) },
      )
    : fc.constant({});
  return fc.tuple(fc.record(fields), strange).map(([own, more]) => ({ ...own, ...more }));
}

function callsOf(op: Operation): fc.Arbitrary<Call> {
  const json = (body: unknown) => ({ body: JSON.stringify(body), type: "application/json" });
  const fitting = bodiesOf(op);
  const bodies =
    op.body === null
      ? fc.constantFrom(
          { body: undefined, type: undefined },
          { body: undefined, type: "text/plain" },
        )
      : fc.oneof(
          { weight: 5, arbitrary: fitting.map(json) },
          { weight: 3, arbitrary: fitting.chain(spoiledOf).map(json) },
          {
            weight: 1,
            arbitrary: fc.constantFrom(
              { body: undefined, type: undefined },
              { body: "{", type: "application/json" },
              { body: "", type: "application/json" },
              { body: "[]", type: "application/json" },
              { body: "a=b", type: "application/x-www-form-urlencoded" },
              { body: "{}", type: undefined },
            ),
          },
        );
  return fc
    .tuple(callersOf(op), parametersOf(op), bodies)
    .map(([caller, parameters, body]) => ({ caller, parameters, ...body }));
}

/** Asks an operation whatever its document says, and more. What is wrong is told by `faults`: a state is not shrunk. */
async function drive(op: Operation): Promise<void> {
  const numRuns = op.path.startsWith("/v1/auth/") ? RUNS_OF_LOG_IN : RUNS;
  for (const call of fc.sample(callsOf(op), { seed: SEED, numRuns })) await send(op, call);
}

import { announcement } from "#core/contracts/agent/protocol.ts";
import { expect } from "vitest";
import { v7 } from "uuid";
import { z } from "zod";
import { SCOPES_OF_ROLE, type AccountPrincipal, type Role } from "#core/accounts/accounts.ts";
import { toWireId, type IdKind } from "#core/ids.ts";
import {
  accountsOn,
  anAccount,
  aToken,
  BASE_URL,
  cookieOf,
  PASSWORD,
  post,
} from "#test/db/accounts/account-builders.ts";
import { aSigningHost, signed } from "./agent-requests.ts";
import { readDocument, type Operation } from "./api-document.ts";
import { startControlPlane } from "./control-plane.ts";
import { anActiveVm, aProvisionedVm, aWorld, type World } from "./world.ts";

/*
 * Everybody who may call the API, over a control plane in which there is something to ask for; and a judge who holds
 * each answer against the API's own document.
 */

export const CALLERS = [
  "nobody",
  "garbage",
  "customer",
  "other_customer",
  "staff",
  "integration",
  "weak",
  "weak_staff",
  "session",
  "foreign_session",
  "staff_session",
  "agent",
  "other_agent",
  "impostor",
] as const;
export type Caller = (typeof CALLERS)[number];
export type Call = Readonly<{
  caller: Caller;
  /** By the parameter's name; undefined leaves it out. */
  parameters: Readonly<Record<string, unknown>>;
  /** The body's text; undefined sends none. */
  body: string | undefined;
  type: string | undefined;
}>;

const Refused = z.object({ code: z.string(), reason: z.string().optional() });
const NOT_AS_ASKED = ["invalid_request", "malformed_json", "idempotency_key_missing"];
/** What the schemas cannot say. */
const BEYOND_SCHEMAS: Record<string, string> = {
  addPlan: "one price for each interval and currency",
  addPlanVersion: "one price for each interval and currency",
  showUsage: "`from` lies before `to`, by 35 days at most",
};

/**
 * Whose wire takes more than the document tells: a part of an agent's message that does not fit is refused alone, and
 * what a later agent adds is passed over.
 */
const TAKES_MORE: ReadonlySet<string> = new Set(["agent", "join_token"]);

/** A parameter as it is written into a path, a query or a header. */
const textOf = (value: unknown): string =>
  typeof value === "string" ? value : JSON.stringify(value);

export type ApiWorld = Awaited<ReturnType<typeof openApiWorld>>;

export async function openApiWorld() {
  let opened: ReturnType<typeof accountsOn> | undefined;
  const cp = await startControlPlane({
    accounts: (db) => (opened = accountsOn(db)).accounts,
    releaseKey: "k".repeat(43),
  });
  if (opened === undefined) throw new Error("the control plane asked for no accounts");
  const { accounts } = opened;
  const document = readDocument(
    await (await cp.fetch(new Request(`${BASE_URL}/openapi.json`))).json(),
  );
  const byRole = (role: Role) => anAccount(accounts, role);
  const people = {
    customer: await byRole("customer"),
    other_customer: await byRole("customer"),
    staff: await byRole("staff"),
    integration: await byRole("integration"),
  };
  const whole = async (who: AccountPrincipal) =>
    (await aToken(accounts, who, { scopes: SCOPES_OF_ROLE[who.role] })).secret;
  const tokens = {
    customer: await whole(people.customer),
    other_customer: await whole(people.other_customer),
    staff: await whole(people.staff),
    integration: await whole(people.integration),
    weak: (await aToken(accounts, people.customer, { scopes: ["tokens:read"] })).secret,
    weak_staff: (await aToken(accounts, people.staff, { scopes: ["billing:read"] })).secret,
  };
  // The world's own host has no room: every VM is on the host whose agent signs.
  const world = { ...(await aWorld(cp, { places: 0, addresses: 40 })), buyer: people.customer };
  const agents = {
    agent: await aSigningHost(cp, world.locationId),
    other_agent: await aSigningHost(cp, (await aWorld(cp)).locationId),
  };
  const onAgent = (): World => ({ ...world, hostId: agents.agent.hostId });
  const active = [await anActiveVm(cp, onAgent()), await anActiveVm(cp, onAgent())];
  const made = [...active, await aProvisionedVm(cp, world)];
  const doomed = [await anActiveVm(cp, onAgent()), await anActiveVm(cp, onAgent())].map((o) =>
    toWireId("vm", o.vmId),
  );
  const idsOf = async (table: string) =>
    (await cp.rows(`select id from ${table} order by id`)).map((row) => String(row["id"]));
  const wire = async (kind: IdKind, table: string) =>
    (await idsOf(table)).map((id) => toWireId(kind, id));
  const there: Record<IdKind, string[]> = {
    account: [],
    agent_release: [],
    agent_rollout: [],
    action: await wire("action", "actions"),
    finding: [],
    destroy_request: [],
    drain: [],
    host: [world.hostId, agents.other_agent.hostId].map((id) => toWireId("host", id)),
    image: [toWireId("image", world.imageId)],
    invoice: await wire("invoice", "invoices"),
    location: [toWireId("location", world.locationId)],
    mail: await wire("mail", "mails"),
    move: [],
    order: made.map((o) => toWireId("order", o.orderId)),
    quote: [],
    plan: [toWireId("plan", world.planId)],
    plan_migration: [],
    vm: made.map((o) => toWireId("vm", o.vmId)),
  };
  const uuids = [...made.map((o) => o.vmId), agents.agent.hostId, ...(await idsOf("actions"))];
  const some = Array.from({ length: 6 }, () => aToken(accounts, people.customer));
  const ownTokens = (await Promise.all(some)).map(({ token }) => token.id);
  /** What each operation was seen to answer: statuses, and codes of problems. */
  const seen = new Map<string, Set<number | string>>();
  /** Operations of staff's that left a word in the audit log. */
  const audited = new Set<string>();
  const staffsAudited = async () =>
    Number(
      (await cp.rows("select count(*) as n from audit_log where actor_kind = 'staff'"))[0]?.["n"],
    );
  /** What the document does not allow, in words. */
  const faults: string[] = [];
  let judged = 0;
  const cookies = new Map<"customer" | "staff", string>();

  /** The session of one who has just logged in, unless the last one still stands. */
  async function session(role: "customer" | "staff" = "customer"): Promise<string> {
    const last = cookies.get(role);
    const known =
      last !== undefined && (await accounts.authenticate(new Headers({ cookie: last })));
    if (last !== undefined && known && known.ok) return last;
    const who = { email: people[role].email, password: PASSWORD };
    const cookie = cookieOf(await post(accounts, "/sign-in/email", who));
    cookies.set(role, cookie);
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
        return { authorization: "Bearer AAAA.AAAA.AAAA" };
      case "session":
        return { cookie: await session(), origin: BASE_URL };
      case "foreign_session":
        return { cookie: await session(), origin: "https://evil.example" };
      case "staff_session":
        return { cookie: await session("staff"), origin: BASE_URL };
      case "agent":
      case "other_agent":
      case "impostor": {
        const { target, ...rest } = call;
        const method = call.method === "GET" ? "GET" : "POST";
        const impostor = { hostId: agents.agent.hostId, key: agents.other_agent.key };
        const who = caller === "impostor" ? impostor : agents[caller];
        const token = await signed(who, { target, ...rest, method }, cp.clock.now());
        return { authorization: `Bearer ${token}`, ...announcement() };
      }
      case "customer":
      case "other_customer":
      case "staff":
      case "integration":
      case "weak":
      case "weak_staff":
        return { authorization: `Bearer ${tokens[caller]}` };
    }
  }

  /** Sends a call, judges its answer, and gives it back. */
  async function send(op: Operation, call: Call): Promise<{ status: number; text: string }> {
    const value = (name: string) => encodeURIComponent(textOf(call.parameters[name]));
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
    for (const { name } of given("header")) headers.set(name, textOf(call.parameters[name]));
    if (type !== undefined) headers.set("content-type", type);
    const init = { method: op.method, headers, ...(body === undefined ? {} : { body }) };
    const staffWrites = op.method !== "GET" && op.path.startsWith("/staff/");
    const before = staffWrites ? await staffsAudited() : 0;
    const answer = await cp.fetch(new Request(`${BASE_URL}${target}`, init));
    const { status } = answer;
    if (staffWrites && (await staffsAudited()) > before) audited.add(op.id);
    const heard = { status, type: answer.headers.get("content-type"), text: await answer.text() };
    judged++;
    const answers = seen.get(op.id) ?? new Set();
    seen.set(op.id, answers.add(status));
    if (status >= 400 && heard.text.startsWith("{")) {
      const { code } = z.object({ code: z.string().optional() }).parse(JSON.parse(heard.text));
      if (code !== undefined) answers.add(code);
    }
    const fault = op.faultOf(heard) ?? (await unfair(op, call, heard));
    if (fault !== undefined)
      faults.push(
        `${op.method} ${target} as ${call.caller} with ${body?.slice(0, 300) ?? "no body"}: ${fault}\n  ${status} ${heard.text.slice(0, 300)}`,
      );
    return heard;
  }

  /** The document is as strict as the API: what fits it is not malformed, and what does not fit is not taken. */
  async function unfair(
    op: Operation,
    call: Call,
    { status, text }: { status: number; text: string },
  ) {
    if (status === 401 || status === 403 || status === 413 || status === 415) return undefined;
    const fits = fitsDocument(op, call);
    if (status < 300)
      return fits || TAKES_MORE.has(op.access.who)
        ? undefined
        : "it was taken, and the document does not allow it";
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
      return document.fits(p.schema, isNumber ? Number(given) : textOf(given));
    });
    if (!parametersFit || op.body === null) return parametersFit;
    // Nothing that is said to be JSON is none; nothing at all is no body.
    if (call.body === undefined)
      return call.type === undefined && (!op.bodyIsRequired || document.fits(op.body, {}));
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

  /** A call that must be refused with this code. */
  async function refuses(
    id: string,
    caller: Caller,
    code: string,
    given: { parameters?: Record<string, unknown>; body?: unknown } = {},
  ): Promise<void> {
    const body = given.body === undefined ? undefined : JSON.stringify(given.body);
    const parameters = { "idempotency-key": v7(), ...given.parameters };
    const type = body === undefined ? undefined : "application/json";
    const { text } = await send(opOf(id), { caller, parameters, body, type });
    expect({ id, ...Refused.parse(JSON.parse(text)) }).toMatchObject({ id, code });
  }

  return {
    cp,
    credentialsOf: (caller: "customer" | "staff") => ({
      authorization: `Bearer ${tokens[caller]}`,
    }),
    document,
    world,
    people,
    there,
    uuids,
    ownTokens,
    doomed,
    seen,
    audited,
    faults,
    judged: () => judged,
    onAgent,
    session,
    forgetSession: () => cookies.clear(),
    opOf,
    send,
    does,
    refuses,
  };
}

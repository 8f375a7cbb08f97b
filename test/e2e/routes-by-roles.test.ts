import { eq } from "drizzle-orm";
import { v7 } from "uuid";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { ROLES, SCOPES, SCOPES_OF_ROLE, type Role, type Scope } from "#core/accounts/accounts.ts";
import { beginRollout } from "#commands/fleet/begin-rollout.ts";
import { registerRelease } from "#commands/fleet/register-release.ts";
import { idIn, toWireId } from "#core/ids.ts";
import { accounts } from "#db/schema/accounts.ts";
import { createAgentApi, createApi, createLogInApi } from "#functions/app.ts";
import { StackClient } from "#local/client.ts";
import { LOCAL_PASSWORD, LOCAL_PEOPLE } from "#local/seed.ts";
import { aSample, anAgentReport, aVmReport, hostFacts, minutesAfter } from "#test/builders.ts";
import { anAgentKey, signed, type AgentKey } from "#test/harness/agent-requests.ts";
import { act, aClient, anActiveVm } from "#test/harness/customer.ts";
import { openStack, type TestStack } from "#test/harness/stack.ts";

const Access = z.discriminatedUnion("who", [
  z.object({ who: z.literal("anybody") }),
  z.object({
    who: z.literal("account"),
    roles: z.array(z.enum(ROLES)).min(1),
    scope: z.enum(SCOPES).nullable(),
  }),
  z.object({ who: z.literal("session") }),
  z.object({ who: z.literal("agent") }),
  z.object({ who: z.literal("join_token") }),
]);
type Operation = { method: string; path: string; access: z.infer<typeof Access> };

let stack: TestStack;
let operations: readonly Operation[];
let tokens: Record<"customer" | "other_customer" | "staff" | "integration" | "revoked", string>;
let agents: Record<"agent" | "other_agent", { hostId: string; key: AgentKey }>;
/** What `{id}` is in each path: something that the customer owns, or that is there for staff. */
let ids: Record<string, string>;

beforeAll(async () => {
  stack = await openStack();
  const { customer, staff } = stack;
  const document = await (await fetch(`${stack.apiUrl}/openapi.json`)).json();
  operations = Object.entries(
    z
      .object({ paths: z.record(z.string(), z.record(z.string(), z.looseObject({}))) })
      .parse(document).paths,
  ).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      method: method.toUpperCase(),
      path,
      access: Access.parse(operation["x-access"]),
    })),
  );
  const other = await aClient(stack, "customer");
  const revoked = await aToken(customer, ["vms:read"]);
  await customer.request("DELETE", `/v1/tokens/${revoked.id}`);
  tokens = {
    customer: customer.token,
    other_customer: other.token,
    staff: staff.token,
    integration: stack.tokens.integration,
    revoked: revoked.secret,
  };
  const Items = z.object({ items: z.array(z.object({ id: z.string() })) });
  const { items: locations } = await staff.ok(Items, "GET", "/v1/locations");
  const locationId = locations[0]?.id ?? "";
  agents = { agent: await aHost(locationId), other_agent: await aHost(locationId) };
  const { orderId, vmId } = await anActiveVm(customer);
  const { items: invoices } = await customer.ok(Items, "GET", "/v1/invoices");
  const { items: hosts } = await staff.ok(Items, "GET", "/staff/v1/hosts");
  const { id: actionId } = await act(customer, vmId, "reboot");
  ids = {
    "/v1/vms/": vmId,
    "/v1/orders/": orderId,
    "/v1/invoices/": invoices[0]?.id ?? "",
    "/v1/actions/": actionId,
    "/v1/tokens/": (await aToken(customer, ["vms:read"])).id,
    "/agent/v1/vms/": vmId,
    "/staff/v1/hosts/": hosts[0]?.id ?? "",
    "/staff/v1/agent-rollouts/": await aRollout(agents.agent.hostId),
    "/staff/v1/plan-migrations/": toWireId("plan_migration", v7()),
    "/staff/v1/moves/": toWireId("move", v7()),
    "/staff/v1/vms/": vmId,
    "/staff/v1/accounts/": toWireId("account", v7()),
    "/staff/v1/mails/": toWireId("mail", v7()),
    "/staff/v1/destroy-requests/": toWireId("destroy_request", v7()),
    "/staff/v1/locations/": locationId,
    "/staff/v1/images/": await firstOf("/v1/images"),
    "/staff/v1/plans/": await firstOf("/v1/plans"),
  };
});
afterAll(() => stack.close());

async function aToken(of: StackClient, scopes: readonly Scope[]) {
  const Created = z.object({ token: z.object({ id: z.string() }), secret: z.string() });
  const made = await of.ok(Created, "POST", "/v1/tokens", { name: "walk", scopes });
  return { id: made.token.id, secret: made.secret };
}

/** A token with all that its role may do but this, made as a log-in with a second factor makes one. */
async function aTokenOf(role: Role, accountId: string, but: Scope): Promise<string> {
  const scopes: readonly Scope[] = SCOPES_OF_ROLE[role];
  const owner = { accountId, email: "", name: "", role, scopes, via: "session" } as const;
  const made = await stack.deps.accounts.createToken(owner, {
    name: "walk",
    scopes: scopes.filter((scope) => scope !== but),
    expiresInSeconds: null,
  });
  if (!made.ok) throw new Error(made.error.detail);
  return made.value.secret;
}

/** Of an installation that signs releases, as this one does not. */
async function aRollout(hostId: string): Promise<string> {
  const { deps } = stack;
  const signing = { ...deps, settings: { ...deps.settings, releaseKey: "k".repeat(43) } };
  const by = { kind: "system", id: "test" } as const;
  const release = { version: "1.2.3", manifestUrl: "https://releases.example/manifest.json" };
  await registerRelease(signing, by, release);
  const asked = { version: release.version, hosts: { ids: [hostId] }, atATime: 1 };
  const begun = await beginRollout(signing, by, { ...asked, stopAfterFailed: 1 });
  if (!begun.ok) throw new Error(begun.error.detail);
  return toWireId("agent_rollout", begun.value.id);
}

async function firstOf(list: string): Promise<string> {
  const Items = z.object({ items: z.array(z.object({ id: z.string() })) });
  return (await stack.staff.ok(Items, "GET", list)).items[0]?.id ?? "";
}

async function aHost(locationId: string) {
  const Added = z.object({ host: z.object({ id: idIn("host") }), joinToken: z.string() });
  const added = await stack.staff.ok(Added, "POST", "/staff/v1/hosts", { name: v7(), locationId });
  const key = await anAgentKey();
  await stack.staff.ok(z.unknown(), "POST", "/agent/v1/enroll", {
    joinToken: added.joinToken,
    publicKey: { kty: "OKP", crv: "Ed25519", x: key.x },
    facts: hostFacts(),
  });
  return { hostId: added.host.id, key };
}

/** The headers of a browser in which this person has just logged in. */
async function aLogIn(email: string): Promise<Record<string, string>> {
  const origin = stack.apiUrl;
  const answer = await fetch(`${origin}/v1/auth/sign-in/email`, {
    method: "POST",
    headers: { "content-type": "application/json", origin },
    body: JSON.stringify({ email, password: LOCAL_PASSWORD }),
  });
  expect(answer.status).toBe(200);
  const cookies = answer.headers.getSetCookie().map((cookie) => cookie.split(";")[0]);
  return { origin, cookie: cookies.join("; ") };
}

/** The path with something in place of its parameter. A new path with one must be named in `ids`. */
function targetOf({ path }: Operation, unknown: boolean): string {
  if (!path.includes("{")) return path;
  const [start = "", id] = Object.entries(ids).find(([prefix]) => path.startsWith(prefix)) ?? [];
  if (id === undefined) throw new Error(`this test must be told what {…} is in ${path}`);
  const zeroes = id.includes("_") ? id.replace(/_.*/, `_${"0".repeat(32)}`) : v7();
  return path.replace(/\{[^}]+\}/, unknown ? zeroes : id) || start;
}

/** Sends the operation with these credentials; bodies are empty objects, so that what is let in changes nothing. */
async function send(
  op: Operation,
  credentials: string | Record<string, string> | null,
  target = targetOf(op, true),
) {
  const hasBody = op.method === "POST" || op.method === "PUT" || op.method === "PATCH";
  const answer = await fetch(`${stack.apiUrl}${target}`, {
    method: op.method,
    headers: {
      ...(typeof credentials === "string"
        ? { authorization: `Bearer ${credentials}` }
        : credentials),
      ...(hasBody ? { "content-type": "application/json", "idempotency-key": v7() } : {}),
    },
    ...(hasBody ? { body: "{}" } : {}),
  });
  const text = await answer.text();
  const { code } = z
    .object({ code: z.string().optional() })
    .catch({ code: undefined })
    .parse(text.startsWith("{") ? JSON.parse(text) : {});
  return { status: answer.status, code };
}

/** How a request ended, as far as access goes. */
const outcomeOf = ({ status, code }: { status: number; code: string | undefined }) => {
  if (status >= 500) return `broken: ${status}`;
  if (status === 401) return code === "join_token_invalid" ? "let in" : "unauthenticated";
  return status === 403 ? String(code) : "let in";
};

const walk = async (
  expected: (op: Operation) => string,
  authorization: (op: Operation) => Promise<string | null> | string | null,
) => {
  const outcomes: Record<string, string> = {};
  const wanted: Record<string, string> = {};
  for (const op of operations) {
    outcomes[`${op.method} ${op.path}`] = outcomeOf(await send(op, await authorization(op)));
    wanted[`${op.method} ${op.path}`] = expected(op);
  }
  return { outcomes, wanted };
};

/** What else than a power action asks of something with an id. */
const BODY_OF_ITS_OWN: Readonly<Record<string, object>> = {
  "/v1/vms/{id}/resize-quotes": { planId: `plan_${"0".repeat(32)}` },
};
const isOpen = ({ access }: Operation) => access.who === "anybody" || access.who === "join_token";
const forRole = (role: Role) => (op: Operation) => {
  if (op.access.who === "session") return "forbidden"; // an API token is no log-in
  if (op.access.who !== "account") return isOpen(op) ? "let in" : "unauthenticated";
  return op.access.roles.includes(role) ? "let in" : "forbidden";
};

describe("every operation of the API", () => {
  test("says who may call it, and there are some of each kind", () => {
    expect(operations.length).toBeGreaterThan(25);
    const scoped = operations.filter(
      (op) => op.access.who === "account" && op.access.scope !== null,
    );
    expect(scoped.length).toBeGreaterThan(15);
    expect(new Set(operations.map((op) => op.access.who))).toEqual(
      new Set(["anybody", "account", "session", "agent", "join_token"]),
    );
  });

  test("is in the document: nothing is served that it does not tell of", () => {
    // Pages for people, and the document itself.
    const pages = [
      "/",
      "/docs",
      "/openapi.json",
      "/checkout/done",
      "/checkout/cancelled",
      "/account/verify-email",
      "/account/reset-password",
      "/account/change-email",
    ];
    const served = [
      createApi(stack.deps),
      createAgentApi(stack.deps),
      createLogInApi({ ...stack.deps, logIns: stack.logIns }),
    ]
      .flatMap((app) => app.routes)
      .filter(({ method, path }) => method !== "ALL" || !path.endsWith("/*"))
      .map(({ method, path }) => `${method} ${path.replaceAll(/:(\w+)/g, "{$1}")}`);
    const told = operations.map((op) => `${op.method} ${op.path}`);
    expect(new Set(served)).toEqual(new Set([...told, ...pages.map((page) => `GET ${page}`)]));
  });

  test.each(["customer", "staff"] as const)(
    "lets a %s who is logged in with a browser do what needs a log-in",
    async (role) => {
      const person = LOCAL_PEOPLE[role === "customer" ? 0 : 1];
      const ofSessions = operations.filter((op) => op.access.who === "session");
      expect(ofSessions.length).toBeGreaterThan(7);
      const outcomes: Record<string, string> = {};
      for (const op of ofSessions)
        outcomes[op.path] = outcomeOf(await send(op, await aLogIn(person.email)));
      expect(outcomes).toEqual(Object.fromEntries(ofSessions.map((op) => [op.path, "let in"])));
    },
  );

  test.each(["nobody", "revoked", "garbage"] as const)(
    "is closed to %s unless it is for anybody",
    async (who) => {
      const credentials = { nobody: null, revoked: tokens.revoked, garbage: "berth_garbage" }[who];
      const { outcomes, wanted } = await walk(
        (op) => (isOpen(op) ? "let in" : "unauthenticated"),
        () => credentials,
      );
      expect(outcomes).toEqual(wanted);
    },
  );

  test.each(ROLES)("lets %s in where its roles say so, and nowhere else", async (role) => {
    const { outcomes, wanted } = await walk(forRole(role), () => tokens[role]);
    expect(outcomes).toEqual(wanted);
  });

  test.each(["agent", "other_agent"] as const)(
    "lets %s in with a signed request, where agents may",
    async (who) => {
      const { outcomes, wanted } = await walk(
        (op) => (op.access.who === "agent" || isOpen(op) ? "let in" : "unauthenticated"),
        (op) => {
          const method = op.method === "POST" ? "POST" : "GET";
          const call = {
            method,
            target: targetOf(op, true),
            ...(method === "POST" ? { body: "{}" } : {}),
          } as const;
          return signed(agents[who], call, stack.clock.now());
        },
      );
      expect(outcomes).toEqual(wanted);
    },
  );

  test.each(ROLES)("is closed to a token of %s without its scope", async (role) => {
    const person = LOCAL_PEOPLE.find((one) => one.role === role);
    const [account] = await stack.deps.db
      .select({ id: accounts.id })
      .from(accounts)
      .where(eq(accounts.email, person?.email ?? ""));
    const without = new Map<Scope, string>();
    for (const scope of SCOPES_OF_ROLE[role])
      without.set(scope, await aTokenOf(role, account?.id ?? "", scope));
    const lacking = (op: Operation) =>
      op.access.who === "account" && op.access.roles.includes(role) && op.access.scope !== null
        ? without.get(op.access.scope)
        : undefined;
    const { outcomes, wanted } = await walk(
      (op) => (lacking(op) === undefined ? forRole(role)(op) : "scope_missing"),
      (op) => lacking(op) ?? tokens[role],
    );
    expect(outcomes).toEqual(wanted);
  });

  test("shows another customer nothing of what is not theirs", async () => {
    const owned = operations.filter(
      (op) =>
        op.access.who === "account" &&
        op.access.roles.includes("customer") &&
        op.path.includes("{"),
    );
    expect(owned.length).toBeGreaterThanOrEqual(7);
    for (const op of owned) {
      const target = targetOf(op, false);
      // Real ids, and bodies that would do something.
      const answer = await new StackClient(stack.apiUrl, tokens.other_customer).request(
        op.method,
        target,
        BODY_OF_ITS_OWN[op.path] ?? { POST: { type: "stop" }, PATCH: { label: "mine" } }[op.method],
      );
      expect({ target, status: answer.status }).toEqual({ target, status: 404 });
    }
    const list = await new StackClient(stack.apiUrl, tokens.other_customer).request(
      "GET",
      "/v1/vms",
    );
    expect(list.body).toEqual({ items: [], nextCursor: null });
  });

  test("keeps a weak token from the tokens: it makes, lists and revokes none", async () => {
    const weak = await aToken(stack.customer, ["vms:read"]);
    const client = new StackClient(stack.apiUrl, weak.secret);
    const refused = { status: 403, body: { code: "scope_missing" } };
    const body = { name: "eternal", scopes: ["vms:read"] };
    expect(await client.request("POST", "/v1/tokens", body)).toMatchObject(refused);
    expect(await client.request("GET", "/v1/tokens")).toMatchObject(refused);
    expect(await client.request("DELETE", `/v1/tokens/${ids["/v1/tokens/"]}`)).toMatchObject(
      refused,
    );
  });

  test("gives another host's agent nothing of a VM that is not its own", async () => {
    const vmId = idIn("vm").parse(ids["/v1/vms/"]);
    const answers: unknown[] = [];
    const call = async (method: "GET" | "POST", target: string, body?: object) => {
      const request = { method, target, ...(body ? { body: JSON.stringify(body) } : {}) } as const;
      const token = await signed(agents.other_agent, request, stack.clock.now());
      const answer = await fetch(`${stack.apiUrl}${target}`, {
        method,
        headers: {
          authorization: `Bearer ${token}`,
          ...(body ? { "content-type": "application/json" } : {}),
        },
        ...(body ? { body: JSON.stringify(body) } : {}),
      });
      answers.push({ status: answer.status, ...Object(await answer.json()) });
    };
    const before = await stack.customer.request("GET", `/v1/vms/${ids["/v1/vms/"]}`);
    const usage = () => stack.customer.request("GET", `/v1/vms/${ids["/v1/vms/"]}/usage`);
    await call("POST", `/agent/v1/vms/${vmId}/initial-password`);
    await call(
      "POST",
      "/agent/v1/reports",
      anAgentReport({ vms: [aVmReport({ vmId, observed: { power: "off" } })] }),
    );
    const now = stack.clock.now();
    const sample = aSample({
      vmId,
      from: minutesAfter(-1, now).toISOString(),
      to: now.toISOString(),
      cpuNs: "123456789",
    });
    await call("POST", "/agent/v1/usage", { samples: [sample] });
    expect(answers).toMatchObject([
      { status: 404, code: "vm_not_found" },
      { status: 200, accepted: 0, ignored: 1 },
      { status: 200, stored: 0, duplicates: 0, refused: [{ index: 0 }] },
    ]);
    expect(await stack.customer.request("GET", `/v1/vms/${ids["/v1/vms/"]}`)).toEqual(before);
    expect(JSON.stringify(await usage())).not.toContain("123456789");
  });

  test("shows a host only what is bound to it", async () => {
    const call = { method: "GET", target: "/agent/v1/desired" } as const;
    for (const who of Object.values(agents)) {
      const token = await signed(who, call, stack.clock.now());
      const answer = await fetch(`${stack.apiUrl}${call.target}`, {
        headers: { authorization: `Bearer ${token}` },
      });
      expect(await answer.json()).toMatchObject({ hostId: who.hostId, vms: [] });
    }
  });
});

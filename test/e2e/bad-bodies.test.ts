import { request, type IncomingMessage } from "node:http";
import { v7 } from "uuid";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { Problem } from "#core/contracts/problem.ts";
import { idIn, toWireId } from "#core/ids.ts";
import { LOCAL_PASSWORD, LOCAL_PEOPLE } from "#local/seed.ts";
import { hostFacts } from "#test/builders.ts";
import { anAgentKey, signed, type AgentKey } from "#test/harness/agent-requests.ts";
import { anActiveVm } from "#test/harness/customer.ts";
import { openStack, type TestStack } from "#test/harness/stack.ts";

type Operation = {
  method: string;
  path: string;
  access: { who: string; roles?: string[] | undefined };
  fields: string[];
};

/** The operations that take a body, each with the names of its fields. */
function operationsWithBody(document: unknown): readonly Operation[] {
  const Body = z.object({
    content: z.object({
      "application/json": z.object({
        schema: z.object({ $ref: z.string().optional(), properties: z.looseObject({}).optional() }),
      }),
    }),
  });
  const Doc = z.object({
    paths: z.record(
      z.string(),
      z.record(
        z.string(),
        z.object({
          "x-access": z.object({ who: z.string(), roles: z.array(z.string()).optional() }),
          requestBody: Body.optional(),
        }),
      ),
    ),
    components: z.object({
      schemas: z.record(z.string(), z.looseObject({ properties: z.looseObject({}).optional() })),
    }),
  });
  const { paths, components } = Doc.parse(document);
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).flatMap(([method, op]) => {
      const access = op["x-access"];
      if (op.requestBody === undefined) return [];
      const { $ref, properties } = op.requestBody.content["application/json"].schema;
      const named = components.schemas[$ref?.split("/").at(-1) ?? ""];
      const fields = Object.keys(named?.properties ?? properties ?? {});
      return [{ method: method.toUpperCase(), path, access, fields }];
    }),
  );
}

let stack: TestStack;
let vmId: string;
let locationId: string;
let agent: { hostId: string; key: AgentKey };
beforeAll(async () => {
  stack = await openStack();
  ({ vmId } = await anActiveVm(stack.customer));
  const Items = z.object({ items: z.array(z.object({ id: z.string() })) });
  const { items } = await stack.staff.ok(Items, "GET", "/v1/locations");
  locationId = items[0]?.id ?? "";
  const Added = z.object({ host: z.object({ id: idIn("host") }), joinToken: z.string() });
  const body = { name: v7(), locationId };
  const { host, joinToken } = await stack.staff.ok(Added, "POST", "/staff/v1/hosts", body);
  const key = await anAgentKey();
  await stack.staff.ok(z.unknown(), "POST", "/agent/v1/enroll", {
    joinToken,
    publicKey: { kty: "OKP", crv: "Ed25519", x: key.x },
    facts: hostFacts(),
  });
  agent = { hostId: host.id, key };
});
afterAll(() => stack.close());

/** The code that too much is refused with, over a connection of their own: the server closes it. */
async function codeOfLarge(method: string, target: string) {
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    const headers = { "content-type": "application/json" };
    request(`${stack.apiUrl}${target}`, { method, agent: false, headers }, resolve)
      .once("error", reject)
      .end(JSON.stringify({ name: "x".repeat(5 * 1024 * 1024) }));
  });
  let text = "";
  for await (const chunk of answer) text += String(chunk);
  return Problem.parse(JSON.parse(text)).code;
}

describe("every operation that takes a body", () => {
  /** Someone who may send it, so that it is the body that is refused. */
  async function senders() {
    const browser = async () => {
      const { email } = LOCAL_PEOPLE[0];
      const answer = await fetch(`${stack.apiUrl}/v1/auth/sign-in/email`, {
        method: "POST",
        headers: { "content-type": "application/json", origin: stack.apiUrl },
        body: JSON.stringify({ email, password: LOCAL_PASSWORD }),
      });
      expect(await answer.json()).toMatchObject({ user: { email } });
      const cookie = answer.headers.getSetCookie().map((c) => c.split(";")[0]);
      return { cookie: cookie.join("; "), origin: stack.apiUrl };
    };
    const session = await browser();
    return async (
      access: Operation["access"],
      call: { target: string; body: string },
    ): Promise<Record<string, string>> => {
      if (access.who === "session") return session;
      if (access.who === "agent") {
        const token = await signed(agent, { method: "POST", ...call }, stack.clock.now());
        return { authorization: `Bearer ${token}` };
      }
      const role = access.roles?.includes("customer") === false ? "staff" : "customer";
      return { authorization: `Bearer ${stack.tokens[role]}` };
    };
  }

  test("refuses NUL wherever a text may stand, and what is no JSON, no object, or too large", async () => {
    const document = await (await fetch(`${stack.apiUrl}/openapi.json`)).json();
    const operations = operationsWithBody(document);
    expect(operations.filter((op) => op.path.startsWith("/v1/auth/")).length).toBeGreaterThan(10);
    expect(operations.length).toBeGreaterThan(21);
    const headersFor = await senders();
    const refusals: Record<string, unknown> = {};
    const wanted: Record<string, unknown> = {};
    for (const op of operations) {
      const id = op.path.includes("/vms/")
        ? vmId
        : op.path.startsWith("/staff/v1/hosts/")
          ? toWireId("host", agent.hostId)
          : op.path.startsWith("/staff/v1/plan-migrations/")
            ? toWireId("plan_migration", v7())
            : op.path.startsWith("/staff/v1/moves/")
              ? toWireId("move", v7())
              : op.path.startsWith("/staff/v1/agent-rollouts/")
                ? toWireId("agent_rollout", v7())
                : op.path.startsWith("/staff/v1/images/")
                  ? toWireId("image", v7())
                  : op.path.startsWith("/staff/v1/plans/")
                    ? toWireId("plan", v7())
                    : op.path.startsWith("/staff/v1/accounts/")
                      ? toWireId("account", v7())
                      : op.path.startsWith("/staff/v1/destroy-requests/")
                        ? toWireId("destroy_request", v7())
                        : locationId;
      const target = op.path
        .replace("{actionId}", toWireId("action", v7()))
        .replace(/\{[^}]+\}/, id);
      const send = async (body: string, type = "application/json") => {
        const answer = await fetch(`${stack.apiUrl}${target}`, {
          method: op.method,
          headers: {
            "content-type": type,
            "idempotency-key": v7(),
            ...(await headersFor(op.access, { target, body })),
          },
          body,
        });
        const problem = Problem.parse(await answer.json());
        expect(answer.headers.get("content-type")).toMatch(/^application\/problem\+json/);
        return problem.code;
      };
      const name = `${op.method} ${op.path}`;
      const nul = Object.fromEntries([...op.fields, "more"].map((field) => [field, "a\0b"]));
      refusals[name] = {
        nul: await send(JSON.stringify(nul)),
        strange: await send(JSON.stringify({ image: "\0" })),
        malformed: await send("{"),
        list: await send("[]"),
        form: await send("a=b", "application/x-www-form-urlencoded"),
        large: await codeOfLarge(op.method, target),
      };
      wanted[name] = {
        nul: "invalid_request",
        strange: "invalid_request",
        malformed: "malformed_json",
        list: "invalid_request",
        form: "unsupported_media_type",
        // What no good token comes with is left unread (4b B7).
        large: op.access.who === "agent" ? "unauthenticated" : "body_too_large",
      };
    }
    expect(refusals).toEqual(wanted);
  });

  test("refuses NUL in each text of an otherwise good body", async () => {
    const good = {
      "sign-up/email": { email: `${v7()}@example.com`, name: "Ada", password: LOCAL_PASSWORD },
      "sign-in/email": { email: LOCAL_PEOPLE[0].email, password: LOCAL_PASSWORD },
      "revoke-session": { token: "x" },
      "change-password": { currentPassword: LOCAL_PASSWORD, newPassword: LOCAL_PASSWORD },
      "two-factor/enable": { password: LOCAL_PASSWORD },
      "two-factor/verify-totp": { code: "123456" },
      "two-factor/verify-backup-code": { code: "abcde-fghij" },
    };
    const session = await (await senders())({ who: "session" }, { target: "", body: "" });
    for (const [route, body] of Object.entries(good))
      for (const field of Object.keys(body)) {
        const answer = await fetch(`${stack.apiUrl}/v1/auth/${route}`, {
          method: "POST",
          headers: { "content-type": "application/json", ...session },
          body: JSON.stringify({ ...body, [field]: "a\0b" }),
        });
        expect({ route, field, ...Problem.parse(await answer.json()) }).toMatchObject({
          route,
          field,
          code: "invalid_request",
          errors: [{ path: field }],
        });
      }
  });
});

test("nothing that was refused here was an error of ours", () => {
  expect(stack.statuses.length).toBeGreaterThan(100);
  expect(stack.statuses.filter((status) => status >= 500)).toEqual([]);
  expect(stack.errors).toEqual([]);
});

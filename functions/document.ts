import type { OpenAPIHono } from "@hono/zod-openapi";
import type { Env } from "hono";
import { z } from "zod";
import { ROLES, SCOPES, type Scope } from "#core/accounts/accounts.ts";
import {
  PROBLEM_CODES,
  PROBLEM_TYPE,
  type ProblemCode,
  STATUS_BY_CODE,
} from "#core/contracts/problem.ts";
import { type Access, refusalsOf, toldOf } from "./access.ts";
import { headersOf } from "./problems.ts";

const INFO = {
  title: "Berth API",
  version: "1",
  description:
    "Sells and runs VPSs. Errors are problem documents (RFC 9457) with a stable `code`; each operation lists its codes " +
    "by status as `x-codes`. Lists page by cursor. Requests that make something take an Idempotency-Key (an order must " +
    "have one): the same key and body give the same answer, and do nothing twice, for 30 days. Every answer has an `x-request-id`. " +
    "A path that does not take a method answers 405 with `Allow`.",
  contact: { name: "Who runs this Berth" },
  license: { name: "MIT", identifier: "MIT" },
};

/** Every area of the API. A route's tag that is not here is a mistake, and no document is made. */
const TAGS = {
  Catalogue: "What is on sale, and where.",
  Orders: "Buying a VM.",
  VMs: "VMs that were bought: what they are, what they use, and what is done with them.",
  Billing: "Invoices, and the card that pays them.",
  Account: "Who you are, and your API tokens.",
  "Log-in": "Accounts, sessions and second factors, for browsers.",
  Staff: "What staff sell and run.",
  Agents: "The channel of the agents on the hosts; their ids are bare UUIDs.",
  Public: "For monitoring.",
} as const;

const SCOPE_MEANS: Record<Scope, string> = {
  "orders:read": "See orders",
  "orders:write": "Place orders",
  "vms:read": "See VMs, their actions and what they used",
  "vms:write": "Change VMs, and do things with them",
  "billing:read": "See invoices, and the card on file",
  "billing:write": "Save and change cards",
  "staff:read": "See hosts",
  "staff:write": "Add hosts, and what is sold",
  "repairs:write": "Repair VMs, and call off what is done with them",
  "accounts:read": "See accounts and what they were mailed, and find what is theirs",
  "accounts:write": "Write notes about accounts, and send a mail again",
  "accounts:close": "Close accounts, and open them again",
  "accounts:impersonate": "Act as a customer, for an hour at most",
  "contracts:write": "Suspend VMs and lift that, grant time, cancel and take that back",
  "audit:read": "See who changed what",
  "services:write": "Make and change services of a billing system",
  "tokens:read": "See API tokens",
  "tokens:write": "Make and revoke API tokens",
};

const SECURITY = {
  token: {
    type: "http",
    scheme: "bearer",
    description: "An API token, which has scopes: each operation names the one that it needs.",
    "x-scopes": Object.fromEntries(SCOPES.map((scope) => [scope, SCOPE_MEANS[scope]])),
  },
  session: {
    type: "apiKey",
    in: "cookie",
    name: "berth.session_token",
    description:
      "The cookie of a log-in; `__Host-` stands before its name where Berth is served by HTTPS. A request that writes comes " +
      "with the `Origin` of Berth's own pages.",
  },
  agent: {
    type: "http",
    scheme: "bearer",
    bearerFormat: "JWT (EdDSA)",
    description: "A token signed by the host's enrolled key, bound to one method, path and body.",
  },
} as const;

type Api<E extends Env> = Pick<OpenAPIHono<E>, "getOpenAPI31Document" | "openAPIRegistry">;
type Document = ReturnType<OpenAPIHono["getOpenAPI31Document"]>;
type PathItem = NonNullable<Document["paths"]>[string];
const METHODS = ["get", "post", "put", "patch", "delete"] as const;
export type Operation = NonNullable<PathItem[(typeof METHODS)[number]]>;

const AccessShape: z.ZodType<Access> = z.discriminatedUnion("who", [
  z.object({ who: z.literal("anybody") }),
  z.object({
    who: z.literal("account"),
    roles: z.array(z.enum(ROLES)),
    scope: z.enum(SCOPES).nullable(),
  }),
  z.object({ who: z.literal("session") }),
  z.object({ who: z.literal("agent"), once: z.literal(true).optional() }),
  z.object({ who: z.literal("join_token") }),
]);
const Codes = z.object({ "x-codes": z.array(z.enum(PROBLEM_CODES)) });

/**
 * The OpenAPI document of the routes, whole: what a guard, a body's limit, a check of the request or a key may answer
 * is added to every operation that has one, so that no route can leave it out. A route without access, with a tag
 * that is not described or without a name throws.
 */
export function documentOf<E extends Env>(app: Api<E>): Document {
  for (const [name, scheme] of Object.entries(SECURITY))
    app.openAPIRegistry.registerComponent("securitySchemes", name, scheme);
  const document = app.getOpenAPI31Document({
    openapi: "3.1.0",
    info: INFO,
    // Wherever this document is served from.
    servers: [{ url: "/", description: "Where this document is served from" }],
    tags: Object.entries(TAGS).map(([name, description]) => ({ name, description })),
  });
  for (const [path, item] of Object.entries(document.paths ?? {}))
    for (const method of METHODS) {
      const operation = item[method];
      if (operation) complete(`${method.toUpperCase()} ${path}`, operation, method !== "get");
    }
  return document;
}

function complete(name: string, operation: Operation, takesBody: boolean): void {
  const access = AccessShape.parse(operation["x-access"]);
  const { operationId, summary, tags = [] } = operation;
  if (operationId === undefined || summary === undefined || tags.length === 0)
    throw new Error(`${name} has no operationId, summary or tag`);
  const strange = tags.find((tag) => !(tag in TAGS));
  if (strange !== undefined) throw new Error(`${name}: the tag ${strange} is not described`);
  operation.description = [operation.description, toldOf(access)]
    .filter((part) => part !== undefined)
    .join("\n\n");
  const answers = { ...operation.responses };
  for (const code of [...refusalsOf(access, takesBody), ...refusalsOfRequest(operation, takesBody)])
    addRefusal(answers, code);
  operation.responses = answers;
}

/** What is looked at before a route's handler is called, by `functions/app.ts` and the schemas. */
function refusalsOfRequest(operation: Operation, takesBody: boolean): readonly ProblemCode[] {
  const parameters = operation.parameters ?? [];
  const key = parameters.find(
    (p) => "in" in p && p.in === "header" && p.name === "idempotency-key",
  );
  const codes: ProblemCode[] = [];
  if (operation.requestBody !== undefined) codes.push("malformed_json");
  if (operation.requestBody !== undefined || parameters.length > 0) codes.push("invalid_request");
  if (key !== undefined) {
    if ("required" in key && key.required) codes.push("idempotency_key_missing");
    codes.push("idempotency_key_reused");
  }
  if (takesBody) codes.push("body_too_large");
  return [...codes, "unsupported_media_type", "internal"];
}

function addRefusal(answers: NonNullable<Operation["responses"]>, code: ProblemCode): void {
  const status = String(STATUS_BY_CODE[code]);
  const codes = new Set(Codes.safeParse(answers[status]).data?.["x-codes"]);
  if (codes.has(code)) return;
  codes.add(code);
  answers[status] = {
    description: [...codes].join(", "),
    "x-codes": [...codes],
    ...headersOf([...codes]),
    content: { [PROBLEM_TYPE]: { schema: { $ref: "#/components/schemas/Problem" } } },
  };
}

import { createRoute, z } from "@hono/zod-openapi";
import { ROLES } from "#core/accounts/accounts.ts";
import {
  ChangeMe,
  CreatedToken,
  CreateToken,
  Me,
  TokenPage,
} from "#core/contracts/api/accounts.ts";
import { PageQuery } from "#core/contracts/api/page.ts";
import { toWireId } from "#core/ids.ts";
import { chooseLocale } from "#commands/accounts/set-locale.ts";
import { showMe } from "#commands/accounts/show-me.ts";
import { createToken } from "#commands/accounts/create-token.ts";
import type { Deps } from "#commands/deps.ts";
import { pageOfAll } from "#commands/page.ts";
import { forAccounts, type AccountEnv } from "#functions/access.ts";
import { OptionalIdempotencyKey, requestKey } from "#functions/idempotency-key.ts";
import { newRouter } from "#functions/router.ts";
import { ProblemError, problems, unwrap } from "#functions/problems.ts";
import { toTokenView } from "#functions/views.ts";

const json = <T extends z.ZodType>(schema: T) => ({ "application/json": { schema } });

const meRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, ROLES, null),
    operationId: "showMe",
    summary: "Who you are, and what your credentials may do",
    tags: ["Account"],
    method: "get",
    path: "/v1/me",
    responses: { 200: { description: "You", content: json(Me) } },
  });
const changeMeRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, ROLES, null),
    operationId: "changeMe",
    summary: "Choose the language that you are written to in",
    description:
      "For a log-in, and for a token that may change anything at all; not for staff who act as somebody else.",
    tags: ["Account"],
    method: "patch",
    path: "/v1/me",
    request: { body: { required: true, content: json(ChangeMe) } },
    responses: {
      200: { description: "You", content: json(Me) },
      ...problems("forbidden", "scope_missing"),
    },
  });
const listRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, ROLES, "tokens:read"),
    operationId: "listTokens",
    summary: "Your API tokens, newest first",
    tags: ["Account"],
    method: "get",
    path: "/v1/tokens",
    request: { query: PageQuery },
    responses: {
      200: { description: "A page of tokens", content: json(TokenPage) },
    },
  });
const createTokenRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, ROLES, "tokens:write"),
    operationId: "createToken",
    summary: "Make an API token",
    description:
      "Scopes are a subset of what you may do now. A token that a token makes has no more scopes than its maker, ends " +
      "no later (a longer expiry is cut to the maker's), and is revoked with it. Staff make a token that changes " +
      "things only in a log-in with a second factor, for 90 days at most. The secret is in this answer only: a repeat with the " +
      "same Idempotency-Key makes no second token, and is answered with `secret_shown_once`.",
    tags: ["Account"],
    method: "post",
    path: "/v1/tokens",
    request: {
      headers: OptionalIdempotencyKey,
      body: { required: true, content: json(CreateToken) },
    },
    responses: {
      201: { description: "The token and its secret", content: json(CreatedToken) },
      ...problems(
        "scope_not_allowed",
        "second_factor_required",
        "token_limit",
        "secret_shown_once",
      ),
    },
  });
const revokeRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, ROLES, "tokens:write"),
    operationId: "revokeToken",
    summary: "Revoke an API token, and all that it made",
    tags: ["Account"],
    method: "delete",
    path: "/v1/tokens/{id}",
    request: { params: z.object({ id: z.string().min(1).max(64) }) },
    responses: { 204: { description: "Revoked" }, ...problems("token_not_found") },
  });

const toMe = (who: Awaited<ReturnType<typeof showMe>>): z.input<typeof Me> => ({
  id: toWireId("account", who.accountId),
  email: who.email,
  name: who.name,
  role: who.role,
  staffRole: who.staffRole,
  scopes: [...who.scopes],
  currency: who.currency,
  locale: who.locale,
});

/** Account routes; sign-up, log-in and sessions themselves are better-auth's, below `/v1/auth`. */
export const accountRoutes = (deps: Deps) =>
  newRouter<AccountEnv>()
    .openapi(meRoute(deps), async (c) => {
      return c.json(toMe(await showMe(deps, c.get("who"))), 200);
    })
    .openapi(changeMeRoute(deps), async (c) => {
      unwrap(await chooseLocale(deps, c.get("who"), c.req.valid("json").locale));
      return c.json(toMe(await showMe(deps, c.get("who"))), 200);
    })
    .openapi(listRoute(deps), async (c) => {
      const { limit, cursor } = c.req.valid("query");
      const tokens = await deps.accounts.listTokens(c.get("who").accountId);
      const page = pageOfAll(tokens, { limit, cursor: cursor ?? null }, (t) => t.id);
      return c.json({ items: page.items.map(toTokenView), nextCursor: page.nextCursor }, 200);
    })
    .openapi(createTokenRoute(deps), async (c) => {
      const body = c.req.valid("json");
      const key = requestKey(c, c.req.valid("header")["idempotency-key"], body);
      const created = await createToken(deps, c.get("who"), key, {
        name: body.name,
        scopes: body.scopes,
        expiresInSeconds: body.expiresInDays === undefined ? null : body.expiresInDays * 86_400,
      });
      const { token, secret } = unwrap(created);
      return c.json({ token: toTokenView(token), secret }, 201);
    })
    .openapi(revokeRoute(deps), async (c) => {
      const gone = await deps.accounts.revokeToken(c.get("who").accountId, c.req.valid("param").id);
      if (!gone) throw new ProblemError("token_not_found", "you have no such token");
      return c.body(null, 204);
    });

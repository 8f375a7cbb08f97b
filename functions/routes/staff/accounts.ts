import { createRoute, type z } from "@hono/zod-openapi";
import { AccountPage, AccountQuery } from "#core/contracts/api/accounts.ts";
import { sortOf } from "#core/contracts/api/page.ts";
import { AuditPage, AuditQuery } from "#core/contracts/api/audit.ts";
import { SearchQuery, SearchResult } from "#core/contracts/api/search.ts";
import { toActorId } from "#core/ids.ts";
import { listAccounts } from "#commands/accounts/list-accounts.ts";
import { search } from "#commands/accounts/search.ts";
import { showAudit } from "#commands/accounts/show-audit.ts";
import type { Deps } from "#commands/deps.ts";
import { forAccounts, type AccountEnv } from "#functions/access.ts";
import { problems, unwrap } from "#functions/problems.ts";
import { newRouter } from "#functions/router.ts";
import { toAccountView, toAuditView, toFoundView } from "#functions/desk-views.ts";

const json = <T extends z.ZodType>(schema: T) => ({ "application/json": { schema } });

const auditRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, ["staff"], "audit:read"),
    operationId: "listAudit",
    summary: "Who changed what, the newest first",
    description:
      "Everything that was changed, with its change: nothing is added later, and nothing taken out.",
    tags: ["Staff"],
    method: "get",
    path: "/staff/v1/audit",
    request: { query: AuditQuery },
    responses: {
      200: { description: "A page of the audit log", content: json(AuditPage) },
      ...problems("cursor_invalid"),
    },
  });

const listRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, ["staff"], "accounts:read"),
    operationId: "listAccounts",
    summary: "Everybody's accounts",
    tags: ["Staff"],
    method: "get",
    path: "/staff/v1/accounts",
    request: { query: AccountQuery },
    responses: {
      200: { description: "A page of accounts", content: json(AccountPage) },
      ...problems("cursor_invalid"),
    },
  });

const searchRoute = (deps: Deps) =>
  createRoute({
    // Every member of staff has this one; what else is found goes by the scopes of what it is.
    ...forAccounts(deps, ["staff"], "vms:read"),
    operationId: "search",
    summary: "Find anything by what is known of it",
    description:
      "Each result is of a kind that the caller's scopes let them see; of others there is no word.",
    tags: ["Staff"],
    method: "get",
    path: "/staff/v1/search",
    request: { query: SearchQuery },
    responses: { 200: { description: "What was found", content: json(SearchResult) } },
  });

const instant = (text: string | undefined): Date | null =>
  text === undefined ? null : new Date(text);

/** Who is who, and who did what. */
export const staffAccountRoutes = (deps: Deps) =>
  newRouter<AccountEnv>()
    .openapi(listRoute(deps), async (c) => {
      const { limit, cursor = null, sort, ...asked } = c.req.valid("query");
      const { role = null, email = null, closed } = asked;
      const filter = { role, email, closed: closed === undefined ? null : closed === "true" };
      const page = unwrap(await listAccounts(deps, filter, sortOf(sort), { limit, cursor }));
      return c.json({ items: page.items.map(toAccountView), nextCursor: page.nextCursor }, 200);
    })
    .openapi(searchRoute(deps), async (c) => {
      const { items, more } = await search(deps, c.get("who"), c.req.valid("query"));
      return c.json({ items: items.map(toFoundView), more }, 200);
    })
    .openapi(auditRoute(deps), async (c) => {
      const { limit, cursor = null, subject = null, actor, from, to } = c.req.valid("query");
      const filter = {
        subject,
        actor: actor === undefined ? null : toActorId(actor),
        from: instant(from),
        to: instant(to),
      };
      const page = unwrap(await showAudit(deps, filter, { limit, cursor }));
      return c.json({ items: page.items.map(toAuditView), nextCursor: page.nextCursor }, 200);
    });

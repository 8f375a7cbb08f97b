import { createRoute, type z } from "@hono/zod-openapi";
import { AuditPage, AuditQuery } from "#core/contracts/api/audit.ts";
import { toActorId } from "#core/ids.ts";
import { showAudit } from "#commands/accounts/show-audit.ts";
import type { Deps } from "#commands/deps.ts";
import { forAccounts, type AccountEnv } from "#functions/access.ts";
import { problems, unwrap } from "#functions/problems.ts";
import { newRouter } from "#functions/router.ts";
import { toAuditView } from "#functions/desk-views.ts";

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

const instant = (text: string | undefined): Date | null =>
  text === undefined ? null : new Date(text);

/** Who is who, and who did what. */
export const staffAccountRoutes = (deps: Deps) =>
  newRouter<AccountEnv>().openapi(auditRoute(deps), async (c) => {
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

import { createRoute, z } from "@hono/zod-openapi";
import { MailDetailsView, MailPage, MailQuery, MailView } from "#core/contracts/api/mails.ts";
import { idIn } from "#core/ids.ts";
import { ok } from "#core/result.ts";
import type { Deps } from "#commands/deps.ts";
import { answerOnce } from "#commands/messages/answer-once.ts";
import { clearMailAddress } from "#commands/messages/clear-mail-address.ts";
import { resendMail } from "#commands/messages/resend-mail.ts";
import { showMail, showMails } from "#commands/messages/show-mails.ts";
import { forAccounts, type AccountEnv } from "#functions/access.ts";
import { toMailDetailsView, toMailView } from "#functions/desk-views.ts";
import { OptionalIdempotencyKey, requestKey } from "#functions/idempotency-key.ts";
import { problems, unwrap } from "#functions/problems.ts";
import { newRouter } from "#functions/router.ts";

const json = <T extends z.ZodType>(schema: T) => ({ "application/json": { schema } });
const mailParam = z.object({ id: idIn("mail") });

const listRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, ["staff"], "accounts:read"),
    operationId: "listMails",
    summary: "What was mailed to customers, and what waits, the newest first",
    tags: ["Staff"],
    method: "get",
    path: "/staff/v1/mails",
    request: { query: MailQuery },
    responses: {
      200: { description: "A page of mails", content: json(MailPage) },
      ...problems("cursor_invalid"),
    },
  });

const showRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, ["staff"], "accounts:read"),
    operationId: "showMail",
    summary: "A mail, with what it says",
    tags: ["Staff"],
    method: "get",
    path: "/staff/v1/mails/{id}",
    request: { params: mailParam },
    responses: {
      200: { description: "The mail", content: json(MailDetailsView) },
      ...problems("mail_not_found"),
    },
  });

const resendRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, ["staff"], "accounts:write"),
    operationId: "resendMail",
    summary: "Send a mail again, as it was",
    description:
      "A mail of its own, to where the account's mail goes now; it is sent within a minute. What holds a link is not sent again: whom it is for asks for another.",
    tags: ["Staff"],
    method: "post",
    path: "/staff/v1/mails/{id}/resend",
    request: { params: mailParam, headers: OptionalIdempotencyKey },
    responses: {
      201: { description: "The new mail, which waits", content: json(MailView) },
      ...problems("mail_not_found", "mail_not_resendable"),
    },
  });

const clearRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, ["staff"], "accounts:write"),
    operationId: "clearMailAddress",
    summary: "Mail a mail's address again, though it refused one",
    description:
      "For when its owner says that it takes mail now. What was dropped meanwhile is sent by `resend`. Done again it does nothing.",
    tags: ["Staff"],
    method: "post",
    path: "/staff/v1/mails/{id}/clear-address",
    request: { params: mailParam },
    responses: {
      200: {
        description: "The mail, whose address is mailed again",
        content: json(MailDetailsView),
      },
      ...problems("mail_not_found"),
    },
  });

/** What customers were mailed. */
export const staffMessageRoutes = (deps: Deps) =>
  newRouter<AccountEnv>()
    .openapi(listRoute(deps), async (c) => {
      const { limit, cursor = null, ...asked } = c.req.valid("query");
      const { accountId = null, kind = null, state = null } = asked;
      const page = unwrap(await showMails(deps, { accountId, kind, state }, { limit, cursor }));
      return c.json({ items: page.items.map(toMailView), nextCursor: page.nextCursor }, 200);
    })
    .openapi(showRoute(deps), async (c) => {
      const shown = unwrap(await showMail(deps, c.req.valid("param").id));
      return c.json(toMailDetailsView(shown), 200);
    })
    .openapi(clearRoute(deps), async (c) => {
      const cleared = await clearMailAddress(deps, c.get("who"), c.req.valid("param").id);
      return c.json(toMailDetailsView(unwrap(cleared)), 200);
    })
    .openapi(resendRoute(deps), async (c) => {
      const key = requestKey(c, c.req.valid("header")["idempotency-key"], {});
      const { id } = c.req.valid("param");
      const resent = await answerOnce(deps, key, MailView, async (within) => {
        const mail = await resendMail(within, c.get("who"), id);
        return mail.ok ? ok(toMailView(mail.value)) : mail;
      });
      return c.json(unwrap(resent), 201);
    });

import { createRoute, z } from "@hono/zod-openapi";
import { AccountPage, AccountQuery } from "#core/contracts/api/accounts.ts";
import { AuditPage, AuditQuery } from "#core/contracts/api/audit.ts";
import { ForcedView } from "#core/contracts/api/forced.ts";
import {
  AgreeOnDunning,
  ForcedByReason,
  Impersonate,
  ImpersonationView,
} from "#core/contracts/api/staff-acts.ts";
import { SearchQuery, SearchResult } from "#core/contracts/api/search.ts";
import { AccountDetailsView, AddNote, NoteView } from "#core/contracts/api/account-details.ts";
import { idIn, toActorId } from "#core/ids.ts";
import { ok } from "#core/result.ts";
import { listAccounts } from "#commands/accounts/list-accounts.ts";
import { addNote } from "#commands/accounts/add-note.ts";
import { showAccount } from "#commands/accounts/show-account.ts";
import { agreeOnDunning } from "#commands/billing/agree-on-dunning.ts";
import { closeAccount } from "#commands/accounts/close-account.ts";
import { endImpersonation, impersonate } from "#commands/accounts/impersonate.ts";
import { answerOnce } from "#commands/messages/answer-once.ts";
import { search } from "#commands/accounts/search.ts";
import { showAudit } from "#commands/accounts/show-audit.ts";
import type { Deps } from "#commands/deps.ts";
import { forAccounts, type AccountEnv } from "#functions/access.ts";
import { requestKey } from "#functions/idempotency-key.ts";
import { adding } from "#functions/staff-adds.ts";
import { problems, unwrap } from "#functions/problems.ts";
import { newRouter } from "#functions/router.ts";
import {
  toAccountDetailsView,
  toAccountView,
  toAuditView,
  toForcedView,
  toFoundView,
  toNoteView,
} from "#functions/desk-views.ts";

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

const accountParam = z.object({ id: idIn("account") });

const showRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, ["staff"], "accounts:read"),
    operationId: "showAccount",
    summary: "An account: its money, machines, log-ins and notes",
    tags: ["Staff"],
    method: "get",
    path: "/staff/v1/accounts/{id}",
    request: { params: accountParam },
    responses: {
      200: {
        description: "The account; also one that is closed",
        content: json(AccountDetailsView),
      },
      ...problems("account_not_found"),
    },
  });

const noteRoute = (deps: Deps) => {
  const route = adding(
    deps,
    {
      operationId: "addAccountNote",
      summary: "Write a note about an account",
      description: "For staff alone. It stays as it was written.",
    },
    { body: AddNote, answer: NoteView },
    "account_not_found",
  );
  return createRoute({
    ...route,
    ...forAccounts(deps, ["staff"], "accounts:write"),
    path: "/staff/v1/accounts/{id}/notes",
    request: { ...route.request, params: accountParam },
  });
};

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

const forcedRoute = (
  deps: Deps,
  of: { operationId: string; summary: string; description?: string; verb: string },
) =>
  createRoute({
    ...forAccounts(deps, ["staff"], "accounts:close"),
    operationId: of.operationId,
    summary: of.summary,
    ...(of.description !== undefined && { description: of.description }),
    tags: ["Staff"],
    method: "post",
    path: `/staff/v1/accounts/{id}/${of.verb}`,
    request: { params: accountParam, body: { required: true, content: json(ForcedByReason) } },
    responses: {
      200: { description: "What it comes to", content: json(ForcedView) },
      ...problems("account_not_found", "plan_changed"),
    },
  });

const dunningRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, ["staff"], "contracts:write"),
    operationId: "agreeOnDunning",
    summary: "Agree with a customer on how long we wait for payment",
    description: "It holds for what they have, what they will have, and what they owe now.",
    tags: ["Staff"],
    method: "post",
    path: "/staff/v1/accounts/{id}/dunning",
    request: { params: accountParam, body: { required: true, content: json(AgreeOnDunning) } },
    responses: {
      200: { description: "What it comes to", content: json(ForcedView) },
      ...problems("account_not_found", "plan_changed"),
    },
  });
const closeRoute = (deps: Deps) =>
  forcedRoute(deps, {
    operationId: "closeAccount",
    summary: "Close an account",
    description:
      "Its sessions and tokens end at once. Its VMs run on and are charged. Of staff's accounts, an owner's to do.",
    verb: "close",
  });
const reopenRoute = (deps: Deps) =>
  forcedRoute(deps, {
    operationId: "reopenAccount",
    summary: "Open an account again",
    verb: "reopen",
  });

const impersonateRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, ["staff"], "accounts:impersonate"),
    operationId: "impersonate",
    summary: "Act as a customer, for an hour at most",
    description:
      "The customer sees it among their sessions. Neither orders nor tokens, passwords or second factors can be touched in it, and " +
      "the audit log names both.",
    tags: ["Staff"],
    method: "post",
    path: "/staff/v1/accounts/{id}/impersonation",
    request: { params: accountParam, body: { required: true, content: json(Impersonate) } },
    responses: {
      201: { description: "Begun", content: json(ImpersonationView) },
      ...problems("account_not_found", "account_closed"),
    },
  });
const endImpersonationRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, ["staff"], "accounts:impersonate"),
    operationId: "endImpersonation",
    summary: "Act as this customer no more",
    tags: ["Staff"],
    method: "delete",
    path: "/staff/v1/accounts/{id}/impersonation",
    request: { params: accountParam },
    responses: { 204: { description: "Ended, if there was one" } },
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
      const page = unwrap(await listAccounts(deps, filter, sort, { limit, cursor }));
      return c.json({ items: page.items.map(toAccountView), nextCursor: page.nextCursor }, 200);
    })
    .openapi(showRoute(deps), async (c) => {
      const who = c.get("who");
      const account = unwrap(await showAccount(deps, who, c.req.valid("param").id));
      return c.json(toAccountDetailsView(account, deps.clock.now(), who), 200);
    })
    .openapi(dunningRoute(deps), async (c) => {
      const asked = { ...c.req.valid("json"), accountId: c.req.valid("param").id };
      const done = unwrap(await agreeOnDunning(deps, { ...asked, who: c.get("who") }));
      return c.json(toForcedView(done, asked), 200);
    })
    .openapi(closeRoute(deps), async (c) => {
      const asked = { ...c.req.valid("json"), accountId: c.req.valid("param").id, closes: true };
      const closed = await closeAccount(deps, { ...asked, who: c.get("who") });
      return c.json(toForcedView(unwrap(closed), asked), 200);
    })
    .openapi(reopenRoute(deps), async (c) => {
      const asked = { ...c.req.valid("json"), accountId: c.req.valid("param").id, closes: false };
      const opened = await closeAccount(deps, { ...asked, who: c.get("who") });
      return c.json(toForcedView(unwrap(opened), asked), 200);
    })
    .openapi(impersonateRoute(deps), async (c) => {
      const asked = { ...c.req.valid("json"), accountId: c.req.valid("param").id };
      const begun = unwrap(await impersonate(deps, { ...asked, who: c.get("who") }));
      return c.json({ ...begun, expiresAt: begun.expiresAt.toISOString() }, 201);
    })
    .openapi(endImpersonationRoute(deps), async (c) => {
      await endImpersonation(deps, { who: c.get("who"), accountId: c.req.valid("param").id });
      return c.body(null, 204);
    })
    .openapi(noteRoute(deps), async (c) => {
      const body = c.req.valid("json");
      const key = requestKey(c, c.req.valid("header")["idempotency-key"], body);
      const asked = { accountId: c.req.valid("param").id, ...body };
      const added = await answerOnce(deps, key, NoteView, async (within) => {
        const note = await addNote(within, c.get("who"), asked);
        return note.ok ? ok(toNoteView(note.value)) : note;
      });
      return c.json(unwrap(added), 201);
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

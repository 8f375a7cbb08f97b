import { createRoute, z } from "@hono/zod-openapi";
import { HostDetailsView, HostStandingPage } from "#core/contracts/api/host-standing.ts";
import { AddedHost, AddHost, ChangeHost, HostQuery, HostView } from "#core/contracts/api/hosts.ts";
import { FindingPage, FindingQuery } from "#core/contracts/api/findings.ts";
import { idIn } from "#core/ids.ts";
import { addHost, issueJoinToken } from "#commands/hosts/add-host.ts";
import { changeHost } from "#commands/hosts/change-host.ts";
import { allReleases, type AgentRelease } from "#commands/fleet/register-release.ts";
import type { Deps } from "#commands/deps.ts";
import { showFindings } from "#commands/hosts/show-findings.ts";
import { showHost, showHosts } from "#commands/hosts/show-hosts.ts";
import { actorOf } from "#core/accounts/accounts.ts";
import { forAccounts, type AccountEnv } from "#functions/access.ts";
import { OptionalIdempotencyKey, requestKey } from "#functions/idempotency-key.ts";
import { newRouter } from "#functions/router.ts";
import { problems, unwrap } from "#functions/problems.ts";
import { toHostDetailsView, toHostStandingView } from "#functions/host-views.ts";
import { toFindingView, toHostView } from "#functions/views.ts";

const json = <T extends z.ZodType>(schema: T) => ({ "application/json": { schema } });
const hostParam = z.object({ id: idIn("host") });
const STAFF = ["staff"] as const;
const KEY_CODES = ["secret_shown_once"] as const;

const listRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, STAFF, "staff:read"),
    operationId: "listHosts",
    summary: "Hosts: what they have and give away, how they stand, and why they get no VMs",
    tags: ["Staff"],
    method: "get",
    path: "/staff/v1/hosts",
    request: { query: HostQuery },
    responses: {
      200: { description: "A page of hosts", content: json(HostStandingPage) },
      ...problems("cursor_invalid"),
    },
  });
const showRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, STAFF, "staff:read"),
    operationId: "showHost",
    summary: "A host: how it stands, and why it gets no VMs",
    tags: ["Staff"],
    method: "get",
    path: "/staff/v1/hosts/{id}",
    request: { params: hostParam },
    responses: {
      200: { description: "The host", content: json(HostDetailsView) },
      ...problems("host_not_found"),
    },
  });
const addRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, STAFF, "staff:write"),
    operationId: "addHost",
    summary: "Add a host and get the token its agent enrols with",
    description:
      "A repeat with the same Idempotency-Key adds no second host; the token was in the first answer only, so it is " +
      "answered with `secret_shown_once`, which names the host.",
    tags: ["Staff"],
    method: "post",
    path: "/staff/v1/hosts",
    request: {
      headers: OptionalIdempotencyKey,
      body: { required: true, content: json(AddHost) },
    },
    responses: {
      201: { description: "The host and its join token", content: json(AddedHost) },
      ...problems("location_not_found", "name_taken", ...KEY_CODES),
    },
  });
const changeRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, STAFF, "staff:write"),
    operationId: "changeHost",
    summary: "Change a host's name, its group, its mark for tests, or what it may give away",
    description:
      "A host that says it has grown gets nothing more until its ceiling is raised here. A lower ceiling or overcommit takes " +
      "nothing back of what is given away.",
    tags: ["Staff"],
    method: "patch",
    path: "/staff/v1/hosts/{id}",
    request: { params: hostParam, body: { required: true, content: json(ChangeHost) } },
    responses: {
      200: { description: "The host as it is now", content: json(HostView) },
      ...problems("host_not_found", "host_wrong_state", "host_not_empty", "name_taken"),
    },
  });
const tokenRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, STAFF, "staff:write"),
    operationId: "issueJoinToken",
    summary: "Another join token for a host",
    description: "Enrolling with it makes the host's old agent key worthless.",
    tags: ["Staff"],
    method: "post",
    path: "/staff/v1/hosts/{id}/join-tokens",
    request: { headers: OptionalIdempotencyKey, params: hostParam },
    responses: {
      201: { description: "The host and its join token", content: json(AddedHost) },
      ...problems("host_not_found", "host_wrong_state", ...KEY_CODES),
    },
  });

const findingsRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, STAFF, "staff:read"),
    operationId: "listFindings",
    summary: "What is or was amiss with hosts and what is on them",
    description: "The newest first. Each is opened once, told in the log, and ended once.",
    tags: ["Staff"],
    method: "get",
    path: "/staff/v1/findings",
    request: { query: FindingQuery },
    responses: {
      200: { description: "A page of findings", content: json(FindingPage) },
    },
  });

export const staffHostRoutes = (deps: Deps) =>
  newRouter<AccountEnv>()
    .openapi(listRoute(deps), async (c) => {
      const { limit, cursor = null, sort, ...asked } = c.req.valid("query");
      const { locationId = null, state = null, group = null } = asked;
      const filter = { locationId, state, group };
      const releases = await allReleases(deps);
      const page = unwrap(await showHosts(deps, filter, sort, { limit, cursor }));
      return c.json(
        {
          items: page.items.map((host) => toHostStandingView(host, releases)),
          nextCursor: page.nextCursor,
        },
        200,
      );
    })
    .openapi(showRoute(deps), async (c) => {
      const host = await showHost(deps, c.req.valid("param").id);
      return c.json(toHostDetailsView(unwrap(host), await allReleases(deps)), 200);
    })
    .openapi(addRoute(deps), async (c) => {
      const body = c.req.valid("json");
      const key = requestKey(c, c.req.valid("header")["idempotency-key"], body);
      return c.json(
        toAddedHost(
          unwrap(await addHost(deps, actorOf(c.get("who")), body, key)),
          await allReleases(deps),
        ),
        201,
      );
    })
    .openapi(changeRoute(deps), async (c) => {
      const { id } = c.req.valid("param");
      const changed = await changeHost(deps, actorOf(c.get("who")), id, c.req.valid("json"));
      return c.json(toHostView(unwrap(changed), await allReleases(deps)), 200);
    })
    .openapi(findingsRoute(deps), async (c) => {
      const { limit, cursor = null, ...asked } = c.req.valid("query");
      const { state = null, hostId = null, vmId = null, kind = null } = asked;
      const page = await showFindings(deps, { state, hostId, vmId, kind }, { limit, cursor });
      return c.json({ items: page.items.map(toFindingView), nextCursor: page.nextCursor }, 200);
    })
    .openapi(tokenRoute(deps), async (c) => {
      const { id } = c.req.valid("param");
      const key = requestKey(c, c.req.valid("header")["idempotency-key"], null);
      const issued = unwrap(await issueJoinToken(deps, actorOf(c.get("who")), id, key));
      return c.json(toAddedHost(issued, await allReleases(deps)), 201);
    });

const toAddedHost = (
  a: {
    host: Parameters<typeof toHostView>[0];
    joinToken: string;
    joinTokenExpiresAt: Date;
  },
  releases: readonly AgentRelease[],
): z.infer<typeof AddedHost> => ({
  host: toHostView(a.host, releases),
  joinToken: a.joinToken,
  joinTokenExpiresAt: a.joinTokenExpiresAt.toISOString(),
});

import { createRoute, z } from "@hono/zod-openapi";
import {
  BeginRollout,
  ChangeRollout,
  RegisterRelease,
  ReleasePage,
  ReleaseView,
  RolloutPage,
  RolloutView,
} from "#core/contracts/api/fleet.ts";
import { PageQuery } from "#core/contracts/api/page.ts";
import { idIn, toWireId } from "#core/ids.ts";
import { ok, type Result } from "#core/result.ts";
import { beginRollout } from "#commands/fleet/begin-rollout.ts";
import {
  changeRollout,
  showRollout,
  showRollouts,
  type Rollout,
} from "#commands/fleet/change-rollout.ts";
import {
  registerRelease,
  showReleases,
  type AgentRelease,
} from "#commands/fleet/register-release.ts";
import { answerOnce } from "#commands/messages/answer-once.ts";
import type { Deps } from "#commands/deps.ts";
import { actorOf } from "#core/accounts/accounts.ts";
import { forAccounts, type AccountEnv } from "#functions/access.ts";
import { requestKey } from "#functions/idempotency-key.ts";
import { problems, unwrap } from "#functions/problems.ts";
import { newRouter } from "#functions/router.ts";
import { adding } from "#functions/staff-adds.ts";

const json = <T extends z.ZodType>(schema: T) => ({ "application/json": { schema } });
const rolloutParam = z.object({ id: idIn("agent_rollout") });
const reading = (deps: Deps) => ({
  ...forAccounts(deps, ["staff"], "staff:read"),
  tags: ["Staff"],
});

const registerRoute = (deps: Deps) =>
  createRoute({
    ...adding(
      deps,
      {
        operationId: "registerAgentRelease",
        summary: "Make a release of the agent known",
        description:
          "The same again is the same release. Agents take it only when its manifest bears the signature of this " +
          "installation's release key, and only when a rollout says so.",
      },
      { body: RegisterRelease, answer: ReleaseView },
      "release_exists",
    ),
    path: "/staff/v1/agent-releases",
  });
const releasesRoute = (deps: Deps) =>
  createRoute({
    ...reading(deps),
    operationId: "listAgentReleases",
    summary: "The releases of the agent, registered last first",
    method: "get",
    path: "/staff/v1/agent-releases",
    request: { query: PageQuery },
    responses: { 200: { description: "A page of releases", content: json(ReleasePage) } },
  });
const beginRoute = (deps: Deps) =>
  createRoute({
    ...adding(
      deps,
      {
        operationId: "beginAgentRollout",
        summary: "Bring a release to hosts, so many at a time",
        description:
          "It begins within a minute. An older release is brought in the same way. A host that is silent is not told, and one " +
          "that has not come to the version in time counts as failed (`upgrade_failed` among the findings).",
      },
      { body: BeginRollout, answer: RolloutView },
      "agent_release_not_found",
      "releases_not_signed",
      "rollout_open",
      "rollout_without_hosts",
    ),
    path: "/staff/v1/agent-rollouts",
  });
const rolloutsRoute = (deps: Deps) =>
  createRoute({
    ...reading(deps),
    operationId: "listAgentRollouts",
    summary: "Rollouts of the agent, the newest first",
    method: "get",
    path: "/staff/v1/agent-rollouts",
    request: { query: PageQuery },
    responses: { 200: { description: "A page of rollouts", content: json(RolloutPage) } },
  });
const rolloutRoute = (deps: Deps) =>
  createRoute({
    ...reading(deps),
    operationId: "showAgentRollout",
    summary: "A rollout of the agent",
    method: "get",
    path: "/staff/v1/agent-rollouts/{id}",
    request: { params: rolloutParam },
    responses: {
      200: { description: "The rollout", content: json(RolloutView) },
      ...problems("agent_rollout_not_found"),
    },
  });
const changeRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, ["staff"], "staff:write"),
    operationId: "changeAgentRollout",
    summary: "Pause, resume or cancel a rollout, or change its pace",
    description:
      "Paused, those that were told go on. Cancelled, they are told no more. Resumed, what failed before stops it no more.",
    tags: ["Staff"],
    method: "patch",
    path: "/staff/v1/agent-rollouts/{id}",
    request: { params: rolloutParam, body: { required: true, content: json(ChangeRollout) } },
    responses: {
      200: { description: "The rollout as it is now", content: json(RolloutView) },
      ...problems("agent_rollout_not_found", "rollout_wrong_state"),
    },
  });

/** Which version of the agent hosts are to have, and how it comes to them. */
export const staffFleetRoutes = (deps: Deps) =>
  newRouter<AccountEnv>()
    .openapi(registerRoute(deps), async (c) => {
      const body = c.req.valid("json");
      const key = requestKey(c, c.req.valid("header")["idempotency-key"], body);
      const registered = await answerOnce(deps, key, ReleaseView, async (once) =>
        mapped(await registerRelease(once, actorOf(c.get("who")), body), toReleaseView),
      );
      return c.json(unwrap(registered), 201);
    })
    .openapi(releasesRoute(deps), async (c) => {
      const { limit, cursor = null } = c.req.valid("query");
      const page = await showReleases(deps, { limit, cursor });
      return c.json({ items: page.items.map(toReleaseView), nextCursor: page.nextCursor }, 200);
    })
    .openapi(beginRoute(deps), async (c) => {
      const body = c.req.valid("json");
      const key = requestKey(c, c.req.valid("header")["idempotency-key"], body);
      const begun = await answerOnce(deps, key, RolloutView, async (once) =>
        mapped(await beginRollout(once, actorOf(c.get("who")), body), toRolloutView),
      );
      return c.json(unwrap(begun), 201);
    })
    .openapi(rolloutsRoute(deps), async (c) => {
      const { limit, cursor = null } = c.req.valid("query");
      const page = await showRollouts(deps, { limit, cursor });
      return c.json({ items: page.items.map(toRolloutView), nextCursor: page.nextCursor }, 200);
    })
    .openapi(rolloutRoute(deps), async (c) => {
      const shown = unwrap(await showRollout(deps, c.req.valid("param").id));
      return c.json(toRolloutView(shown), 200);
    })
    .openapi(changeRoute(deps), async (c) => {
      const { id } = c.req.valid("param");
      const changed = await changeRollout(deps, actorOf(c.get("who")), id, c.req.valid("json"));
      return c.json(toRolloutView(unwrap(changed)), 200);
    });

const mapped = <T, E, V>(result: Result<T, E>, to: (value: T) => V): Result<V, E> =>
  result.ok ? ok(to(result.value)) : result;

const toReleaseView = (r: AgentRelease): z.infer<typeof ReleaseView> => ({
  id: toWireId("agent_release", r.id),
  version: r.version,
  manifestUrl: r.manifestUrl,
  createdAt: r.createdAt.toISOString(),
});

const toRolloutView = ({ hosts, ...r }: Rollout): RolloutView => ({
  id: toWireId("agent_rollout", r.id),
  version: r.version,
  group: r.hostGroup,
  state: r.state,
  atATime: r.atATime,
  stopAfterFailed: r.stopAfterFailed,
  hosts: {
    waiting: hosts.waiting,
    told: hosts.told,
    upgraded: hosts.upgraded,
    failed: hosts.failed,
    leftOut: hosts.left_out,
    withdrawn: hosts.withdrawn,
  },
  createdAt: r.createdAt.toISOString(),
});

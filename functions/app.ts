import { HTTPException } from "hono/http-exception";
import type { LogIns } from "#core/accounts/accounts.ts";
import { completeHeaders } from "#core/contracts/answer-headers.ts";
import type { Clock } from "#core/ports.ts";
import { ProviderUnavailable } from "#core/billing/payments.ts";
import type { ChannelDeps, Deps } from "#commands/deps.ts";
import { isRefusedText } from "#commands/text-refused.ts";
import { unitOfWork } from "#commands/unit-of-work.ts";
import { createAgentAuthenticator } from "#commands/hosts/authenticate-agent.ts";
import { type AgentGuards, forAgents, isReadByGuard } from "./access.ts";
import { BODY_LIMIT, limitOf } from "./body-limits.ts";
import { callerAddressOf } from "./caller-address.ts";
import { docsPage } from "./docs-page.ts";
import { documentOf } from "./document.ts";
import { methodsOf } from "./methods.ts";
import { type Page, showPage } from "./page.ts";
import { ProblemError, problemResponse } from "./problems.ts";
import { publicFor } from "./public-answer.ts";
import { newRouter } from "./router.ts";
import { accountRoutes } from "#functions/routes/customer/accounts.ts";
import { agentHostOperations, agentHostRoutes } from "#functions/routes/agent/hosts.ts";
import { agentUsageOperations, agentUsageRoutes } from "#functions/routes/agent/usage.ts";
import { agentVmOperations, agentVmRoutes } from "#functions/routes/agent/vms.ts";
import { describeLogIns, logInRoutes, type LogInDeps } from "#functions/routes/public/accounts.ts";
import { catalogueRoutes } from "#functions/routes/public/catalogue.ts";
import { cardRoutes, invoiceRoutes, resizeRoutes } from "#functions/routes/customer/billing.ts";
import { orderRoutes } from "#functions/routes/customer/orders.ts";
import { publicPages } from "#functions/routes/health.ts";
import { staffAccountRoutes } from "#functions/routes/staff/accounts.ts";
import { staffMessageRoutes } from "#functions/routes/staff/messages.ts";
import { staffBillingRoutes } from "#functions/routes/staff/billing.ts";
import { staffCatalogueSyncRoutes } from "#functions/staff-catalogue-sync.ts";
import { staffTrialRoutes } from "#functions/staff-trials.ts";
import { staffCatalogueRoutes } from "#functions/routes/staff/catalogue.ts";
import { staffFleetRoutes } from "#functions/routes/staff/fleet.ts";
import { staffPlanMigrationRoutes } from "#functions/staff-plan-migrations.ts";
import { staffHostRoutes } from "#functions/routes/staff/hosts.ts";
import { staffMoveRoutes } from "#functions/routes/staff/moves.ts";
import { staffNetworkRoutes } from "#functions/routes/staff/network.ts";
import { staffOrderRoutes } from "#functions/routes/staff/orders.ts";
import { staffResizeRoutes } from "#functions/routes/staff/billing.ts";
import { staffDestroyRoutes } from "#functions/staff-destroys.ts";
import { staffDrainRoutes } from "#functions/staff-drains.ts";
import { staffHostMoveRoutes } from "#functions/staff-host-moves.ts";
import { staffVmRoutes } from "#functions/routes/staff/vms.ts";
import { usageRoutes } from "#functions/routes/customer/usage.ts";
import { vmRoutes } from "#functions/routes/customer/vms.ts";

/** How long the API's own description may be kept. */
const DOCUMENT_KEPT_SECONDS = 300;

/** Of an unknown path, as much as an answer repeats. */
const MOST_OF_A_PATH = 200;

type Variables = { requestId: string };

/** What every route stands behind: request ids, one line of log, limits of bodies, and errors as problems. */
function newApp(deps: Pick<Deps, "clock" | "ids" | "log">) {
  const app = newRouter<{ Variables: Variables }>();

  app.use(async (c, next) => {
    await next();
    completeHeaders(c.res.headers);
  });
  app.use(async (c, next) => {
    c.set("requestId", deps.ids.newId());
    c.header("x-request-id", c.get("requestId"));
    await unitOfWork(
      deps,
      "http.request",
      {
        request_id: c.get("requestId"),
        method: c.req.method,
        path: c.req.path,
        caller_address: callerAddressOf(c.req.raw.headers),
      },
      async (add) => {
        await next();
        const { error } = c;
        add({
          status: c.res.status,
          ...(error && !(error instanceof ProblemError) ? { error } : {}),
          ...(error instanceof ProblemError ? { code: error.code } : {}),
        });
      },
    );
  });

  const limit = limitOf(BODY_LIMIT);
  // An agent's body is read by its guard, once the token is good.
  app.use((c, next) => (isReadByGuard(c.req.path) ? next() : limit(c, next)));

  // A body that is not declared as JSON is refused instead of being looked at: also what keeps forms of other
  // sites from posting with a session's cookie.
  app.use(async (c, next) => {
    const type = c.req.header("content-type")?.split(";")[0]?.trim().toLowerCase();
    const hasBody =
      Number(c.req.header("content-length") ?? 0) > 0 ||
      c.req.header("transfer-encoding") !== undefined;
    if ((hasBody || type !== undefined) && type !== "application/json")
      throw new ProblemError("unsupported_media_type", "send application/json");
    await next();
  });

  app.notFound((c) => {
    const methods = methodsOf(app, c.req.path);
    const path = c.req.path.slice(0, MOST_OF_A_PATH);
    if (methods.length > 0) c.header("allow", methods.join(", "));
    const problem =
      methods.length === 0
        ? new ProblemError("not_found", `no route ${c.req.method} ${path}`)
        : new ProblemError("method_not_allowed", `${path} takes ${methods.join(", ")}`);
    return problemResponse(c, problem, c.get("requestId"));
  });
  app.onError((error, c) => problemResponse(c, toProblem(error), c.get("requestId")));
  return app;
}

/** Everything in one process: each request to where API Gateway sends it. Without `logIns` nobody can log in. */
export function createWholeApi(deps: Deps & ChannelDeps & { logIns?: LogIns }) {
  const { logIns: doors } = deps;
  const [api, agents] = [createApi(deps), createAgentApi(deps)];
  const logIns = doors === undefined ? api : createLogInApi({ ...deps, logIns: doors });
  const serving = (path: string) => {
    if (path.startsWith("/v1/auth/")) return logIns;
    return path.startsWith("/agent/") ? agents : api;
  };
  return (request: Request): Response | Promise<Response> =>
    serving(new URL(request.url).pathname).fetch(request);
}

/** The agents' channel: all below `/agent/`. */
export function createAgentApi(deps: ChannelDeps) {
  const app = newApp(deps);
  const guards = agentGuards(createAgentAuthenticator(deps), deps.clock);
  app.route("/", agentHostRoutes(deps, guards));
  app.route("/", agentVmRoutes(deps, guards));
  app.route("/", agentUsageRoutes(deps, guards.many));
  return app;
}

const agentGuards = (
  authenticate: ReturnType<typeof createAgentAuthenticator>,
  clock: Clock,
): AgentGuards => ({
  many: forAgents(authenticate, clock, "many"),
  once: forAgents(authenticate, clock, "once"),
});

/** Puts the agents' routes into the document of who does not serve them. */
function describeAgents(clock: Clock, registry: ReturnType<typeof newApp>["openAPIRegistry"]) {
  const unasked = () => Promise.reject(new Error("this is not where agents are served"));
  const guards = agentGuards(unasked, clock);
  for (const operation of [
    ...agentHostOperations(guards),
    ...agentVmOperations(guards),
    ...agentUsageOperations(guards.many),
  ]) {
    const { middleware: _, ...described } = { middleware: [], ...operation };
    registry.registerPath(described);
  }
}

/** Sign-up, log-in and sessions: all below `/v1/auth/`. */
export function createLogInApi(deps: LogInDeps & Pick<Deps, "log">) {
  const app = newApp(deps);
  app.route("/", logInRoutes(deps));
  return app;
}

/**
 * The whole HTTP API but log-ins and the agents' channel, which it only describes, and the webhooks. `deps` are all it stands on, so it runs in a
 * Lambda, a server, or a test.
 */
export function createApi(deps: Deps) {
  const app = newApp(deps);
  describeLogIns(deps, app.openAPIRegistry);
  app.route("/", publicPages(deps));
  app.route("/", catalogueRoutes(deps));
  app.route("/", accountRoutes(deps));
  app.route("/", orderRoutes(deps));
  app.route("/", vmRoutes(deps));
  app.route("/", usageRoutes(deps));
  app.route("/", invoiceRoutes(deps));
  app.route("/", cardRoutes(deps));
  app.route("/", staffAccountRoutes(deps));
  app.route("/", staffMessageRoutes(deps));
  app.route("/", staffHostRoutes(deps));
  app.route("/", staffHostMoveRoutes(deps));
  app.route("/", staffDrainRoutes(deps));
  app.route("/", staffFleetRoutes(deps));
  app.route("/", staffPlanMigrationRoutes(deps));
  app.route("/", staffCatalogueRoutes(deps));
  app.route("/", staffCatalogueSyncRoutes(deps));
  app.route("/", staffTrialRoutes(deps));
  app.route("/", staffNetworkRoutes(deps));
  app.route("/", staffVmRoutes(deps));
  app.route("/", staffMoveRoutes(deps));
  app.route("/", staffResizeRoutes(deps));
  app.route("/", resizeRoutes(deps));
  app.route("/", staffDestroyRoutes(deps));
  app.route("/", staffBillingRoutes(deps));
  app.route("/", staffOrderRoutes(deps));
  describeAgents(deps.clock, app.openAPIRegistry);

  let document: ReturnType<typeof documentOf> | undefined;
  const theDocument = () => (document ??= documentOf(app));
  let docs: Page | undefined;
  app.get("/openapi.json", ...publicFor(DOCUMENT_KEPT_SECONDS), (c) => c.json(theDocument()));
  app.get("/docs", ...publicFor(DOCUMENT_KEPT_SECONDS), (c) =>
    showPage(c, (docs ??= docsPage(theDocument()))),
  );
  app.get("/", (c) => c.redirect("/docs"));
  return app;
}

/** What a client is told of an error. Of our own failures it learns only that there was one. */
function toProblem(error: unknown): ProblemError {
  if (error instanceof ProblemError) return error;
  if (error instanceof HTTPException)
    return error.status === 400
      ? new ProblemError("malformed_json", "the body is not JSON")
      : new ProblemError("internal", "something went wrong on our side");
  if (error instanceof ProviderUnavailable)
    return new ProblemError(
      "payment_provider_unavailable",
      "the payment provider does not answer; send the same request with the same key again",
    );
  if (isRefusedText(error))
    return new ProblemError("invalid_request", "a text holds what is no character");
  return new ProblemError(
    "internal",
    "something went wrong on our side; it is logged under this id",
  );
}

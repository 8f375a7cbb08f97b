import type { MiddlewareHandler } from "hono";
import {
  ROLES,
  isWriting,
  scopesOf,
  type AccountPrincipal,
  type Role,
  type Scope,
} from "#core/accounts/accounts.ts";
import type { ProblemCode } from "#core/contracts/problem.ts";
import type { Clock } from "#core/ports.ts";
import type { createAgentAuthenticator } from "#commands/hosts/authenticate-agent.ts";
import type { Deps, Settings } from "#commands/deps.ts";
import { AGENT_BODY_LIMIT, BODY_LIMIT, limitOf } from "./body-limits.ts";
import { callerAddressOf } from "./caller-address.ts";
import { ProblemError, unwrap } from "./problems.ts";

/**
 * Who may call a route. Every route states it; `x-access` in the OpenAPI document is this very value, and the test
 * that walks routes × roles reads it from there.
 */
export type Access =
  | { who: "anybody" }
  | { who: "account"; roles: readonly Role[]; scope: Scope | null }
  /** Who is logged in with a browser: an API token does not do. */
  | { who: "session" }
  /** `once`: a token serves one call only, where something is handed out that is worth stealing. */
  | { who: "agent"; once?: true | undefined }
  | { who: "join_token" };

type Security = { [scheme: string]: string[] }[];

/**
 * What the guards below may answer to a request that reads, or `writes`. The document declares it at each route by its
 * `x-access`: no route lists it.
 */
export function refusalsOf(access: Access, writes: boolean): readonly ProblemCode[] {
  const foreign = writes ? (["foreign_origin"] as const) : [];
  switch (access.who) {
    case "account":
      return [
        "unauthenticated",
        "token_invalid",
        "rate_limited",
        ...foreign,
        ...(access.roles.length < ROLES.length ? (["forbidden"] as const) : []),
        ...(access.scope === null ? [] : (["scope_missing"] as const)),
        ...(needsSecondFactor(access) ? (["second_factor_required"] as const) : []),
      ];
    case "session":
      return ["unauthenticated", "token_invalid", "rate_limited", "forbidden", ...foreign];
    case "agent":
      return [
        "unauthenticated",
        "agent_token_invalid",
        "agent_clock_off",
        "identity_revoked",
        ...(access.once ? (["agent_token_used"] as const) : []),
      ];
    case "join_token":
      return ["rate_limited"];
    case "anybody":
      return [];
  }
}

/** Who may call a route, for people. */
export function toldOf(access: Access): string {
  switch (access.who) {
    case "account": {
      const whose =
        access.roles.length < ROLES.length
          ? `For ${access.roles.join(" and ")} accounts`
          : "For all accounts";
      return [
        access.scope === null
          ? `${whose}.`
          : `${whose}; a token needs the scope \`${access.scope}\`.`,
        ...(needsSecondFactor(access) ? ["Staff's log-in needs a second factor here."] : []),
      ].join(" ");
    }
    case "session":
      return "For who is logged in with a browser; an API token does not do.";
    case "agent":
      return access.once
        ? "For the agent of a host, by a signed request; its token serves this one call."
        : "For the agent of a host, by a signed request.";
    case "join_token":
      return "For who holds a join token.";
    case "anybody":
      return "For anybody.";
  }
}

/** True where a log-in of staff without a second factor is let in nowhere: they may read, and change nothing. */
const needsSecondFactor = ({ roles, scope }: Extract<Access, { who: "account" }>): boolean =>
  roles.includes("staff") && scope !== null && isWriting(scope);

/** What a guard of accounts stands on. */
export type GuardDeps = Pick<Deps, "accounts"> &
  Readonly<{ settings: Pick<Settings, "publicUrl"> }>;

/**
 * True unless the browser says that a page of ours asks, by `Origin` or, without one, by `Sec-Fetch-Site` (Fetch standard).
 * Browsers send one or the other with each request that writes; what sends neither has no business with a cookie.
 */
function isForeign(headers: Headers, publicUrl: string): boolean {
  const origin = headers.get("origin");
  const site = headers.get("sec-fetch-site");
  if (site !== null && site !== "same-origin") return true;
  return origin === null ? site === null : origin !== new URL(publicUrl).origin;
}

/** A browser adds its cookie to whatever another site's page makes it send; an API token is only ever sent on purpose. */
function refuseForeignWrite(request: Request, who: AccountPrincipal, publicUrl: string): void {
  const writes = request.method !== "GET" && request.method !== "HEAD";
  if (who.via === "session" && writes && isForeign(request.headers, publicUrl))
    throw new ProblemError(
      "foreign_origin",
      `with a log-in's cookie this is for pages of ${publicUrl}: send their Origin, or an API token instead of the cookie`,
    );
}

const authenticatedBy = (deps: GuardDeps, headers: Headers) =>
  deps.accounts.authenticate(headers, callerAddressOf(headers));

export type AccountEnv = { Variables: { who: AccountPrincipal } };
export type AgentEnv = { Variables: { hostId: string } };

/** A log-in has all the scopes of its account, but for what staff's lacks without a second factor. */
const lacksSecondFactor = (who: AccountPrincipal, scope: Scope): boolean =>
  who.via === "session" && scopesOf(who).includes(scope);

/** For people and billing systems: a session cookie, or a Bearer API token with the scope. */
export function forAccounts(deps: GuardDeps, roles: readonly Role[], scope: Scope | null) {
  const guard: MiddlewareHandler<AccountEnv> = async (c, next) => {
    const who = unwrap(await authenticatedBy(deps, c.req.raw.headers));
    if (!who)
      throw new ProblemError("unauthenticated", "log in, or send an API token as a Bearer token");
    refuseForeignWrite(c.req.raw, who, deps.settings.publicUrl);
    if (!roles.includes(who.role))
      throw new ProblemError("forbidden", `this is for ${roles.join(" and ")} accounts`);
    if (scope !== null && !who.scopes.includes(scope))
      throw lacksSecondFactor(who, scope)
        ? new ProblemError(
            "second_factor_required",
            "staff change things only in a log-in with a second factor: set one up, and log in with it",
          )
        : new ProblemError("scope_missing", `this needs the scope ${scope}`);
    c.set("who", who);
    await next();
  };
  return {
    "x-access": { who: "account", roles, scope } satisfies Access,
    // The scope is in `x-access`: a security requirement may name only what an OAuth server would give out.
    security: [{ token: [] }, { session: [] }] as Security,
    middleware: guard,
  };
}

export const NOT_AS_SOMEBODY_ELSE = "this is for the account's owner: you act as somebody else";

/** For who is logged in with a browser, whatever the role: what a token must never do, such as a change of password. */
export function forSessions(deps: GuardDeps) {
  const guard: MiddlewareHandler<AccountEnv> = async (c, next) => {
    const who = unwrap(await authenticatedBy(deps, c.req.raw.headers));
    if (!who) throw new ProblemError("unauthenticated", "log in first");
    if (who.via !== "session")
      throw new ProblemError("forbidden", "this needs a log-in, and no API token does");
    if (who.impersonator !== undefined) throw new ProblemError("forbidden", NOT_AS_SOMEBODY_ELSE);
    refuseForeignWrite(c.req.raw, who, deps.settings.publicUrl);
    c.set("who", who);
    await next();
  };
  return {
    "x-access": { who: "session" } satisfies Access,
    security: [{ session: [] }] as Security,
    middleware: guard,
  };
}

/** What hands something out asks for nothing long; reports and samples do. */
const LIMIT_BY_USES = { once: limitOf(BODY_LIMIT), many: limitOf(AGENT_BODY_LIMIT) };

/** Where the guard of agents reads the body. Who enrols has no token yet. */
export const isReadByGuard = (path: string): boolean =>
  path.startsWith("/agent/") && path !== "/agent/v1/enroll";

/**
 * For a host's agent: a signed request, bound to its method, path and body. `once`: what hands something out takes a token
 * only once; everything else may be repeated harmlessly. Each answer says our time, for a host whose clock is off.
 */
export function forAgents(
  authenticate: ReturnType<typeof createAgentAuthenticator>,
  clock: Clock,
  uses: "many" | "once",
) {
  const guard: MiddlewareHandler<AgentEnv> = async (c, next) => {
    c.header("date", clock.now().toUTCString());
    const url = new URL(c.req.url);
    const signed = unwrap(
      await authenticate({
        method: c.req.method,
        target: url.pathname + url.search,
        authorization: c.req.header("authorization"),
      }),
    );
    // Nothing was read of the body so far: whoever has no good token has none of our memory.
    await LIMIT_BY_USES[uses](c, async () => {
      const body = new Uint8Array(await c.req.arrayBuffer());
      const agent = unwrap(await signed.forBody(body, uses));
      c.set("hostId", agent.hostId);
      await next();
    });
  };
  return {
    "x-access": (uses === "once"
      ? { who: "agent", once: true }
      : { who: "agent" }) satisfies Access,
    security: [{ agent: [] }] as Security,
    middleware: guard,
  };
}

export type AgentGuard = ReturnType<typeof forAgents>;
/** Both stand on one authenticator, as it remembers what it has seen. */
export type AgentGuards = Readonly<{ many: AgentGuard; once: AgentGuard }>;
export const forAnybody = {
  "x-access": { who: "anybody" } satisfies Access,
  security: [] as Security,
};
/** The token is in the body. */
export const forJoinToken = {
  "x-access": { who: "join_token" } satisfies Access,
  security: [] as Security,
};

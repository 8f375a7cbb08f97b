import { type ApiKey, defaultKeyHasher } from "@better-auth/api-key";
import * as z from "zod";
import {
  type AccountPrincipal,
  type Accounts,
  SCOPES,
  type Scope,
  type TokenView,
} from "#core/accounts/accounts.ts";
import type { Clock } from "#core/ports.ts";
import { ok, refuse } from "#core/result.ts";
import { type Auth, TOKEN_PREFIX } from "./accounts-auth.ts";

/** Enough for every tool of a customer; few enough to look through. A race may pass it by a few. */
const MAX_TOKENS = 100;
/** How exact `lastUsedAt` is: a token in constant use costs one write in this time, not one a request. */
const LAST_USED_PRECISION_MS = 5 * 60_000;

const MODEL = "apikey";
const Uuid = z.uuid();
const Permissions = z.record(z.string(), z.array(z.string()));
const StoredToken = z.object({
  id: z.string(),
  name: z.string(),
  start: z.string(),
  referenceId: z.string(),
  permissions: z
    .string()
    .transform((text) => Permissions.parse(JSON.parse(text)))
    .transform(toScopes),
  enabled: z.boolean(),
  createdAt: z.date(),
  expiresAt: z.date().nullable(),
  lastRequest: z.date().nullable(),
  // null: made in a session.
  metadata: z.preprocess(
    (value): unknown => (typeof value === "string" ? JSON.parse(value) : value),
    z.object({ makers: z.array(z.uuid()) }).nullable(),
  ),
});
type StoredToken = z.infer<typeof StoredToken>;

/** What `tokens.use` found: whose token it is and what it may do. */
export type TokenGrant = Readonly<{
  accountId: string;
  scopes: readonly Scope[];
  token: NonNullable<AccountPrincipal["token"]>;
}>;

/**
 * API tokens in the form of better-auth's api-key plugin: it makes the secret, hashes it and stores it. Reading is
 * ours, because the plugin's own check writes two rows for each request. The plugin's HTTP routes are not served.
 */
export function createTokens(auth: Auth, clock: Pick<Clock, "now">) {
  const create = async (
    owner: AccountPrincipal,
    input: Parameters<Accounts["createToken"]>[1],
  ): ReturnType<Accounts["createToken"]> => {
    // `owner.scopes` is the role's for a session, and a token's own for a token: neither may hand out more.
    const excess = input.scopes.filter((scope) => !owner.scopes.includes(scope));
    if (excess.length > 0)
      return refuse("scope_not_allowed", `not yours to give: ${excess.join(", ")}`);
    const { adapter } = await auth.$context;
    const held = await adapter.count({ model: MODEL, where: ownedBy(owner.accountId) });
    if (held >= MAX_TOKENS)
      return refuse("token_limit", `an account has at most ${MAX_TOKENS} tokens`);
    const expiresIn = withinMaker(input.expiresInSeconds, owner.token?.expiresAt ?? null, clock);
    const made = await auth.api.createApiKey({
      body: {
        userId: owner.accountId,
        name: input.name,
        permissions: toPermissions(input.scopes),
        expiresIn: expiresIn === null ? null : expiresIn + lead(clock),
        ...(owner.token && { metadata: { makers: [...owner.token.makers, owner.token.id] } }),
      },
    });
    return ok({
      secret: made.key,
      token: {
        id: made.id,
        name: input.name,
        start: made.start ?? TOKEN_PREFIX,
        scopes: toScopes(made.permissions ?? {}),
        createdAt: made.createdAt,
        expiresAt: made.expiresAt,
        lastUsedAt: null,
      },
    });
  };

  /** What this secret may do now; `undefined` when it is unknown, revoked or expired. */
  const use = async (secret: string): Promise<TokenGrant | undefined> => {
    if (!secret.startsWith(TOKEN_PREFIX)) return undefined;
    const { adapter } = await auth.$context;
    const row = await adapter.findOne<ApiKey>({
      model: MODEL,
      where: [{ field: "key", value: await defaultKeyHasher(secret) }],
    });
    if (row === null) return undefined;
    const token = StoredToken.parse(row);
    const now = clock.now();
    if (!token.enabled || (token.expiresAt !== null && token.expiresAt <= now)) return undefined;
    const makers = token.metadata?.makers ?? [];
    if (!(await areAllInForce(makers))) return undefined;
    if (now.getTime() - (token.lastRequest?.getTime() ?? 0) >= LAST_USED_PRECISION_MS)
      await adapter.updateMany({
        model: MODEL,
        where: [{ field: "id", value: token.id }],
        update: { lastRequest: now },
      });
    return {
      accountId: token.referenceId,
      scopes: token.permissions,
      token: { id: token.id, makers, expiresAt: token.expiresAt },
    };
  };

  /** A token made while its maker was being revoked is caught here: it is worth nothing without its makers. */
  const areAllInForce = async (ids: readonly string[]): Promise<boolean> => {
    if (ids.length === 0) return true;
    const { adapter } = await auth.$context;
    const inForce = await adapter.count({
      model: MODEL,
      where: [
        { field: "id", operator: "in", value: [...ids] },
        { field: "enabled", value: true },
      ],
    });
    return inForce === ids.length;
  };

  const stored = async (accountId: string): Promise<readonly StoredToken[]> => {
    const { adapter } = await auth.$context;
    const rows = await adapter.findMany<ApiKey>({
      model: MODEL,
      where: ownedBy(accountId),
      sortBy: { field: "createdAt", direction: "desc" },
      limit: MAX_TOKENS * 2,
    });
    return rows.map((row) => StoredToken.parse(row));
  };

  const list = async (accountId: string): Promise<readonly TokenView[]> =>
    (await stored(accountId)).map(viewOf);

  const revoke = async (accountId: string, tokenId: string): Promise<boolean> => {
    if (!Uuid.safeParse(tokenId).success) return false;
    const { adapter } = await auth.$context;
    const deleted = await adapter.deleteMany({
      model: MODEL,
      where: [{ field: "id", value: tokenId }, ...ownedBy(accountId)],
    });
    const made = (await stored(accountId)).filter((t) => t.metadata?.makers.includes(tokenId));
    if (made.length > 0)
      await adapter.deleteMany({
        model: MODEL,
        where: [
          { field: "id", operator: "in", value: made.map((t) => t.id) },
          ...ownedBy(accountId),
        ],
      });
    return deleted > 0;
  };

  return { create, use, list, revoke };
}

const ownedBy = (accountId: string) => [{ field: "referenceId", value: accountId }];

const viewOf = (token: StoredToken): TokenView => ({
  id: token.id,
  name: token.name,
  start: token.start,
  scopes: token.permissions,
  createdAt: token.createdAt,
  expiresAt: token.expiresAt,
  lastUsedAt: token.lastRequest,
});

/**
 * Seconds that the injected clock is ahead of the machine's. The plugin reckons an expiry from the machine's clock,
 * and `use` judges it by the injected one.
 */
const lead = (clock: Pick<Clock, "now">): number => (clock.now().getTime() - Date.now()) / 1000;

/** The seconds that a token may last when its maker ends at `end`; null is without end. */
function withinMaker(
  asked: number | null,
  end: Date | null,
  clock: Pick<Clock, "now">,
): number | null {
  if (end === null) return asked;
  const left = (end.getTime() - clock.now().getTime()) / 1000;
  return asked === null ? left : Math.min(asked, left);
}

/** `vms:read` is stored as the plugin's permission `read` on the resource `vms`. */
function toPermissions(scopes: readonly Scope[]): Record<string, string[]> {
  const permissions: Record<string, string[]> = {};
  for (const scope of new Set(scopes)) {
    const [resource = "", action = ""] = scope.split(":");
    (permissions[resource] ??= []).push(action);
  }
  return permissions;
}

function toScopes(permissions: Record<string, string[]>): readonly Scope[] {
  return SCOPES.filter((scope) => {
    const [resource = "", action = ""] = scope.split(":");
    return permissions[resource]?.includes(action) ?? false;
  });
}

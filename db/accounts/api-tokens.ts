import { and, count, desc, eq, inArray, sql } from "drizzle-orm";
import type { Account } from "#core/accounts/accounts.ts";
import { SCOPES, type Scope } from "#core/accounts/accounts.ts";
import type { ApiToken } from "#core/accounts/api-token.ts";
import type { Db, Tx } from "#db/client.ts";
import { accounts, apiTokens } from "#db/schema/accounts.ts";
import { accountFromRow } from "./accounts.ts";

type Row = typeof apiTokens.$inferSelect;

const tokenFromRow = (row: Row): ApiToken => ({
  id: row.id,
  accountId: row.referenceId,
  name: row.name,
  start: row.start,
  scopes: scopesFrom(JSON.parse(row.permissions)),
  makers: row.metadata === null ? [] : makersFrom(JSON.parse(row.metadata)),
  enabled: row.enabled,
  createdAt: row.createdAt,
  expiresAt: row.expiresAt,
  lastUsedAt: row.lastRequest,
});

export async function insertApiToken(tx: Tx, token: ApiToken, secretHash: string): Promise<void> {
  await tx.insert(apiTokens).values({
    id: token.id,
    referenceId: token.accountId,
    name: token.name,
    start: token.start,
    key: secretHash,
    permissions: JSON.stringify(permissionsOf(token.scopes)),
    metadata: token.makers.length === 0 ? null : JSON.stringify({ makers: token.makers }),
    enabled: token.enabled,
    expiresAt: token.expiresAt,
    createdAt: token.createdAt,
    updatedAt: token.createdAt,
  });
}

/** The token of a secret with this hash, and its account. */
export async function findApiToken(
  db: Db,
  secretHash: string,
): Promise<{ token: ApiToken; account: Account } | undefined> {
  const [row] = await db
    .select({ token: apiTokens, account: accounts })
    .from(apiTokens)
    .innerJoin(accounts, eq(accounts.id, apiTokens.referenceId))
    .where(eq(apiTokens.key, secretHash));
  return row && { token: tokenFromRow(row.token), account: accountFromRow(row.account) };
}

/** How many of these tokens are there and switched on. */
export async function countEnabled(db: Db, ids: readonly string[]): Promise<number> {
  const [row] = await db
    .select({ n: count() })
    .from(apiTokens)
    .where(and(inArray(apiTokens.id, [...ids]), eq(apiTokens.enabled, true)));
  return row?.n ?? 0;
}

export async function noteUse(db: Db, id: string, now: Date): Promise<void> {
  await db.update(apiTokens).set({ lastRequest: now }).where(eq(apiTokens.id, id));
}

export async function countApiTokens(tx: Tx, accountId: string): Promise<number> {
  const [row] = await tx
    .select({ n: count() })
    .from(apiTokens)
    .where(eq(apiTokens.referenceId, accountId));
  return row?.n ?? 0;
}

/** An account's tokens, newest first. */
export async function listApiTokens(db: Db, accountId: string): Promise<readonly ApiToken[]> {
  const rows = await db
    .select()
    .from(apiTokens)
    .where(eq(apiTokens.referenceId, accountId))
    .orderBy(desc(apiTokens.createdAt), desc(apiTokens.id));
  return rows.map(tokenFromRow);
}

/** Ends an account's token and all that it made, at once. False when the account has no such token. */
export async function deleteApiToken(db: Db, accountId: string, id: string): Promise<boolean> {
  const gone = await db
    .delete(apiTokens)
    .where(
      and(
        eq(apiTokens.referenceId, accountId),
        sql`(${apiTokens.id} = ${id} or ${apiTokens.metadata}::jsonb -> 'makers' ? ${id})`,
      ),
    )
    .returning({ id: apiTokens.id });
  return gone.some((row) => row.id === id);
}

export async function deleteAllApiTokens(db: Db, accountId: string): Promise<void> {
  await db.delete(apiTokens).where(eq(apiTokens.referenceId, accountId));
}

/** Stored as better-auth's plugin for keys did: `vms:read` as the action `read` on the resource `vms`. */
function permissionsOf(scopes: readonly Scope[]): Record<string, string[]> {
  const permissions: Record<string, string[]> = {};
  for (const scope of scopes) {
    const [resource = "", action = ""] = scope.split(":");
    (permissions[resource] ??= []).push(action);
  }
  return permissions;
}

const textsIn = (value: unknown, name: string): readonly unknown[] => {
  const list: unknown = value instanceof Object ? Reflect.get(value, name) : undefined;
  return Array.isArray(list) ? list : [];
};

const scopesFrom = (permissions: unknown): readonly Scope[] =>
  SCOPES.filter((scope) => {
    const [resource = "", action = ""] = scope.split(":");
    return textsIn(permissions, resource).includes(action);
  });

/** Throws for what is no list of ids: a token that cannot name its makers is worth nothing. */
function makersFrom(metadata: unknown): readonly string[] {
  if (metadata === null) return [];
  const makers = textsIn(metadata, "makers").filter((id) => typeof id === "string");
  if (makers.length === 0) throw new Error("a token's makers cannot be read");
  return makers;
}

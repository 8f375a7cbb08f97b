import { and, eq, isNotNull, isNull, sql } from "drizzle-orm";
import type { Role, StaffRole } from "#core/accounts/accounts.ts";
import type { Db } from "#db/client.ts";
import { byBytes, inOrder, isAfter, type KeysetPage } from "#db/keyset.ts";
import { accounts } from "#db/schema/accounts.ts";

/** An account as staff see it. */
export type AccountRow = Readonly<{
  id: string;
  email: string;
  emailVerified: boolean;
  name: string;
  role: Role;
  staffRole: StaffRole | null;
  twoFactorEnabled: boolean;
  bannedAt: Date | null;
  createdAt: Date;
}>;
export type AccountFilter = Readonly<{
  role: Role | null;
  /** What the address begins with. */
  email: string | null;
  closed: boolean | null;
}>;
export type AccountSort = Readonly<{ by: "createdAt" | "email"; down: boolean }>;

const COLUMNS = {
  id: accounts.id,
  email: accounts.email,
  emailVerified: accounts.emailVerified,
  name: accounts.name,
  role: accounts.role,
  staffRole: accounts.staffRole,
  twoFactorEnabled: accounts.twoFactorEnabled,
  bannedAt: accounts.bannedAt,
  createdAt: accounts.createdAt,
};

export async function listAccounts(
  db: Db,
  { role, email, closed }: AccountFilter,
  { by, down }: AccountSort,
  page: KeysetPage,
): Promise<readonly AccountRow[]> {
  const order = { id: accounts.id, down, ...(by === "email" && { by: byBytes(accounts.email) }) };
  const isClosed = closed ? isNotNull(accounts.bannedAt) : isNull(accounts.bannedAt);
  return db
    .select(COLUMNS)
    .from(accounts)
    .where(
      and(
        role === null ? undefined : eq(accounts.role, role),
        email === null ? undefined : sql`${byBytes(accounts.email)} ^@ ${email}`,
        closed === null ? undefined : isClosed,
        isAfter(order, page.after),
      ),
    )
    .orderBy(...inOrder(order))
    .limit(page.limit);
}

export async function loadAccountRow(db: Db, id: string): Promise<AccountRow | undefined> {
  const [row] = await db.select(COLUMNS).from(accounts).where(eq(accounts.id, id));
  return row;
}

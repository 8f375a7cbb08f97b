import { eq, inArray, sql } from "drizzle-orm";
import type { Role, StaffRole } from "#core/accounts/accounts.ts";
import type { Db } from "#db/client.ts";
import { byBytes, inOrder, type KeysetPage } from "#db/keyset.ts";
import { having, readPlaces, type Narrowing, type ReadPage } from "#db/read-places.ts";
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

const isClosed = sql`(${accounts.bannedAt} is not null)`;

function narrowingsOf({ role, email, closed }: AccountFilter, by: AccountSort["by"]) {
  const narrowings: Narrowing[] = [];
  if (email !== null)
    narrowings.push({
      where: sql`${byBytes(accounts.email)} ^@ ${email}`,
      index: by === "email" ? "ordered" : "apart",
      first: byBytes(accounts.email),
    });
  if (role !== null) narrowings.push(having(accounts.role, role, "ordered"));
  if (closed !== null)
    narrowings.push({
      where: sql`${isClosed} = ${closed}`,
      index: "ordered",
      having: { column: isClosed, value: closed },
    });
  return narrowings;
}

export async function listAccounts(
  db: Db,
  filter: AccountFilter,
  { by, down }: AccountSort,
  page: KeysetPage,
): Promise<ReadPage<AccountRow>> {
  const order = { id: accounts.id, down, ...(by === "email" && { by: byBytes(accounts.email) }) };
  const narrowings = narrowingsOf(filter, by);
  const { ids, end } = await readPlaces(db, { table: accounts, order, narrowings }, page);
  const rows = await db
    .select(COLUMNS)
    .from(accounts)
    .where(inArray(accounts.id, [...ids]))
    .orderBy(...inOrder(order));
  return { rows, end };
}

export async function loadAccountRow(db: Db, id: string): Promise<AccountRow | undefined> {
  const [row] = await db.select(COLUMNS).from(accounts).where(eq(accounts.id, id));
  return row;
}

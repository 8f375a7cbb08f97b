import { and, asc, eq, isNull, lte } from "drizzle-orm";
import { nextInitialPasswordState, type InitialPassword } from "#core/vms/initial-password.ts";
import type { Db, Tx } from "#db/client.ts";
import { prepared, type Slots } from "#db/prepared.ts";
import { initialPasswords } from "#db/schema/vms.ts";

type Row = typeof initialPasswords.$inferSelect;
const fromRow = ({ vmId, state, sealed, expiresAt }: Row): InitialPassword => ({
  vmId,
  state,
  sealed,
  expiresAt,
});

export async function insertInitialPassword(
  tx: Tx,
  password: { vmId: string; sealed: string; createdAt: Date; expiresAt: Date },
): Promise<void> {
  await tx.insert(initialPasswords).values({ ...password, state: "for_host" });
}

/** Another in the place of one that is gone for good. The caller holds it. */
export async function renewInitialPassword(
  tx: Tx,
  { vmId, ...password }: { vmId: string; sealed: string; createdAt: Date; expiresAt: Date },
): Promise<void> {
  await tx
    .update(initialPasswords)
    .set({ ...password, state: "for_host", endedAt: null })
    .where(eq(initialPasswords.vmId, vmId));
}

/** Loads it and holds it until the transaction ends: of two who would take it, one does. */
export async function lockInitialPassword(
  tx: Tx,
  vmId: string,
): Promise<InitialPassword | undefined> {
  const [row] = await tx
    .select()
    .from(initialPasswords)
    .where(eq(initialPasswords.vmId, vmId))
    .for("update");
  return row && fromRow(row);
}

/** The host needs it no longer: it waits for the customer, until then. */
export async function offerInitialPassword(tx: Tx, vmId: string, expiresAt: Date): Promise<void> {
  await passwordOffered(tx, { vmId, expiresAt });
}

const passwordOffered = prepared(
  "password_offered",
  (db, at: Slots<{ vmId: string; expiresAt: Date }>) =>
    db
      .update(initialPasswords)
      .set({ state: "for_customer", expiresAt: at.expiresAt })
      .where(and(eq(initialPasswords.vmId, at.vmId), eq(initialPasswords.state, "for_host"))),
);

/** Ends it and erases it for good. False when it had ended already, or there is none. The caller holds it. */
export async function eraseInitialPassword(
  tx: Tx,
  password: InitialPassword | undefined,
  command: "take" | "expire" | "withdraw",
  now: Date,
): Promise<boolean> {
  if (password === undefined) return false;
  const state = nextInitialPasswordState(password.state, command);
  if (state === undefined) return false;
  await tx
    .update(initialPasswords)
    .set({ state, sealed: null, endedAt: now })
    .where(eq(initialPasswords.vmId, password.vmId));
  return true;
}

export async function vmsWithPasswordPast(
  db: Db,
  now: Date,
  limit: number,
): Promise<readonly string[]> {
  const rows = await db
    .select({ vmId: initialPasswords.vmId })
    .from(initialPasswords)
    .where(and(isNull(initialPasswords.endedAt), lte(initialPasswords.expiresAt, now)))
    .orderBy(asc(initialPasswords.expiresAt))
    .limit(limit);
  return rows.map((row) => row.vmId);
}

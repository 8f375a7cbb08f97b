import { eq } from "drizzle-orm";
import type { MailRefusal, MailState } from "#core/messages/mail.ts";
import type { Db, Tx } from "#db/client.ts";
import { mails, refusingAddresses } from "#db/schema/messages.ts";

/** What is known of an address that refused mail. */
export type Refused = Readonly<{ kind: MailRefusal; reason: string; notedAt: Date }>;

/** Why nothing more goes to the address; undefined: mail goes there. */
export async function refusalOf(db: Db | Tx, address: string): Promise<Refused | undefined> {
  const [row] = await db
    .select()
    .from(refusingAddresses)
    .where(eq(refusingAddresses.address, address));
  return row;
}

/** Nothing more goes to the address. Of several mails that it refused, the last one says why. */
export async function noteRefusal(
  tx: Tx,
  refused: Refused & Readonly<{ address: string; mailId: string }>,
): Promise<void> {
  const { kind, reason, mailId, notedAt } = refused;
  await tx.insert(refusingAddresses).values(refused).onConflictDoUpdate({
    target: refusingAddresses.address,
    set: { kind, reason, mailId, notedAt },
  });
}

/** Mail goes to the address again. False where it does anyway. */
export async function forgetRefusal(tx: Tx, address: string): Promise<boolean> {
  const gone = await tx
    .delete(refusingAddresses)
    .where(eq(refusingAddresses.address, address))
    .returning({ address: refusingAddresses.address });
  return gone.length > 0;
}

/** A mail, held until the transaction ends; its address is null until its turn has come. */
export async function holdMail(
  tx: Tx,
  id: string,
): Promise<{ state: MailState; address: string | null } | undefined> {
  const [row] = await tx
    .select({ state: mails.state, address: mails.toAddress })
    .from(mails)
    .where(eq(mails.id, id))
    .for("update");
  return row;
}

/** What was said of a mail that had been sent, and what that makes of it. */
export async function noteSaid(
  tx: Tx,
  id: string,
  { state, said }: { state: MailState; said: string },
): Promise<void> {
  await tx.update(mails).set({ state, lastError: said }).where(eq(mails.id, id));
}

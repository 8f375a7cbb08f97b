import type { StaffRole } from "#core/accounts/accounts.ts";
import { LINK_BYTES, LINK_LIVES_MS, linkOf } from "#core/accounts/links.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import { changeStaffRole, ensureStaff } from "#db/accounts/accounts.ts";
import { giveSecret, insertLink } from "#db/accounts/links.ts";
import { recordChange } from "#db/record-change.ts";
import { inTransaction } from "#db/transaction.ts";
import { stamp, type Deps, type Settings } from "#commands/deps.ts";
import { hashOfLink } from "./fill-link-mail.ts";

export type AddStaffDeps = Pick<Deps, "db" | "clock" | "ids" | "secrets"> &
  Readonly<{ settings: Pick<Settings, "publicUrl"> }>;
export type AddedStaff = Readonly<{ accountId: string; link: string; linkEndsAt: Date }>;

/** It is read out, or sent by hand; what is mailed is not waited for. */
const KIND = "reset_password";

/**
 * Makes a member of staff, or gives one another role, and answers a link by which they set their password: good once and for
 * an hour, and the last one that was made is the one that works. The password of whom there is stays until the link is used.
 * An account that is no staff's, or is closed, is refused: one account has one role.
 */
export async function addStaff(
  deps: AddStaffDeps,
  input: { email: string; role: StaffRole },
): Promise<Result<AddedStaff, Refusal<"email_taken">>> {
  const at = stamp(deps);
  const { email, role } = input;
  const secret = deps.secrets.newSecret(LINK_BYTES);
  return inTransaction(deps.db, async (tx): Promise<Result<AddedStaff, Refusal<"email_taken">>> => {
    const asked = { id: at.newId(), email, staffRole: role, now: at.now };
    const account = await ensureStaff(tx, asked);
    const { accountId, staffRole, bannedAt } = account;
    if (staffRole === null)
      return refuse("email_taken", "there is an account with this address that is no staff's");
    if (bannedAt !== null) return refuse("email_taken", "the account with this address is closed");
    if (staffRole !== role) await changeStaffRole(tx, accountId, role, at.now);
    const link = {
      id: at.newId(),
      kind: KIND,
      address: email,
      askedBy: null,
      askedAt: at.now,
    } as const;
    const linkEndsAt = new Date(+at.now + LINK_LIVES_MS[KIND]);
    await insertLink(tx, link);
    await giveSecret(
      tx,
      { ...link, sentAt: null },
      { accountId, secretHash: hashOfLink(secret), endsAt: linkEndsAt, now: at.now },
    );
    await recordChange(
      tx,
      {
        actor: { kind: "system", id: "staff:add" },
        action: "account.add_staff",
        subject: { kind: "account", id: accountId },
        detail: { role, before: accountId === asked.id ? null : staffRole },
        events: [],
      },
      at,
    );
    const { publicUrl } = deps.settings;
    return ok({ accountId, link: linkOf(KIND, { publicUrl, secret }), linkEndsAt });
  });
}

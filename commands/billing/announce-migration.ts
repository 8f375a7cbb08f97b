import { toMoneyView } from "#core/money.ts";
import { currencyFromRow } from "#db/currency-from-row.ts";
import { markTold, untoldVms, type Untold } from "#db/billing/migration-vms.ts";
import { loadMigration, saveMigration, type PlanMigration } from "#db/billing/plan-migrations.ts";
import { loadPlan } from "#db/catalogue/catalogue.ts";
import { insertDueMails, recipientOf, waitingMail } from "#db/messages/mails.ts";
import { stamp, type Deps } from "#commands/deps.ts";
import { sendMail, type Filler } from "#commands/messages/send-mail.ts";

/** So many are read at once, at most: however many VMs a migration has. */
const MOST_AT_ONCE = 100;
/** So many are told of in one mail. */
const MOST_IN_A_MAIL = 200;
const DAY_MS = 24 * 60 * 60_000;

/**
 * Mails owners what will become of their VMs; none of theirs has its turn before so many days later. They count as told in the
 * transaction that ends the mail: one that nobody takes holds their turns up. One worker at a time.
 */
export async function announceMigration(
  deps: Deps,
  { id }: PlanMigration,
  isLate: () => boolean,
): Promise<void> {
  while (!isLate()) {
    const untold = await untoldVms(deps.db, id, { limit: MOST_AT_ONCE });
    let sent = 0;
    for (const accountId of new Set(untold.map((vm) => vm.accountId))) {
      const mailId = await dueMail(deps, id, accountId);
      if ((await sendMail(deps, mailId, MIGRATION_MAIL)) === "sent") sent++;
      if (isLate()) return;
    }
    if (untold.length === 0 || sent === 0) return;
  }
}

/** The mail by which an owner is to be told of what he was not told of yet: the one that waits, or another. */
async function dueMail(deps: Deps, migrationId: string, accountId: string): Promise<string> {
  const { now, newId } = stamp(deps);
  const of = { kind: "plan_migration" as const, about: migrationId, accountId };
  const waiting = await waitingMail(deps.db, of);
  if (waiting !== undefined) return waiting;
  const id = newId();
  await insertDueMails(deps.db, [{ id, cause: id, ...of }], now);
  return id;
}

/** What becomes of an owner's VMs, of which he was not told yet. */
export const MIGRATION_MAIL: Filler = {
  fill: async (deps, { about, accountId }) => {
    const migration = await loadMigration(deps.db, about);
    const recipient = accountId === null ? undefined : await recipientOf(deps.db, accountId);
    if (migration === undefined || accountId === null || recipient === undefined)
      return { drop: "nobody_to_mail" };
    if (migration.state !== "running") return { drop: "migration_not_running" };
    const untold = await untoldVms(deps.db, about, { limit: MOST_IN_A_MAIL, accountId });
    if (untold.length === 0) return { drop: "told_already" };
    const { toPlanId: planId, toVersion: planVersion, announceDays, when } = migration;
    const plan = await loadPlan(deps.db, { planId, planVersion });
    const values = {
      plan: plan.name,
      notBefore: new Date(+deps.clock.now() + announceDays * DAY_MS).toISOString(),
      atRenewal: when === "renewal",
      vms: untold.map((vm) => toldOf(vm, plan.size)),
    };
    const { to, locale } = recipient;
    return { accountId, to, locale, letter: { kind: "plan_migration", values } };
  },
  ended: async (tx, { about }, { isSent, letter, now }) => {
    if (!isSent || letter?.kind !== "plan_migration") return;
    await markTold(
      tx,
      about,
      letter.values.vms.map(({ vmId }) => vmId),
      now,
    );
    await saveMigration(tx, about, { movedAt: now });
  },
};

const toldOf = (vm: Untold, size: { vcpus: number; memoryMib: number }) => ({
  vmId: vm.vmId,
  hostname: vm.hostname,
  from: vm.from,
  to: { vcpus: size.vcpus, memoryMib: size.memoryMib, diskGib: vm.toDiskGib },
  method: vm.method,
  downSeconds: vm.downSeconds,
  difference:
    vm.differenceMinor === null || vm.currency === null
      ? null
      : toMoneyView({ minor: vm.differenceMinor, currency: currencyFromRow(vm.currency) }),
});

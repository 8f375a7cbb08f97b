import { migrationMail } from "#core/billing/migration-mail.ts";
import { currencyFromRow } from "#db/currency-from-row.ts";
import { markTold, untoldVms, type Untold } from "#db/billing/migration-vms.ts";
import { saveMigration, type PlanMigration } from "#db/billing/plan-migrations.ts";
import { loadPlan } from "#db/catalogue/catalogue.ts";
import { inTransaction } from "#db/transaction.ts";
import { stamp, type Deps } from "#commands/deps.ts";

/** So many are read at once, at most: however many VMs a migration has. */
const MOST_AT_ONCE = 100;
const DAY_MS = 24 * 60 * 60_000;

/**
 * Mails owners what will become of their VMs; none of theirs has its turn before so many days later. What crashes between a mail and
 * its note is mailed again.
 */
export async function announceMigration(
  deps: Deps,
  migration: PlanMigration,
  isLate: () => boolean,
): Promise<void> {
  const { id, toPlanId: planId, toVersion: planVersion, announceDays, when } = migration;
  const plan = await loadPlan(deps.db, { planId, planVersion });
  while (!isLate()) {
    const untold = await untoldVms(deps.db, id, MOST_AT_ONCE);
    for (const [email, vms] of Map.groupBy(untold, (vm) => vm.email)) {
      const at = stamp(deps);
      await deps.mail.send(
        migrationMail(email, {
          planName: plan.name,
          notBefore: new Date(+at.now + announceDays * DAY_MS),
          atRenewal: when === "renewal",
          vms: vms.map((vm) => toldOf(vm, plan.size)),
        }),
      );
      await inTransaction(deps.db, async (tx) => {
        const ids = vms.map(({ vmId }) => vmId);
        await markTold(tx, id, ids, at.now);
        await saveMigration(tx, id, { movedAt: at.now });
      });
      if (isLate()) return;
    }
    if (untold.length < MOST_AT_ONCE) return;
  }
}

const toldOf = (vm: Untold, size: { vcpus: number; memoryMib: number }) => ({
  hostname: vm.hostname,
  from: vm.from,
  to: { vcpus: size.vcpus, memoryMib: size.memoryMib, diskGib: vm.toDiskGib },
  method: vm.method,
  downSeconds: vm.downSeconds,
  difference:
    vm.differenceMinor === null || vm.currency === null
      ? null
      : { minor: vm.differenceMinor, currency: currencyFromRow(vm.currency) },
});

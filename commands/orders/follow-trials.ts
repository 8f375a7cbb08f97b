import { policyFor } from "#db/billing/dunning-policies.ts";
import { saveOwnSuspendDays } from "#db/billing/services.ts";
import { bumpDesiredGeneration } from "#db/hosts/hosts.ts";
import { insertDueMails } from "#db/messages/mails.ts";
import { endTrial, markTold, trialsOver, trialsToTell, type OpenTrial } from "#db/orders/trials.ts";
import { recordChange } from "#db/record-change.ts";
import { inTransaction } from "#db/transaction.ts";
import { lockVm } from "#db/vms/vms.ts";
import { stamp, type Deps } from "#commands/deps.ts";

const ACTOR = { kind: "system", id: "follow-trials" } as const;
const AT_ONCE = 100;

/** Tells whose trial ends soon, and closes those that are over. May be repeated: each is told once, and closed once. */
export async function followTrials(
  deps: Deps,
): Promise<{ told: number; paid: number; ended: number }> {
  const count = { told: 0, paid: 0, ended: 0 };
  for (const trial of await trialsToTell(deps.db, deps.clock.now(), AT_ONCE))
    if (await tell(deps, trial)) count.told++;
  for (const { isPaid, ...trial } of await trialsOver(deps.db, AT_ONCE))
    if (await close(deps, trial, isPaid)) count[isPaid ? "paid" : "ended"]++;
  return count;
}

async function tell(deps: Deps, { orderId, accountId }: OpenTrial): Promise<boolean> {
  const at = stamp(deps);
  return inTransaction(deps.db, async (tx) => {
    if (!(await markTold(tx, orderId, at.now))) return false;
    const mail = { kind: "trial_ends", cause: orderId, about: orderId, accountId } as const;
    await insertDueMails(tx, [{ id: at.newId(), ...mail }], at.now);
    return true;
  });
}

/** Whoever has paid for what they tried is trusted from then on as everybody who pays. */
async function close(deps: Deps, { orderId, accountId, vmId }: OpenTrial, isPaid: boolean) {
  const at = stamp(deps);
  return inTransaction(deps.db, async (tx) => {
    const vm = await lockVm(tx, vmId);
    if (!(await endTrial(tx, orderId, isPaid ? "paid" : "ended", at.now))) return false;
    const isThere = vm !== undefined && vm.presence === "present";
    if (isPaid && isThere) {
      const { suspendDays } = await policyFor(tx, accountId);
      await saveOwnSuspendDays(tx, vmId, suspendDays, at.now);
      await bumpDesiredGeneration(tx, vm.hostId);
    }
    await recordChange(
      tx,
      {
        actor: ACTOR,
        action: isPaid ? "trial.paid" : "trial.ended",
        subject: { kind: "order", id: orderId },
        detail: { vm_id: vmId },
        events:
          isPaid && isThere
            ? [{ name: "vm.change_requested.v1", data: { vmId, hostId: vm.hostId } }]
            : [],
      },
      at,
    );
    return true;
  });
}

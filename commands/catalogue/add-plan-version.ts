import { differencesOf } from "#core/catalogue/sold.ts";
import type { AddPlanVersion } from "#core/contracts/api/catalogue.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import { insertPlanVersion, lockPlan } from "#db/catalogue/catalogue.ts";
import { recordChange, type Actor } from "#db/record-change.ts";
import { inTransaction } from "#db/transaction.ts";
import { stamp, type Deps } from "#commands/deps.ts";
import { soldAs, whyUnfit } from "./add-catalogue.ts";

/**
 * Sells a plan as another from now on. Orders and VMs name the version that they are of, so none of them changes; an order
 * that waits to be paid keeps its size and price too. What is on sale already makes no new version.
 */
export async function addPlanVersion(
  deps: Deps,
  by: Actor,
  planId: string,
  wanted: AddPlanVersion,
): Promise<
  Result<{ version: number }, Refusal<"plan_not_found" | "plan_beyond_limits" | "price_off_step">>
> {
  const unfit = whyUnfit(wanted);
  if (unfit) return unfit;
  const at = stamp(deps);
  return inTransaction(deps.db, async (tx) => {
    const newest = await lockPlan(tx, planId);
    if (!newest) return refuse("plan_not_found", "there is no such plan");
    const sold = soldAs(wanted, at.newId);
    if (differencesOf(newest, sold).length === 0) return ok({ version: newest.version });
    const version = newest.version + 1;
    await insertPlanVersion(tx, { ...newest, ...sold, version }, at.now);
    await recordChange(
      tx,
      {
        actor: by,
        action: "plan.change",
        subject: { kind: "plan", id: planId },
        detail: { version },
        events: [],
      },
      at,
    );
    return ok({ version });
  });
}

import { toWireId } from "#core/ids.ts";
import { PLANS } from "./fixture.ts";
import type { Mirror, Row } from "./mirror.ts";
import type { Step } from "./plan.ts";

/** What a resize of the plan asks for, as requests say it. */
export function wantedOf(
  mirror: Mirror,
  vm: Row<"vms">,
  { to, interval, keepDisk }: Pick<Extract<Step, { do: "resize" }>, "to" | "interval" | "keepDisk">,
) {
  const planId = mirror.services.get(vm.id)?.plan_id;
  const is = PLANS.findIndex(({ id }) => id === planId);
  return {
    planId: toWireId("plan", (PLANS[(is + to) % PLANS.length] ?? PLANS[0]).id),
    ...(interval !== null && { billingInterval: interval }),
    keepDisk,
  };
}

import { TRIAL } from "../fixture.ts";
import type { Row } from "../mirror.ts";
import { isLostOrder } from "./lost-hour.ts";
import { first, subscriptionsOf, type MakeCheck, type Scene } from "./scene.ts";

type Order = Row<"orders">;
const SERVED: ReadonlySet<string> = new Set(["paid", "active", "completed"]);
const isTried = (order: Order): boolean => order.trial_policy !== null && SERVED.has(order.state);

/** 2. Nothing is made for nothing but once for each customer and each card, and what is refused is billed by nobody. */
export const triedOnce: MakeCheck = (scene) => ({
  invariant: 2,
  onCommit: () =>
    first(scene.mirror.orders.changed, ({ before, after }) => {
      if (after === null || !isTried(after) || (before !== null && isTried(before)))
        return undefined;
      const card = cardOf(scene, after);
      if (card === undefined) return `order ${after.id} is served on trial, and no card was given`;
      return first(scene.mirror.orders.all(), (other) => {
        if (other.id === after.id || !isTried(other)) return undefined;
        if (other.account_id === after.account_id)
          return `orders ${other.id} and ${after.id} are two trials of one account`;
        return cardOf(scene, other) === card
          ? `orders ${other.id} and ${after.id} are two trials with one card`
          : undefined;
      });
    }),
  atRest: () =>
    first(scene.mirror.orders.all(), (order) => {
      if (order.trial_policy === null || isLostOrder(scene, order.id)) return undefined;
      if (order.state !== "expired" && order.state !== "refunded") return undefined;
      return first(subscriptionsOf(scene, order), ({ id, status }) =>
        status === "canceled"
          ? undefined
          : `order ${order.id} is ${order.state}, and ${id} is ${status}`,
      );
    }),
});

/** With which card its page was completed: what is charged later may be another. */
const cardOf = ({ provider }: Scene, { checkout_id: id }: Order): string | undefined =>
  id === null ? undefined : provider.completedWith.get(id);

/** How many days past what is paid a VM may run: fewer while it was only tried. */
export function suspendDaysOf(scene: Scene, vmId: string): number {
  const order = scene.mirror.orderOf(vmId);
  if (order === undefined || order.trial_policy === null) return USUAL_DAYS;
  const wasPaid = subscriptionsOf(scene, order).some((subscription) =>
    scene.provider.standIn.store
      .all("invoice")
      .some(
        (invoice) =>
          invoice.parent?.subscription_details?.subscription === subscription.id &&
          invoice.amount_paid > 0,
      ),
  );
  return wasPaid ? USUAL_DAYS : TRIAL.suspendDays;
}
/** As the migration wrote the policy that holds for everybody. */
export const USUAL_DAYS = 3;

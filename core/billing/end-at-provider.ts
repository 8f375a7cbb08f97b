import type { SubscriptionState } from "./payments.ts";
import { isOver } from "./entitlement.ts";

/** What we hold of the end of a service. */
type HeldEnd = Readonly<{ endWanted: boolean; endUntold: boolean; cancelAt: Date | null }>;

/**
 * What a look at the provider says of the end of a service that somebody planned there, or took back there; null: what we hold
 * already, or nothing that counts. Our own word that is on its way is settled by its answer. A subscription that is over takes no end
 * back and moves none, and one that was ended at once had none. What its owner protects from deletion is not to be deleted by this.
 */
export function endAtProvider(
  held: HeldEnd,
  { cancelAt, status }: Pick<SubscriptionState, "cancelAt" | "status">,
  { isProtected }: { isProtected: boolean },
): Readonly<{ endWanted: boolean; cancelAt: Date | null }> | null {
  if (held.endUntold) return null;
  if (isOver(status) && (cancelAt === null || held.endWanted)) return null;
  const endWanted = cancelAt !== null;
  if (endWanted && isProtected && !held.endWanted) return null;
  const isHeld = held.endWanted === endWanted && +(held.cancelAt ?? 0) === +(cancelAt ?? 0);
  return isHeld ? null : { endWanted, cancelAt };
}

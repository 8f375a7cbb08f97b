import { addressesDue, addressIsTold, customersWithAddressDue } from "#db/billing/customers.ts";
import type { Deps } from "#commands/deps.ts";

type TellDeps = Pick<Deps, "db" | "clock" | "payments">;

/** Who changes their address while it is told has it told again; so often at most, and then by the sweep. */
const MOST_ROUNDS = 3;

/**
 * Tells the payment provider an account's new e-mail address, for each customer that it has there: receipts go to it. May be
 * repeated, also beside itself: whoever finds that the address was changed while they told one of before tells the new one.
 */
export async function tellAddress(deps: TellDeps, accountId: string): Promise<string> {
  for (let round = 0; round < MOST_ROUNDS; round++) {
    const due = await addressesDue(deps.db, accountId);
    if (due.length === 0) return round === 0 ? "nothing_to_do" : "told";
    for (const { customerId, email, since } of due) {
      await deps.payments.tellEmail(customerId, email);
      await addressIsTold(deps.db, { customerId, since });
    }
  }
  return "put_off";
}

/** Younger ones are on their way through the queue. */
const YOUNG_MS = 60_000;
const AT_ONCE = 20;

/** Tells the addresses whose event was lost, or whose worker died. */
export async function retryAddresses(deps: TellDeps): Promise<{ told: number }> {
  const before = new Date(+deps.clock.now() - YOUNG_MS);
  const accountIds = await customersWithAddressDue(deps.db, before, AT_ONCE);
  for (const accountId of accountIds) await tellAddress(deps, accountId);
  return { told: accountIds.length };
}

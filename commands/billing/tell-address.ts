import {
  addressesDue,
  customersWithAddressDue,
  noteAddressTold,
  putOffAddress,
} from "#db/billing/customers.ts";
import type { Deps } from "#commands/deps.ts";

type TellDeps = Pick<Deps, "db" | "clock" | "payments">;
type RetryDeps = TellDeps & Pick<Deps, "log">;

/**
 * Tells the payment provider an account's new e-mail address, for each customer that it has there: receipts go to it. May be
 * repeated, also beside itself: the last that each worker tells is the address as it is after that.
 */
export async function tellAddress(deps: TellDeps, accountId: string): Promise<string> {
  const due = await addressesDue(deps.db, accountId);
  for (const { customerId, email, since } of due) {
    const told = { accountId, customerId, since };
    let [last, now] = ["", email];
    while (last !== now) {
      last = now;
      await deps.payments.tellEmail(customerId, last);
      now = await noteAddressTold(deps.db, told);
    }
  }
  return due.length === 0 ? "nothing_to_do" : "told";
}

/** Younger ones are on their way through the queue. */
const YOUNG_MS = 60_000;
const AT_ONCE = 20;

/** Tells the addresses whose event was lost, or whose worker died. One that fails waits behind the others. */
export async function retryAddresses(deps: RetryDeps): Promise<{ told: number; failed: number }> {
  const count = { told: 0, failed: 0 };
  const before = new Date(+deps.clock.now() - YOUNG_MS);
  const accountIds = await customersWithAddressDue(deps.db, before, AT_ONCE);
  for (const accountId of accountIds) {
    try {
      await tellAddress(deps, accountId);
      count.told++;
    } catch (error) {
      count.failed++;
      deps.log.error("retry_addresses.failed", { account_id: accountId, error });
      await putOffAddress(deps.db, accountId, deps.clock.now());
    }
  }
  return count;
}

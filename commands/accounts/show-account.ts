import type { AccountPrincipal, Scope, TokenView } from "#core/accounts/accounts.ts";
import type { Money } from "#core/money.ts";
import type { Order } from "#core/orders/order.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import { loadAccountRow, type AccountRow } from "#db/accounts/list-accounts.ts";
import { latestNotesOf, type Note } from "#db/accounts/notes.ts";
import { latestSessionsOf, type SessionRow } from "#db/accounts/sessions.ts";
import { listInvoices, moneyOf, type Invoice } from "#db/billing/invoices.ts";
import { listOrders } from "#db/orders/list-orders.ts";
import { listStaffVmViews, type VmView } from "#db/vms/vms.ts";
import type { Deps } from "#commands/deps.ts";

/** An account with what is its own: of what may be much, the newest. What the caller's scopes do not show is null. */
export type AccountDetails = Readonly<{
  account: AccountRow;
  money: Readonly<{
    sums: readonly { paid: Money; open: Money }[];
    invoices: readonly Invoice[];
  }> | null;
  orders: readonly Order[] | null;
  vms: readonly VmView[] | null;
  sessions: readonly SessionRow[];
  tokens: readonly TokenView[];
  notes: readonly Note[];
}>;

/** How many of each are shown; the lists have the others. */
export const SHOWN = { invoices: 10, orders: 10, vms: 25, sessions: 10, notes: 50 } as const;

export async function showAccount(
  deps: Pick<Deps, "db" | "accounts">,
  who: Pick<AccountPrincipal, "scopes">,
  accountId: string,
): Promise<Result<AccountDetails, Refusal<"account_not_found">>> {
  const { db } = deps;
  const account = await loadAccountRow(db, accountId);
  if (!account) return refuse("account_not_found", "no such account");
  const may = (scope: Scope) => who.scopes.includes(scope);
  const [money, orders, vms, sessions, tokens, notes] = await Promise.all([
    may("billing:read") ? readMoney(db, accountId) : null,
    may("orders:read") ? newestOrders(db, accountId) : null,
    may("vms:read") ? newestVms(db, accountId) : null,
    latestSessionsOf(db, accountId, SHOWN.sessions),
    deps.accounts.listTokens(accountId),
    latestNotesOf(db, accountId, SHOWN.notes),
  ]);
  return ok({ account, money, orders, vms, sessions, tokens, notes });
}

async function newestOrders(db: Deps["db"], accountId: string) {
  const page = { limit: SHOWN.orders, after: null };
  return (await listOrders(db, { accountId, state: null }, true, page)).rows;
}

async function newestVms(db: Deps["db"], accountId: string) {
  const filter = {
    accountId,
    hostId: null,
    locationId: null,
    planId: null,
    presence: "here",
  } as const;
  const page = { limit: SHOWN.vms, after: null };
  return (await listStaffVmViews(db, filter, { by: "createdAt", down: true }, page)).rows;
}

async function readMoney(db: Deps["db"], accountId: string) {
  const [sums, invoices] = await Promise.all([
    moneyOf(db, accountId),
    listInvoices(db, accountId, { limit: SHOWN.invoices, before: null }),
  ]);
  return { sums, invoices };
}

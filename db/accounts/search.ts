import { isNotNull, isNull, sql, type SQL } from "drizzle-orm";
import type { FoundKind, Match, Sought } from "#core/accounts/read-search.ts";
import type { Db } from "#db/client.ts";
import { byBytes } from "#db/keyset.ts";
import { accounts } from "#db/schema/accounts.ts";
import { billingCustomers, invoices, services } from "#db/schema/billing.ts";
import { isRetired } from "#db/hosts/in-state.ts";
import { hosts } from "#db/schema/hosts.ts";
import { ipLeases } from "#db/schema/network.ts";
import { orders } from "#db/schema/orders.ts";
import { vms } from "#db/schema/vms.ts";

export type Found = Readonly<{
  kind: FoundKind;
  id: string;
  /** What people call it. */
  title: string;
  matched: Match;
  /** Whose it is; null: nobody's. */
  accountId: string | null;
  /** A VM that was deleted, an account that is closed, a host that is retired. */
  gone: boolean;
}>;

/** What a row of each kind is, with its condition and what it is ordered by: an index of that table, read from its beginning. */
const ROWS = {
  account: (matched: Match, where: SQL, by: SQL) =>
    sql`(select 'account' as kind, ${accounts.id} as id, ${accounts.email} as title, ${matched}::text as matched,
      ${accounts.id} as account_id, ${accounts.bannedAt} is not null as gone from ${accounts} where ${where} order by ${by}`,
  vm: (matched: Match, where: SQL, by: SQL) =>
    sql`(select 'vm' as kind, ${vms.id} as id, ${vms.hostname} as title, ${matched}::text as matched,
      ${vms.accountId} as account_id, ${vms.deletedAt} is not null as gone from ${vms} where ${where} order by ${by}`,
  order: (matched: Match, where: SQL, by: SQL) =>
    sql`(select 'order' as kind, ${orders.id} as id, ${orders.hostname} as title, ${matched}::text as matched,
      ${orders.accountId} as account_id, false as gone from ${orders} where ${where} order by ${by}`,
  invoice: (matched: Match, where: SQL, by: SQL) =>
    sql`(select 'invoice' as kind, ${invoices.id} as id, coalesce(${invoices.number}, ${invoices.providerId}) as title,
      ${matched}::text as matched, ${invoices.accountId} as account_id, false as gone
      from ${invoices} where ${where} order by ${by}`,
  host: (matched: Match, where: SQL, by: SQL) =>
    sql`(select 'host' as kind, ${hosts.id} as id, ${hosts.name} as title, ${matched}::text as matched,
      null::uuid as account_id, ${isRetired} as gone from ${hosts} where ${where} order by ${by}`,
} satisfies Record<FoundKind, (matched: Match, where: SQL, by: SQL) => SQL>;

const IDS = {
  account: accounts.id,
  vm: vms.id,
  order: orders.id,
  invoice: invoices.id,
  host: hosts.id,
} as const;

type Probe = Readonly<{ kind: FoundKind; matched: Match; where: SQL; by: SQL }>;

const exactly = (kind: FoundKind, matched: Match, where: SQL): Probe => ({
  kind,
  matched,
  where,
  by: sql`${IDS[kind]}`,
});
/** No character means anything but itself to `^@`, which an index in the order of bytes answers. */
const beginning = (kind: FoundKind, matched: Match, name: SQL, text: string): Probe => ({
  kind,
  matched,
  where: sql`${name} ^@ ${text}`,
  by: sql`${name}, ${IDS[kind]}`,
});

function probesOf(sought: Sought, kinds: readonly FoundKind[]): readonly Probe[] {
  switch (sought.by) {
    case "id":
      return kinds
        .filter((kind) => sought.of === null || sought.of === kind)
        .map((kind) => exactly(kind, "id", sql`${IDS[kind]} = ${sought.id}::uuid`));
    case "address":
      return [
        exactly(
          "vm",
          "address",
          sql`${vms.id} in (select ${ipLeases.vmId} from ${ipLeases}
            where ${ipLeases.address} = ${sought.address}::inet and ${ipLeases.releasedAt} is null)`,
        ),
      ];
    case "stripe":
      return [
        exactly("order", "stripe_id", sql`${orders.checkoutId} = ${sought.id}`),
        exactly("invoice", "stripe_id", sql`${invoices.providerId} = ${sought.id}`),
        exactly(
          "vm",
          "stripe_id",
          sql`${vms.id} in (select ${services.vmId} from ${services}
            where ${services.subscriptionId} = ${sought.id})`,
        ),
        exactly(
          "account",
          "stripe_id",
          sql`${accounts.id} in (select ${billingCustomers.accountId} from ${billingCustomers}
            where ${billingCustomers.customerId} = ${sought.id})`,
        ),
      ];
    case "beginning":
      return [
        // As its indexes have them; those that are here before those that are gone.
        ...[isNull(vms.deletedAt), isNotNull(vms.deletedAt)].map((part): Probe => {
          const names = beginning("vm", "hostname", byBytes(vms.hostname), sought.text);
          return { ...names, where: sql`${part} and ${names.where}` };
        }),
        {
          ...beginning("vm", "label", byBytes(sql`lower(${vms.label})`), sought.text),
          where: sql`${vms.label} is not null and lower(${vms.label}) collate "C" ^@ ${sought.text}`,
        },
        beginning("account", "email", byBytes(accounts.email), sought.text),
        beginning("account", "name", byBytes(sql`lower(${accounts.name})`), sought.text),
        beginning("host", "name", byBytes(hosts.name), sought.text),
        beginning("invoice", "number", byBytes(sql`lower(${invoices.number})`), sought.text),
      ];
  }
}

/**
 * What is found of these kinds, `limit` at the most by each way to find it, in one statement: each of its parts reads so many
 * rows of an index from one place on, however many there are.
 */
export async function search(
  db: Db,
  sought: readonly Sought[],
  kinds: readonly FoundKind[],
  limit: number,
): Promise<readonly Found[]> {
  const parts = sought
    .flatMap((one) => probesOf(one, kinds))
    .filter(({ kind }) => kinds.includes(kind))
    .map(({ kind, matched, where, by }) => sql`${ROWS[kind](matched, where, by)} limit ${limit})`);
  if (parts.length === 0) return [];
  return db
    .select({
      kind: sql<FoundKind>`found.kind`,
      id: sql<string>`found.id`,
      title: sql<string>`found.title`,
      matched: sql<Match>`found.matched`,
      accountId: sql<string | null>`found.account_id`,
      gone: sql<boolean>`found.gone`,
    })
    .from(sql`(${sql.join(parts, sql` union all `)}) as found`);
}

import { z } from "zod";
import { ROWS, type Row, type Tables } from "./mirrored-rows.ts";
import type { SimPostgres } from "./postgres.ts";

export type { Row } from "./mirrored-rows.ts";

/** One table: its rows, and what the last commit did to them. */
export class TableMirror<R> {
  readonly rows = new Map<string, R>();
  changed: Readonly<{ before: R | null; after: R | null }>[] = [];
  readonly #schema: z.ZodType<R>;
  readonly #key: readonly string[];
  readonly #keepsRemoved: boolean;

  /** `keepsRemoved`: rows that went for their age still count in sums. */
  constructor(schema: z.ZodType<R>, key: readonly string[] = ["id"], keepsRemoved = false) {
    this.#schema = schema;
    this.#key = key;
    this.#keepsRemoved = keepsRemoved;
  }

  all(): R[] {
    return [...this.rows.values()];
  }
  get(key: string): R | undefined {
    return this.rows.get(key);
  }

  /** Follows a change of one row, given as it is now, or as it was when it went. */
  follow(record: unknown, gone: boolean): void {
    const row = this.#schema.parse(record);
    const named = Raw.parse(record);
    const key = this.#key.map((column) => String(named[column])).join("/");
    const before = this.rows.get(key) ?? null;
    this.changed.push({ before, after: gone ? null : row });
    if (!gone) this.rows.set(key, row);
    else if (!this.#keepsRemoved) this.rows.delete(key);
  }

  /** Keeps its rows as they are. @returns what brings it back to them. */
  backUp(): () => void {
    const kept = new Map(this.rows);
    return () => {
      this.changed = [];
      this.rows.clear();
      for (const [key, row] of kept) this.rows.set(key, row);
    };
  }
}
const Raw = z.record(z.string(), z.unknown());

/** The database as the checks see it: brought up to date by what each commit changed, so that a look costs nothing. */
export class Mirror {
  readonly orders = new TableMirror(ROWS.orders);
  readonly vms = new TableMirror(ROWS.vms);
  /** Those that came in the run: the first ones are the fixture's. */
  readonly planVersions = new TableMirror(ROWS.plan_versions, ["plan_id", "version"]);
  readonly planPrices = new TableMirror(ROWS.plan_prices);
  readonly resizeQuotes = new TableMirror(ROWS.resize_quotes);
  readonly planChanges = new TableMirror(ROWS.plan_changes);
  readonly moves = new TableMirror(ROWS.moves);
  readonly drains = new TableMirror(ROWS.drains);
  readonly drainVms = new TableMirror(ROWS.drain_vms, ["drain_id", "vm_id"]);
  readonly planMigrations = new TableMirror(ROWS.plan_migrations);
  readonly migrationVms = new TableMirror(ROWS.plan_migration_vms, ["migration_id", "vm_id"]);
  readonly windows = new TableMirror(ROWS.maintenance_windows);
  readonly notices = new TableMirror(ROWS.maintenance_notices);
  readonly mails = new TableMirror(ROWS.mails);
  readonly hosts = new TableMirror(ROWS.hosts);
  readonly reservations = new TableMirror(ROWS.reservations);
  readonly services = new TableMirror(ROWS.services, ["vm_id"]);
  readonly dunnings = new TableMirror(ROWS.dunnings);
  readonly losses = new TableMirror(ROWS.losses);
  readonly giveBacks = new TableMirror(ROWS.give_backs);
  readonly actions = new TableMirror(ROWS.actions);
  readonly leases = new TableMirror(ROWS.ip_leases);
  readonly ledgerTransactions = new TableMirror(ROWS.ledger_transactions);
  readonly ledgerEntries = new TableMirror(ROWS.ledger_entries);
  readonly audit = new TableMirror(ROWS.audit_log);
  readonly outbox = new TableMirror(ROWS.outbox);
  readonly inbox = new TableMirror(ROWS.inbox, ["message_id"]);
  readonly keys = new TableMirror(ROWS.idempotency_keys, ["account_id", "key"]);
  readonly invoices = new TableMirror(ROWS.invoices);
  readonly samples = new TableMirror(ROWS.usage_samples, ["vm_id", "boot_epoch", "seq"], true);
  readonly unknownVms = new TableMirror(ROWS.unknown_vms, ["vm_id"]);
  readonly findings = new TableMirror(ROWS.findings);
  readonly hours = new TableMirror(ROWS.usage_hours, ["vm_id", "hour"]);
  readonly #tables = {
    orders: this.orders,
    vms: this.vms,
    plan_versions: this.planVersions,
    plan_prices: this.planPrices,
    resize_quotes: this.resizeQuotes,
    plan_changes: this.planChanges,
    moves: this.moves,
    drains: this.drains,
    drain_vms: this.drainVms,
    plan_migrations: this.planMigrations,
    plan_migration_vms: this.migrationVms,
    maintenance_windows: this.windows,
    maintenance_notices: this.notices,
    mails: this.mails,
    hosts: this.hosts,
    reservations: this.reservations,
    services: this.services,
    dunnings: this.dunnings,
    losses: this.losses,
    give_backs: this.giveBacks,
    actions: this.actions,
    ip_leases: this.leases,
    ledger_transactions: this.ledgerTransactions,
    ledger_entries: this.ledgerEntries,
    audit_log: this.audit,
    outbox: this.outbox,
    inbox: this.inbox,
    idempotency_keys: this.keys,
    invoices: this.invoices,
    usage_samples: this.samples,
    unknown_vms: this.unknownVms,
    findings: this.findings,
    usage_hours: this.hours,
  } satisfies Record<keyof Tables, unknown>;
  readonly #postgres: SimPostgres;
  #seen = 0;

  constructor(postgres: SimPostgres) {
    this.#postgres = postgres;
  }

  /** The order that led to the VM, or may yet. */
  orderOf(vmId: string): Row<"orders"> | undefined {
    return this.orders.all().find((order) => order.vm_id === vmId);
  }

  /** What was offered, of a change. */
  offerOf(change: Row<"plan_changes">) {
    const quote = this.resizeQuotes.get(change.quote_id);
    if (quote === undefined) throw new Error(`change ${change.id} has no quote`);
    return { ...quote.offered, order: quote.order, appliesAt: quote.applies_at };
  }

  /** What brings all tables back to what they hold now. */
  backUp(): () => void {
    const back = Object.values(this.#tables).map((table) => table.backUp());
    return () => {
      for (const each of back) each();
    };
  }

  /** Reads what was committed since the last call, table by table. */
  catchUp(): void {
    for (const table of Object.values(this.#tables)) table.changed = [];
    const rows = this.#postgres.changesSince(this.#seen);
    for (const [seq, name, gone, record] of rows) {
      this.#seen = Number(seq);
      if (isTable(name)) this.#tables[name].follow(JSON.parse(record ?? "null"), gone === "t");
    }
  }
}

/** The tables that it follows. */
export const MIRRORED: readonly string[] = Object.keys(ROWS);
const isTable = (name: string | null | undefined): name is keyof Tables =>
  name !== null && name !== undefined && name in ROWS;

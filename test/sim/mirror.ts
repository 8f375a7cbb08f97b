import { z } from "zod";
import type { SimPostgres } from "./postgres.ts";

/** `to_jsonb` writes instants as ISO 8601 with an offset. */
const at = z.string().transform((text) => Date.parse(text));
const maybeAt = at.nullable();
const big = z.union([z.number(), z.string()]).transform(BigInt);

/** A side of a quote, as it is stored. */
const bought = z.object({
  planId: z.string(),
  planVersion: z.number(),
  price: z
    .object({ interval: z.string(), amount: z.object({ minor: z.string().transform(Number) }) })
    .nullable(),
  machine: z.object({
    vcpus: z.number(),
    memoryMib: z.number(),
    diskGib: z.number(),
    bandwidthMbit: z.number().nullable(),
    diskIops: z.number().nullable(),
  }),
});

/** The tables that the invariants speak of, by the columns that they speak of. */
const ROWS = {
  orders: z.object({
    id: z.string(),
    account_id: z.string(),
    vm_id: z.string(),
    state: z.string(),
    plan_id: z.string(),
    plan_version: z.number(),
    image_id: z.string(),
    hostname: z.string(),
    total_minor: z.number(),
    checkout_id: z.string().nullable(),
    expires_at: at,
    paid_at: maybeAt,
  }),
  vms: z.object({
    id: z.string(),
    account_id: z.string(),
    host_id: z.string(),
    presence: z.enum(["present", "absent"]),
    desired_power: z.string(),
    generation: z.number(),
    owner_epoch: z.number(),
    observed_generation: z.number(),
    observed_power: z.string().nullable(),
    first_seen_at: maybeAt,
    first_running_at: maybeAt,
    lost_at: maybeAt,
    guest_ready_at: maybeAt,
    boot_epoch: z.string().nullable(),
    created_at: at,
    deleted_at: maybeAt,
    vcpus: z.number(),
    memory_mib: z.number(),
    disk_gib: z.number(),
    bandwidth_mbit: z.number().nullable(),
    disk_iops: z.number().nullable(),
  }),
  plan_versions: z.object({
    plan_id: z.string(),
    version: z.number(),
    vcpus: z.number(),
    memory_mib: z.number(),
    disk_gib: z.number(),
    bandwidth_mbit: z.number().nullable(),
    disk_iops: z.number().nullable(),
  }),
  plan_prices: z.object({
    id: z.string(),
    plan_id: z.string(),
    plan_version: z.number(),
    interval: z.string(),
  }),
  resize_quotes: z.object({
    id: z.string(),
    applies_at: at,
    order: z.enum(["pay_first", "machine_first"]),
    offered: z.object({
      from: bought,
      to: bought,
      lines: z.array(z.object({ amount: z.object({ minor: big }) })),
    }),
  }),
  plan_changes: z.object({
    id: z.string(),
    vm_id: z.string(),
    quote_id: z.string(),
    action_id: z.string(),
    money: z.string(),
    machine: z.string(),
    turned_back: z.string().nullable(),
    outcome: z.enum(["committed", "reverted"]).nullable(),
    reserved_at: maybeAt,
    priced_at: maybeAt,
  }),
  moves: z.object({
    id: z.string(),
    vm_id: z.string(),
    source_host_id: z.string(),
    destination_host_id: z.string(),
    step: z.string(),
    outcome: z.string().nullable(),
    source_epoch: z.number(),
    epoch: z.number(),
    sent_sha256: z.string().nullable(),
    failure_code: z.string().nullable(),
    created_at: at,
    released_at: maybeAt,
    taken_over_at: maybeAt,
    ended_at: maybeAt,
  }),
  hosts: z.object({
    id: z.string(),
    desired_generation: z.number(),
    capacity_vcpus: z.number(),
    capacity_memory_mib: z.number(),
    capacity_disk_gib: z.number(),
    capacity_vms: z.number(),
    allocated_vcpus: z.number(),
    allocated_memory_mib: z.number(),
    allocated_disk_gib: z.number(),
    allocated_vms: z.number(),
  }),
  reservations: z.object({
    id: z.string(),
    vm_id: z.string(),
    host_id: z.string(),
    vcpus: z.number(),
    memory_mib: z.number(),
    disk_gib: z.number(),
    by_move: z.boolean(),
    released_at: maybeAt,
  }),
  services: z.object({
    vm_id: z.string(),
    plan_id: z.string(),
    plan_version: z.number(),
    payer: z.string(),
    interval: z.string().nullable(),
    amount_minor: z.number().nullable(),
    subscription_id: z.string().nullable(),
    subscription_status: z.string().nullable(),
    entitled_until: at,
    suspensions: z.array(z.string()),
  }),
  losses: z.object({
    id: z.string(),
    vm_id: z.string(),
    order_id: z.string(),
    since: at,
    until: maybeAt,
    settled_at: maybeAt,
  }),
  give_backs: z.object({
    id: z.string(),
    vm_id: z.string(),
    invoice_id: z.string(),
    from: at,
    until: at,
    amount_minor: big,
    made_at: maybeAt,
  }),
  actions: z.object({
    id: z.string(),
    vm_id: z.string(),
    type: z.string(),
    status: z.string(),
    error_code: z.string().nullable(),
    started_at: at,
  }),
  ip_leases: z.object({
    id: z.string(),
    address: z.string(),
    vm_id: z.string(),
    during: z.string(),
    released_at: maybeAt,
  }),
  ledger_transactions: z.object({
    id: z.string(),
    kind: z.string(),
    reference: z.string(),
    order_id: z.string(),
  }),
  ledger_entries: z.object({
    id: z.string(),
    transaction_id: z.string(),
    account: z.string(),
    amount_minor: big,
    currency: z.string(),
  }),
  audit_log: z.object({
    id: z.string(),
    subject_id: z.string(),
    action: z.string(),
    actor_kind: z.string(),
    actor_id: z.string(),
  }),
  outbox: z.object({
    id: z.string(),
    name: z.string(),
    data: z.record(z.string(), z.unknown()),
    created_at: at,
    sent_at: maybeAt,
    leased_until: maybeAt,
  }),
  inbox: z.object({ message_id: z.string(), applied_at: maybeAt }),
  idempotency_keys: z.object({
    account_id: z.string(),
    key: z.string(),
    request_hash: z.string(),
    resource_id: z.string(),
    created_at: at,
  }),
  invoices: z.object({
    id: z.string(),
    order_id: z.string(),
    provider_id: z.string(),
    status: z.string(),
    paid_minor: z.number(),
  }),
  usage_samples: z.object({
    vm_id: z.string(),
    boot_epoch: z.string(),
    seq: z.number(),
    from_at: at,
    to_at: at,
    received_at: at,
    cpu_ns: big,
    rx_bytes: big,
    tx_bytes: big,
    read_bytes: big,
    write_bytes: big,
    bounded: z.boolean(),
  }),
  unknown_vms: z.object({ vm_id: z.string(), host_id: z.string() }),
  findings: z.object({
    id: z.string(),
    kind: z.string(),
    subject: z.string(),
    ended_at: maybeAt,
  }),
  usage_hours: z.object({
    vm_id: z.string(),
    hour: at,
    cpu_ns: big,
    rx_bytes: big,
    tx_bytes: big,
    read_bytes: big,
    write_bytes: big,
  }),
} as const;
type Tables = typeof ROWS;
export type Row<T extends keyof Tables> = z.output<Tables[T]>;

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
  readonly hosts = new TableMirror(ROWS.hosts);
  readonly reservations = new TableMirror(ROWS.reservations);
  readonly services = new TableMirror(ROWS.services, ["vm_id"]);
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
    hosts: this.hosts,
    reservations: this.reservations,
    services: this.services,
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

import { sql } from "drizzle-orm";
import {
  bigint,
  boolean,
  check,
  index,
  integer,
  pgEnum,
  pgTable,
  primaryKey,
  text,
  uniqueIndex,
  uuid,
} from "drizzle-orm/pg-core";
import {
  DRAIN_METHODS,
  DRAIN_OUTCOMES,
  DRAIN_REASONS,
  DRAIN_VM_STATES,
} from "#core/moves/drain.ts";
import { MOVE_FAILURES, MOVE_METHODS, MOVE_OUTCOMES, MOVE_STEPS } from "#core/moves/move.ts";
import { DISK_FORMATS } from "#core/vms/disk-format.ts";
import { accounts } from "./accounts.ts";
import { instant } from "./columns.ts";
import { hosts, maintenanceWindows } from "./hosts.ts";
import { actions, vms } from "./vms.ts";

export const moveMethod = pgEnum("move_method", MOVE_METHODS);
export const moveStep = pgEnum("move_step", MOVE_STEPS);
export const moveOutcome = pgEnum("move_outcome", MOVE_OUTCOMES);
export const moveFailure = pgEnum("move_failure", MOVE_FAILURES);
export const diskFormat = pgEnum("disk_format", DISK_FORMATS);

/**
 * A VM's way from one host to another (`core/moves/move.ts`). Rows are for good: those that have released say who owned a VM until
 * when, and no epoch of them is drawn again. Whoever changes one holds its VM's row.
 */
export const moves = pgTable(
  "moves",
  {
    id: uuid("id").primaryKey(),
    vmId: uuid("vm_id")
      .notNull()
      .references(() => vms.id),
    actionId: uuid("action_id")
      .notNull()
      .references(() => actions.id),
    sourceHostId: uuid("source_host_id")
      .notNull()
      .references(() => hosts.id),
    destinationHostId: uuid("destination_host_id")
      .notNull()
      .references(() => hosts.id),
    method: moveMethod("method").notNull(),
    step: moveStep("step").notNull().default("prepare"),
    outcome: moveOutcome("outcome"),
    sourceEpoch: integer("source_epoch").notNull(),
    epoch: integer("epoch").notNull(),
    generation: integer("generation"),
    /** What the two ends prove themselves to each other with, sealed; null once it has ended. */
    sealedKey: text("sealed_key"),
    address: text("address").notNull(),
    port: integer("port").notNull(),
    mbitPerSecond: integer("mbit_per_second"),
    format: diskFormat("format").notNull(),
    virtualBytes: bigint("virtual_bytes", { mode: "bigint" }),
    exportBytes: bigint("export_bytes", { mode: "bigint" }),
    baseFile: text("base_file"),
    baseSha256: text("base_sha256"),
    isDestinationReady: boolean("is_destination_ready").notNull().default(false),
    sentSha256: text("sent_sha256"),
    receivedSha256: text("received_sha256"),
    hasLeft: boolean("has_left").notNull().default(false),
    hasArrived: boolean("has_arrived").notNull().default(false),
    copiedBytes: bigint("copied_bytes", { mode: "bigint" })
      .notNull()
      .default(sql`0`),
    failureCode: moveFailure("failure_code"),
    failureDetail: text("failure_detail"),
    createdAt: instant("created_at").notNull(),
    preparedAt: instant("prepared_at"),
    copiedAt: instant("copied_at"),
    stepAt: instant("step_at").notNull(),
    heardAt: instant("heard_at").notNull(),
    stoppedAt: instant("stopped_at"),
    releasedAt: instant("released_at"),
    takenOverAt: instant("taken_over_at"),
    turnedBackAt: instant("turned_back_at"),
    heldAt: instant("held_at"),
    pauseMs: integer("pause_ms"),
    endedAt: instant("ended_at"),
    /** When the sweep looks at it next; null: it waits for a host's word alone. */
    dueAt: instant("due_at"),
  },
  (t) => [
    uniqueIndex("moves_action_key").on(t.actionId),
    uniqueIndex("moves_epoch_key").on(t.vmId, t.epoch),
    uniqueIndex("moves_one_open_key")
      .on(t.vmId)
      .where(sql`${t.outcome} is null`),
    index("moves_from_open_idx")
      .on(t.sourceHostId)
      .where(sql`${t.outcome} is null`),
    index("moves_to_open_idx")
      .on(t.destinationHostId)
      .where(sql`${t.outcome} is null`),
    // Who owned a VM before: what its host measured until then counts, however late it comes.
    index("moves_owned_idx")
      .on(t.sourceHostId, t.vmId)
      .where(sql`${t.releasedAt} is not null`),
    index("moves_due_idx")
      .on(t.dueAt)
      .where(sql`${t.outcome} is null`),
    index("moves_vm_idx").on(t.vmId, t.id),
    // Staff's list, in its order: of a host, which is at either end, and those that are open.
    index("moves_from_idx").on(t.sourceHostId, t.id),
    index("moves_to_idx").on(t.destinationHostId, t.id),
    index("moves_open_idx")
      .on(t.id)
      .where(sql`${t.outcome} is null`),
    check("moves_between_two", sql`${t.sourceHostId} <> ${t.destinationHostId}`),
    check("moves_epoch_is_new", sql`${t.epoch} > ${t.sourceEpoch}`),
    // As text: a migration may not use a value that it adds.
    check(
      "moves_ended_whole",
      sql`(${t.step}::text = 'ended') = (${t.outcome} is not null)
        and (${t.outcome} is null) = (${t.endedAt} is null) and (${t.outcome} is null) = (${t.sealedKey} is not null)`,
    ),
    check(
      "moves_released_whole",
      sql`(${t.releasedAt} is null) = (${t.generation} is null)
        and (${t.step}::text not in ('take_over', 'clean') or ${t.releasedAt} is not null)
        and (${t.step}::text not in ('prepare', 'copy', 'release', 'hold', 'drop') or ${t.releasedAt} is null)
        and (${t.outcome}::text is distinct from 'moved' or ${t.releasedAt} is not null)
        and (${t.outcome}::text is distinct from 'turned_back' or ${t.releasedAt} is null)`,
    ),
    check(
      "moves_turned_back_says_why",
      sql`(${t.failureCode} is null) = (${t.failureDetail} is null)
        and (${t.step}::text not in ('hold', 'drop') or ${t.failureCode} is not null)`,
    ),
    check(
      "moves_disk_whole",
      sql`num_nonnulls(${t.virtualBytes}, ${t.exportBytes}) in (0, 2) and num_nonnulls(${t.baseFile}, ${t.baseSha256}) in (0, 2)`,
    ),
  ],
);

export const drainMethod = pgEnum("drain_method", DRAIN_METHODS);
export const drainOutcome = pgEnum("drain_outcome", DRAIN_OUTCOMES);
export const drainVmState = pgEnum("drain_vm_state", DRAIN_VM_STATES);
export const drainReason = pgEnum("drain_reason", DRAIN_REASONS);

/** A host that is emptied, or was (`core/moves/drain.ts`). Whoever changes its VMs' rows holds it. */
export const drains = pgTable(
  "drains",
  {
    id: uuid("id").primaryKey(),
    hostId: uuid("host_id")
      .notNull()
      .references(() => hosts.id),
    askedBy: uuid("asked_by")
      .notNull()
      .references(() => accounts.id),
    reason: text("reason").notNull(),
    method: drainMethod("method").notNull(),
    maxParallel: integer("max_parallel").notNull(),
    /** In which running VMs are stopped to be moved; null: whenever their turn comes. */
    windowId: uuid("window_id").references(() => maintenanceWindows.id),
    startedAt: instant("started_at").notNull(),
    endedAt: instant("ended_at"),
    outcome: drainOutcome("outcome"),
  },
  (t) => [
    uniqueIndex("drains_one_open_key")
      .on(t.hostId)
      .where(sql`${t.outcome} is null`),
    index("drains_host_idx").on(t.hostId, t.id),
    check("drains_reason_length", sql`length(${t.reason}) between 1 and 1000`),
    check("drains_have_a_pace", sql`${t.maxParallel} > 0`),
    check("drains_ended_has_instant", sql`(${t.outcome} is null) = (${t.endedAt} is null)`),
  ],
);

/** Each VM that is or was on a host while it is emptied, at most once of each drain: what became of it. */
export const drainVms = pgTable(
  "drain_vms",
  {
    drainId: uuid("drain_id")
      .notNull()
      .references(() => drains.id),
    vmId: uuid("vm_id")
      .notNull()
      .references(() => vms.id),
    state: drainVmState("state").notNull().default("waiting"),
    /** Why it waits still, or stays; null: it is its turn, or nothing stood against it. */
    reason: drainReason("reason"),
    detail: text("detail"),
    moveId: uuid("move_id").references(() => moves.id),
    /** So often it was put off. */
    tries: integer("tries").notNull().default(0),
    /** Its turn comes no sooner. */
    dueAt: instant("due_at").notNull(),
    endedAt: instant("ended_at"),
  },
  (t) => [
    primaryKey({ name: "drain_vms_pkey", columns: [t.drainId, t.vmId] }),
    uniqueIndex("drain_vms_move_key").on(t.moveId),
    index("drain_vms_open_idx")
      .on(t.drainId, t.dueAt)
      .where(sql`${t.state} in ('waiting', 'moving')`),
    check("drain_vms_reason_is_whole", sql`(${t.reason} is null) = (${t.detail} is null)`),
    check("drain_vms_who_stays_has_reason", sql`${t.state} <> 'stays' or ${t.reason} is not null`),
    check(
      "drain_vms_who_moves_has_move",
      sql`(${t.state} not in ('moving', 'moved') or ${t.moveId} is not null)
        and (${t.state} not in ('waiting', 'left_out') or ${t.moveId} is null)`,
    ),
    check("drain_vms_tries", sql`${t.tries} >= 0`),
    check(
      "drain_vms_ended_has_instant",
      sql`(${t.state} in ('waiting', 'moving')) = (${t.endedAt} is null)`,
    ),
  ],
);

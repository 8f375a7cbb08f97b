import { sql } from "drizzle-orm";
import {
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
import { accounts } from "./accounts.ts";
import { instant } from "./columns.ts";
import { hosts } from "./hosts.ts";
import { moves } from "./moves.ts";
import { vms } from "./vms.ts";

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

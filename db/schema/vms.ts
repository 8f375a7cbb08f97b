import { sql } from "drizzle-orm";
import {
  bigint,
  boolean,
  check,
  index,
  integer,
  pgEnum,
  pgTable,
  text,
  uniqueIndex,
  uuid,
} from "drizzle-orm/pg-core";
import { ACTION_ERROR_CODES, ACTION_STATUSES, ACTION_TYPES } from "#core/vms/action.ts";
import { DESTROY_ENDS, DESTROY_KINDS } from "#core/vms/destroy-request.ts";
import { INITIAL_PASSWORD_STATES } from "#core/vms/initial-password.ts";
import { DESIRED_POWER, OBSERVED_POWER, PRESENCE, STOP_MODES } from "#core/vms/vm.ts";
import { accounts } from "./accounts.ts";
import { images, locations } from "./catalogue.ts";
import { instant } from "./columns.ts";
import { hosts } from "./hosts.ts";

export const presence = pgEnum("vm_presence", PRESENCE);
export const desiredPower = pgEnum("vm_desired_power", DESIRED_POWER);
export const observedPower = pgEnum("vm_observed_power", OBSERVED_POWER);
export const stopMode = pgEnum("vm_stop_mode", STOP_MODES);
export const actionType = pgEnum("action_type", ACTION_TYPES);
export const actionStatus = pgEnum("action_status", ACTION_STATUSES);
export const initialPasswordState = pgEnum("initial_password_state", INITIAL_PASSWORD_STATES);
export const actionErrorCode = pgEnum("action_error_code", ACTION_ERROR_CODES);

/** Desired columns are written by the control plane, observed ones only by reports (style §10). */
export const vms = pgTable(
  "vms",
  {
    /** Also that of what was bought of it. */
    id: uuid("id").primaryKey(),
    accountId: uuid("account_id")
      .notNull()
      .references(() => accounts.id),
    hostId: uuid("host_id")
      .notNull()
      .references(() => hosts.id),
    imageId: uuid("image_id")
      .notNull()
      .references(() => images.id),
    locationId: uuid("location_id")
      .notNull()
      .references(() => locations.id),
    hostname: text("hostname").notNull(),
    sshKeys: text("ssh_keys").array().notNull(),
    userData: text("user_data"),
    /** Its order asked for root's first password. */
    rootPassword: boolean("root_password").notNull().default(false),
    /** What its owner calls it. Nothing follows from it: not even its host hears of it. */
    label: text("label"),
    /** Its owner wants it deleted by nobody: what would destroy it is refused until this is taken off. */
    deleteProtected: boolean("delete_protected").notNull().default(false),
    createdAt: instant("created_at").notNull(),

    presence: presence("presence").notNull(),
    desiredPower: desiredPower("desired_power").notNull(),
    stopMode: stopMode("stop_mode").notNull(),
    vcpus: integer("vcpus").notNull(),
    memoryMib: integer("memory_mib").notNull(),
    diskGib: integer("disk_gib").notNull(),
    /** null: no limit. */
    bandwidthMbit: integer("bandwidth_mbit"),
    diskIops: integer("disk_iops"),
    generation: integer("generation").notNull(),
    ownerEpoch: integer("owner_epoch").notNull(),

    /** null: never seen, or not sure. */
    observedPower: observedPower("observed_power"),
    observedGeneration: integer("observed_generation").notNull().default(0),
    observedAt: instant("observed_at"),
    /** When its host first showed it whole, in this owner epoch. */
    firstSeenAt: instant("first_seen_at"),
    runningSince: instant("running_since"),
    /** Over all its boots: when it was first seen running, and for how long in those before the present one. */
    firstRunningAt: instant("first_running_at"),
    ranMs: bigint("ran_ms", { mode: "number" }).notNull().default(0),
    guestReadyAt: instant("guest_ready_at"),
    /** When it was delivered though its guest had said nothing. */
    silentFrom: instant("silent_from"),
    bootEpoch: text("boot_epoch"),
    /** What of its plan its host gives it; null: not seen whole. While it runs, what runs has. */
    seenVcpus: integer("seen_vcpus"),
    seenMemoryMib: integer("seen_memory_mib"),
    seenDiskGib: integer("seen_disk_gib"),
    /** false: its agent does not say what it is limited to. Else null is no limit, and 0 one that nobody ordered. */
    seenLimitsKnown: boolean("seen_limits_known").notNull().default(false),
    seenBandwidthMbit: integer("seen_bandwidth_mbit"),
    seenDiskIops: integer("seen_disk_iops"),
    /** So many vCPUs it may have at most without a restart; null: its host does not say. */
    seenHotVcpus: integer("seen_hot_vcpus"),
    lastErrorCode: text("last_error_code"),
    lastErrorDetail: text("last_error_detail"),
    /** Since when its host says so, of this code, and in how many reports without a break; null and 0: it says of none. */
    lastErrorSince: instant("last_error_since"),
    lastErrorTimes: integer("last_error_times").notNull().default(0),
    /** Since when its host says that it is not there, though it was, and should be; null: it does not say so. */
    lostAt: instant("lost_at"),
    /** When its host proved that it is gone. */
    deletedAt: instant("deleted_at"),
  },
  (t) => [
    // Lists: the newest first or by name, of all or of one of these; those that are gone apart, of which there is no end. Names are
    // looked for by their beginnings too. Not a part's own index for the first: the primary key has its order too, and is gone by.
    index("vms_by_id_idx").on(sql`(${t.deletedAt} is not null)`, t.id),
    ...[
      { which: "here", where: sql`${t.deletedAt} is null` },
      { which: "gone", where: sql`${t.deletedAt} is not null` },
    ].flatMap(({ which, where }) => [
      index(`vms_${which}_by_name_idx`)
        .on(sql`${t.hostname} collate "C"`, t.id)
        .where(where),
      ...[
        { whose: "account", by: t.accountId },
        { whose: "host", by: t.hostId },
        { whose: "location", by: t.locationId },
      ].flatMap(({ whose, by }) => [
        index(`vms_${which}_of_${whose}_idx`).on(by, t.id).where(where),
        index(`vms_${which}_of_${whose}_by_name_idx`)
          .on(by, sql`${t.hostname} collate "C"`, t.id)
          .where(where),
      ]),
    ]),
    index("vms_label_idx")
      .on(sql`lower(${t.label}) collate "C"`, t.id)
      .where(sql`${t.label} is not null`),
    index("vms_lost_by_id_idx")
      .on(sql`(${t.lostAt} is not null)`, t.id)
      .where(sql`${t.lostAt} is not null and ${t.deletedAt} is null`),
    index("vms_lost_by_name_idx")
      .on(sql`(${t.lostAt} is not null)`, sql`${t.hostname} collate "C"`, t.id)
      .where(sql`${t.lostAt} is not null and ${t.deletedAt} is null`),
    index("vms_lost_idx")
      .on(t.lostAt)
      .where(sql`${t.lostAt} is not null`),
    check("vms_never_ahead_of_desire", sql`${t.observedGeneration} <= ${t.generation}`),
    check(
      "vms_seen_size_is_whole",
      sql`num_nonnulls(${t.seenVcpus}, ${t.seenMemoryMib}, ${t.seenDiskGib}) in (0, 3)`,
    ),
    check(
      "vms_seen_limits_are_known",
      sql`${t.seenLimitsKnown} or num_nonnulls(${t.seenBandwidthMbit}, ${t.seenDiskIops}) = 0`,
    ),
    check("vms_generation_positive", sql`${t.generation} > 0 and ${t.ownerEpoch} > 0`),
    check("vms_deleted_was_asked", sql`${t.deletedAt} is null or ${t.presence} = 'absent'`),
  ],
);

export const destroyKind = pgEnum("destroy_kind", DESTROY_KINDS);
export const destroyEnd = pgEnum("destroy_end", DESTROY_ENDS);

/** What one member of staff asks to have destroyed of a customer's, until another one confirms it. */
export const destroyRequests = pgTable(
  "destroy_requests",
  {
    id: uuid("id").primaryKey(),
    vmId: uuid("vm_id")
      .notNull()
      .references(() => vms.id),
    how: destroyKind("how").notNull(),
    reason: text("reason").notNull(),
    askedBy: uuid("asked_by")
      .notNull()
      .references(() => accounts.id),
    askedAt: instant("asked_at").notNull(),
    expiresAt: instant("expires_at").notNull(),
    end: destroyEnd("end"),
    endedAt: instant("ended_at"),
    /** null of one that ran out. */
    endedBy: uuid("ended_by").references(() => accounts.id),
  },
  (t) => [
    uniqueIndex("destroy_requests_one_open_key")
      .on(t.vmId)
      .where(sql`${t.end} is null`),
    index("destroy_requests_open_idx")
      .on(t.id)
      .where(sql`${t.end} is null`),
    check("destroy_requests_reason_length", sql`length(${t.reason}) between 1 and 1000`),
    check("destroy_requests_ended_whole", sql`(${t.end} is null) = (${t.endedAt} is null)`),
    // The rule itself, where nothing can pass it by.
    check(
      "destroy_requests_by_two",
      sql`(${t.end} is distinct from 'confirmed') or (${t.endedBy} is not null and ${t.endedBy} <> ${t.askedBy})`,
    ),
  ],
);

export const actions = pgTable(
  "actions",
  {
    id: uuid("id").primaryKey(),
    vmId: uuid("vm_id")
      .notNull()
      .references(() => vms.id),
    type: actionType("type").notNull(),
    status: actionStatus("status").notNull(),
    generation: integer("generation").notNull(),
    /** The first generation of its host's desired document that may hold it; null: from before this was kept. */
    hostGeneration: integer("host_generation"),
    /** What the VM's power should have been before, for staff who call it off; null as above. */
    priorPower: desiredPower("prior_power"),
    priorStopMode: stopMode("prior_stop_mode"),
    startedAt: instant("started_at").notNull(),
    finishedAt: instant("finished_at"),
    errorCode: actionErrorCode("error_code"),
    errorMessage: text("error_message"),
  },
  (t) => [
    uniqueIndex("actions_one_running_key")
      .on(t.vmId)
      .where(sql`${t.status} = 'running'`),
    index("actions_vm_idx").on(t.vmId, t.id),
    // Staff's lists, the newest first. Most succeeded, and are found without.
    index("actions_type_idx").on(t.type, t.id),
    index("actions_status_idx")
      .on(t.status, t.id)
      .where(sql`${t.status} <> 'success'`),
    check(
      "actions_finished_when_ended",
      sql`(${t.status} in ('success', 'error')) = (${t.finishedAt} is not null)`,
    ),
    check("actions_error_has_code", sql`(${t.status} = 'error') = (${t.errorCode} is not null)`),
  ],
);

/** An administrator's first password, sealed, for as long as someone may still need it. */
export const initialPasswords = pgTable(
  "initial_passwords",
  {
    vmId: uuid("vm_id")
      .primaryKey()
      .references(() => vms.id),
    state: initialPasswordState("state").notNull(),
    /** Never in clear; null once it is gone for good. */
    sealed: text("sealed"),
    createdAt: instant("created_at").notNull(),
    /** When it is erased if nobody takes it. */
    expiresAt: instant("expires_at").notNull(),
    endedAt: instant("ended_at"),
  },
  (t) => [
    index("initial_passwords_due_idx")
      .on(t.expiresAt)
      .where(sql`${t.endedAt} is null`),
    check(
      "initial_passwords_erased_when_ended",
      sql`(${t.state} in ('for_host', 'for_customer')) = (${t.sealed} is not null)
        and (${t.sealed} is null) = (${t.endedAt} is not null)`,
    ),
  ],
);

import { sql } from "drizzle-orm";
import {
  bigint,
  boolean,
  check,
  customType,
  integer,
  pgTable,
  primaryKey,
  text,
  uuid,
} from "drizzle-orm/pg-core";
import type { Spans } from "#core/usage/spans.ts";
import { spansFromText, spansToText } from "#db/usage/spans-text.ts";
import { instant } from "./columns.ts";

/*
 * None of these tables refers to `vms` by a foreign key: to check one, Postgres locks the VM's row for each sample, and
 * usage would wait for reports and orders of the VM, and they for it (docs/adr/0017). No VM's row is ever removed.
 */

/** Whole numbers as ranges without their end: instants in milliseconds, or sequence numbers. */
const spans = customType<{ data: Spans; driverData: string }>({
  dataType: () => "int8multirange",
  fromDriver: spansFromText,
  toDriver: spansToText,
});

const count = (name: string) => bigint(name, { mode: "bigint" });

/**
 * Counters between two instants, as they were taken, kept for some weeks as evidence. Partitioned by the day of
 * `from_at`, which drizzle does not know: see the migration, and `keep_usage_days`. That no sample is stored twice
 * and none overlaps is held by `usage_meters` and `usage_boots`.
 */
export const usageSamples = pgTable(
  "usage_samples",
  {
    vmId: uuid("vm_id").notNull(),
    bootEpoch: text("boot_epoch").notNull(),
    seq: integer("seq").notNull(),
    fromAt: instant("from_at").notNull(),
    toAt: instant("to_at").notNull(),
    cpuNs: count("cpu_ns").notNull(),
    rxBytes: count("rx_bytes").notNull(),
    txBytes: count("tx_bytes").notNull(),
    readBytes: count("read_bytes").notNull(),
    writeBytes: count("write_bytes").notNull(),
    memoryBytes: count("memory_bytes").notNull(),
    diskBytes: count("disk_bytes").notNull(),
    receivedAt: instant("received_at").notNull(),
    /** Something was cut to what is possible: worth a look by staff. */
    bounded: boolean("bounded").notNull(),
  },
  (t) => [
    primaryKey({ name: "usage_samples_pkey", columns: [t.vmId, t.fromAt] }),
    check("usage_samples_forward", sql`${t.toAt} > ${t.fromAt}`),
  ],
);

/** What a VM's samples that begin in an hour (UTC) come to: what charts and money read. Made with the samples. */
export const usageHours = pgTable(
  "usage_hours",
  {
    vmId: uuid("vm_id").notNull(),
    hour: instant("hour").notNull(),
    cpuNs: count("cpu_ns").notNull(),
    rxBytes: count("rx_bytes").notNull(),
    txBytes: count("tx_bytes").notNull(),
    readBytes: count("read_bytes").notNull(),
    writeBytes: count("write_bytes").notNull(),
    /** How long they measured, how many they are, and in how many something was cut. */
    measuredMs: count("measured_ms").notNull(),
    samples: integer("samples").notNull(),
    bounded: integer("bounded").notNull(),
  },
  (t) => [primaryKey({ name: "usage_hours_pkey", columns: [t.vmId, t.hour] })],
);

/** Of when a VM's usage is stored (invariant 10). Whoever stores samples of the VM holds its row, and none of `vms`. */
export const usageMeters = pgTable("usage_meters", {
  vmId: uuid("vm_id").primaryKey(),
  /** In milliseconds. An honest host leaves no gap: one span. */
  measured: spans("measured").notNull(),
  /** The boot that it was last measured in, as in `usage_boots`; null: none yet, or it lies there. */
  bootEpoch: text("boot_epoch"),
  seqs: spans("seqs"),
  bootEndsAt: instant("boot_ends_at"),
  /** What its samples may come to beyond their own time, by counter; null: nothing is used up yet. */
  spareCpuNs: count("spare_cpu_ns"),
  spareRxBytes: count("spare_rx_bytes"),
  spareTxBytes: count("spare_tx_bytes"),
  spareReadBytes: count("spare_read_bytes"),
  spareWriteBytes: count("spare_write_bytes"),
});

/**
 * Which sequence numbers of a VM's boot are stored (invariant 11): of those before its last one, which its meter has.
 * Written by whoever holds the meter.
 */
export const usageBoots = pgTable(
  "usage_boots",
  {
    vmId: uuid("vm_id").notNull(),
    bootEpoch: text("boot_epoch").notNull(),
    seqs: spans("seqs").notNull(),
    /** The end of its last sample: long after that, no sample of it can come any more. */
    endsAt: instant("ends_at").notNull(),
  },
  (t) => [primaryKey({ name: "usage_boots_pkey", columns: [t.vmId, t.bootEpoch] })],
);

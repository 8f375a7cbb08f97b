import { sql } from "drizzle-orm";
import {
  bigint,
  boolean,
  check,
  index,
  integer,
  numeric,
  pgTable,
  primaryKey,
  text,
  uuid,
} from "drizzle-orm/pg-core";
import { instant } from "./columns.ts";
import { vms } from "./vms.ts";

/** Counters between two instants, each stored once (invariants 10, 11). No overlap: see the migration. */
export const usageSamples = pgTable(
  "usage_samples",
  {
    vmId: uuid("vm_id")
      .notNull()
      .references(() => vms.id),
    bootEpoch: text("boot_epoch").notNull(),
    seq: integer("seq").notNull(),
    fromAt: instant("from_at").notNull(),
    toAt: instant("to_at").notNull(),
    cpuNs: numeric("cpu_ns", { precision: 20, scale: 0, mode: "bigint" }).notNull(),
    rxBytes: numeric("rx_bytes", { precision: 20, scale: 0, mode: "bigint" }).notNull(),
    txBytes: numeric("tx_bytes", { precision: 20, scale: 0, mode: "bigint" }).notNull(),
    readBytes: numeric("read_bytes", { precision: 20, scale: 0, mode: "bigint" }).notNull(),
    writeBytes: numeric("write_bytes", { precision: 20, scale: 0, mode: "bigint" }).notNull(),
    memoryBytes: bigint("memory_bytes", { mode: "bigint" }).notNull(),
    diskBytes: bigint("disk_bytes", { mode: "bigint" }).notNull(),
    receivedAt: instant("received_at").notNull(),
    /** Bytes were cut to what the NIC can carry in the time: worth a look by staff. */
    bounded: boolean("bounded").notNull().default(false),
  },
  (t) => [
    primaryKey({ name: "usage_samples_pkey", columns: [t.vmId, t.bootEpoch, t.seq] }),
    index("usage_samples_vm_time_idx").on(t.vmId, t.fromAt),
    check("usage_samples_forward", sql`${t.toAt} > ${t.fromAt}`),
  ],
);

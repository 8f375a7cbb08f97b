CREATE TABLE "usage_boots" (
	"vm_id" uuid NOT NULL,
	"boot_epoch" text NOT NULL,
	"seqs" "int8multirange" NOT NULL,
	"ends_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "usage_boots_pkey" PRIMARY KEY("vm_id","boot_epoch")
);
--> statement-breakpoint
CREATE TABLE "usage_hours" (
	"vm_id" uuid NOT NULL,
	"hour" timestamp (3) with time zone NOT NULL,
	"cpu_ns" bigint NOT NULL,
	"rx_bytes" bigint NOT NULL,
	"tx_bytes" bigint NOT NULL,
	"read_bytes" bigint NOT NULL,
	"write_bytes" bigint NOT NULL,
	"measured_ms" bigint NOT NULL,
	"samples" integer NOT NULL,
	"bounded" integer NOT NULL,
	CONSTRAINT "usage_hours_pkey" PRIMARY KEY("vm_id","hour")
);
--> statement-breakpoint
CREATE TABLE "usage_meters" (
	"vm_id" uuid PRIMARY KEY NOT NULL,
	"measured" "int8multirange" NOT NULL,
	"boot_epoch" text,
	"seqs" "int8multirange",
	"boot_ends_at" timestamp (3) with time zone,
	"spare_cpu_ns" bigint,
	"spare_rx_bytes" bigint,
	"spare_tx_bytes" bigint,
	"spare_read_bytes" bigint,
	"spare_write_bytes" bigint
);
--> statement-breakpoint
-- What follows is by hand: drizzle knows no partitions. The old table is copied, not altered.
ALTER TABLE "usage_samples" RENAME TO "usage_samples_before";
--> statement-breakpoint
ALTER TABLE "usage_samples_before" RENAME CONSTRAINT "usage_samples_pkey" TO "usage_samples_before_pkey";
--> statement-breakpoint
CREATE TABLE "usage_samples" (
	"vm_id" uuid NOT NULL,
	"boot_epoch" text NOT NULL,
	"seq" integer NOT NULL,
	"from_at" timestamp (3) with time zone NOT NULL,
	"to_at" timestamp (3) with time zone NOT NULL,
	"cpu_ns" bigint NOT NULL,
	"rx_bytes" bigint NOT NULL,
	"tx_bytes" bigint NOT NULL,
	"read_bytes" bigint NOT NULL,
	"write_bytes" bigint NOT NULL,
	"memory_bytes" bigint NOT NULL,
	"disk_bytes" bigint NOT NULL,
	"received_at" timestamp (3) with time zone NOT NULL,
	"bounded" boolean NOT NULL,
	CONSTRAINT "usage_samples_pkey" PRIMARY KEY("vm_id","from_at"),
	CONSTRAINT "usage_samples_forward" CHECK ("usage_samples"."to_at" > "usage_samples"."from_at")
) PARTITION BY RANGE ("from_at");
--> statement-breakpoint
-- Takes every day that has no partition of its own: no sample is ever refused for want of one.
CREATE TABLE "usage_samples_rest" PARTITION OF "usage_samples" DEFAULT;
--> statement-breakpoint
INSERT INTO "usage_samples"
  SELECT vm_id, boot_epoch, seq, from_at, to_at, cpu_ns, rx_bytes, tx_bytes, read_bytes, write_bytes, memory_bytes,
    disk_bytes, received_at, bounded
  FROM "usage_samples_before";
--> statement-breakpoint
INSERT INTO "usage_hours"
  SELECT vm_id, date_trunc('hour', from_at, 'UTC'), sum(cpu_ns), sum(rx_bytes), sum(tx_bytes), sum(read_bytes),
    sum(write_bytes), sum(extract(epoch FROM to_at - from_at) * 1000), count(*), count(*) FILTER (WHERE bounded)
  FROM "usage_samples_before" GROUP BY 1, 2;
--> statement-breakpoint
INSERT INTO "usage_meters" ("vm_id", "measured")
  SELECT vm_id, range_agg(int8range((extract(epoch FROM from_at) * 1000)::bigint, (extract(epoch FROM to_at) * 1000)::bigint))
  FROM "usage_samples_before" GROUP BY 1;
--> statement-breakpoint
INSERT INTO "usage_boots"
  SELECT vm_id, boot_epoch, range_agg(int8range(seq, seq + 1)), max(to_at) FROM "usage_samples_before" GROUP BY 1, 2;
--> statement-breakpoint
DROP TABLE "usage_samples_before";
--> statement-breakpoint
-- Their rows change with every batch, and no index does: room on the page keeps those changes in place (HOT).
ALTER TABLE "usage_meters" SET (fillfactor = 70);
--> statement-breakpoint
ALTER TABLE "usage_boots" SET (fillfactor = 70);
--> statement-breakpoint
ALTER TABLE "usage_hours" SET (fillfactor = 80);
--> statement-breakpoint
-- Makes the partitions of the days from yesterday to `ahead` days from `today`, and drops what ends before `keep` days
-- ago. By the owner's rights, since it makes and drops tables: whoever may call it needs none but that. A day of which
-- rows lie in the rest already stays there. Done again, it does nothing; two at once: one of them does nothing.
CREATE FUNCTION keep_usage_days(today timestamptz, ahead int, keep int, OUT made int, OUT dropped int)
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = public, pg_temp
  -- A partition is dropped under a lock on the whole table: rather the next sweep than samples that wait for long.
  SET lock_timeout = '2s'
  SET timezone = 'UTC'
AS $$
DECLARE
  first date := (today - make_interval(days => keep))::date;
  day date;
  part text;
BEGIN
  made := 0;
  dropped := 0;
  IF NOT pg_try_advisory_xact_lock(hashtext('keep_usage_days')) THEN RETURN; END IF;
  FOR day IN SELECT d::date FROM generate_series(today::date - 1, today::date + ahead, interval '1 day') d LOOP
    part := 'usage_samples_' || to_char(day, 'YYYYMMDD');
    CONTINUE WHEN to_regclass(part) IS NOT NULL;
    LOCK TABLE usage_samples_rest IN ACCESS EXCLUSIVE MODE;
    CONTINUE WHEN EXISTS (SELECT FROM usage_samples_rest WHERE from_at >= day AND from_at < day + 1);
    EXECUTE format('CREATE TABLE %I (LIKE usage_samples INCLUDING ALL)', part);
    -- Attached, and not made as a part: that would lock the whole table.
    EXECUTE format('ALTER TABLE usage_samples ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', part, day, day + 1);
    made := made + 1;
  END LOOP;
  FOR part IN
    SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'usage_samples'::regclass AND c.relname < 'usage_samples_' || to_char(first, 'YYYYMMDD')
    ORDER BY 1
  LOOP
    EXECUTE format('DROP TABLE %I', part);
    dropped := dropped + 1;
  END LOOP;
  IF made + dropped > 0 THEN
    DELETE FROM usage_samples_rest WHERE from_at < first;
    DELETE FROM usage_boots WHERE ends_at < first;
  END IF;
END $$;

--> statement-breakpoint
REVOKE ALL ON FUNCTION keep_usage_days FROM PUBLIC;
--> statement-breakpoint
GRANT EXECUTE ON FUNCTION keep_usage_days TO berth_functions;

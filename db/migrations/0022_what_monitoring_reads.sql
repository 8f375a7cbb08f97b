CREATE TABLE "host_counts" (
	"state" "host_state" PRIMARY KEY NOT NULL,
	"hosts" integer NOT NULL
);
--> statement-breakpoint
ALTER TABLE "hosts" ADD COLUMN "heard_in" timestamp (3) with time zone GENERATED ALWAYS AS (date_bin('2 minutes', last_seen_at, '2000-01-01T00:00:00Z')) STORED;--> statement-breakpoint
CREATE INDEX "hosts_heard_idx" ON "hosts" USING btree ("heard_in") WHERE "hosts"."state" in ('active', 'draining');
ALTER TABLE "vms" ADD COLUMN "first_running_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "vms" ADD COLUMN "ran_ms" bigint DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "vms" ADD COLUMN "silent_from" timestamp (3) with time zone;--> statement-breakpoint
UPDATE "vms" SET "first_running_at" = coalesce("guest_ready_at", "running_since");

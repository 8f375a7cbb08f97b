CREATE TYPE "public"."window_kind" AS ENUM('maintenance', 'drain');--> statement-breakpoint
ALTER TYPE "public"."drain_reason" ADD VALUE 'window_ahead';--> statement-breakpoint
ALTER TYPE "public"."drain_reason" ADD VALUE 'window_over';--> statement-breakpoint
DROP INDEX "maintenance_windows_one_open_key";--> statement-breakpoint
ALTER TABLE "maintenance_windows" ADD COLUMN "kind" "window_kind" DEFAULT 'maintenance' NOT NULL;--> statement-breakpoint
ALTER TABLE "drains" ADD COLUMN "window_id" uuid;--> statement-breakpoint
ALTER TABLE "drains" ADD CONSTRAINT "drains_window_id_maintenance_windows_id_fk" FOREIGN KEY ("window_id") REFERENCES "public"."maintenance_windows"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE UNIQUE INDEX "maintenance_windows_one_open_key" ON "maintenance_windows" USING btree ("host_id","kind") WHERE "maintenance_windows"."ended_at" is null and "maintenance_windows"."cancelled_at" is null;
ALTER TYPE "public"."host_state" ADD VALUE 'cordoned' BEFORE 'draining';--> statement-breakpoint
ALTER TYPE "public"."host_state" ADD VALUE 'maintenance' BEFORE 'retired';--> statement-breakpoint
ALTER TYPE "public"."event_name" ADD VALUE 'host.state_changed.v1' BEFORE 'agent_release.registered.v1';--> statement-breakpoint
ALTER TYPE "public"."event_name" ADD VALUE 'maintenance.changed.v1' BEFORE 'agent_release.registered.v1';--> statement-breakpoint
ALTER TYPE "public"."event_name" ADD VALUE 'maintenance.notice_fell_due.v1' BEFORE 'agent_release.registered.v1';--> statement-breakpoint
CREATE TABLE "maintenance_notices" (
	"id" uuid PRIMARY KEY NOT NULL,
	"window_id" uuid NOT NULL,
	"account_id" uuid NOT NULL,
	"revision" integer NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL,
	"settled_at" timestamp (3) with time zone,
	"mailed" boolean DEFAULT false NOT NULL,
	CONSTRAINT "maintenance_notices_mailed_is_settled" CHECK (not "maintenance_notices"."mailed" or "maintenance_notices"."settled_at" is not null)
);
--> statement-breakpoint
CREATE TABLE "maintenance_windows" (
	"id" uuid PRIMARY KEY NOT NULL,
	"host_id" uuid NOT NULL,
	"starts_at" timestamp (3) with time zone NOT NULL,
	"ends_at" timestamp (3) with time zone NOT NULL,
	"notice_hours" integer NOT NULL,
	"notice_at" timestamp (3) with time zone NOT NULL,
	"revision" integer DEFAULT 1 NOT NULL,
	"begun_at" timestamp (3) with time zone,
	"ended_at" timestamp (3) with time zone,
	"cancelled_at" timestamp (3) with time zone,
	"created_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "maintenance_windows_in_order" CHECK ("maintenance_windows"."starts_at" < "maintenance_windows"."ends_at"),
	CONSTRAINT "maintenance_windows_notice_before" CHECK ("maintenance_windows"."notice_hours" >= 0 and "maintenance_windows"."notice_at" <= "maintenance_windows"."starts_at"),
	CONSTRAINT "maintenance_windows_one_end" CHECK (("maintenance_windows"."ended_at" is null or "maintenance_windows"."begun_at" is not null) and ("maintenance_windows"."cancelled_at" is null or "maintenance_windows"."begun_at" is null))
);
--> statement-breakpoint
ALTER TABLE "hosts" DROP CONSTRAINT "hosts_active_is_enrolled";--> statement-breakpoint
DROP INDEX "hosts_agent_version_idx";--> statement-breakpoint
DROP INDEX "hosts_heard_idx";--> statement-breakpoint
ALTER TABLE "hosts" ADD COLUMN "maintenance_until" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "maintenance_notices" ADD CONSTRAINT "maintenance_notices_window_id_maintenance_windows_id_fk" FOREIGN KEY ("window_id") REFERENCES "public"."maintenance_windows"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "maintenance_notices" ADD CONSTRAINT "maintenance_notices_account_id_accounts_id_fk" FOREIGN KEY ("account_id") REFERENCES "public"."accounts"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "maintenance_windows" ADD CONSTRAINT "maintenance_windows_host_id_hosts_id_fk" FOREIGN KEY ("host_id") REFERENCES "public"."hosts"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE UNIQUE INDEX "maintenance_notices_once_key" ON "maintenance_notices" USING btree ("window_id","account_id","revision");--> statement-breakpoint
CREATE INDEX "maintenance_notices_unsettled_idx" ON "maintenance_notices" USING btree ("created_at") WHERE "maintenance_notices"."settled_at" is null;--> statement-breakpoint
CREATE UNIQUE INDEX "maintenance_windows_one_open_key" ON "maintenance_windows" USING btree ("host_id") WHERE "maintenance_windows"."ended_at" is null and "maintenance_windows"."cancelled_at" is null;--> statement-breakpoint
CREATE INDEX "maintenance_windows_notice_idx" ON "maintenance_windows" USING btree ("notice_at") WHERE "maintenance_windows"."ended_at" is null and "maintenance_windows"."cancelled_at" is null;--> statement-breakpoint
CREATE INDEX "hosts_agent_version_idx" ON "hosts" USING btree ("agent_version") WHERE "hosts"."state" not in ('enrolling', 'retired');--> statement-breakpoint
CREATE INDEX "hosts_heard_idx" ON "hosts" USING btree ("heard_in") WHERE "hosts"."state" not in ('enrolling', 'retired');--> statement-breakpoint
ALTER TABLE "hosts" ADD CONSTRAINT "hosts_maintenance_ends" CHECK (("hosts"."state"::text = 'maintenance') = ("hosts"."maintenance_until" is not null));--> statement-breakpoint
ALTER TABLE "hosts" ADD CONSTRAINT "hosts_active_is_enrolled" CHECK ("hosts"."state" in ('enrolling', 'retired') or ("hosts"."public_key" is not null and "hosts"."hypervisor" is not null));
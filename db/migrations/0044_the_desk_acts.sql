CREATE TYPE "public"."suspension" AS ENUM('abuse', 'bandwidth', 'dispute', 'staff');--> statement-breakpoint
CREATE TYPE "public"."destroy_end" AS ENUM('confirmed', 'withdrawn', 'expired');--> statement-breakpoint
CREATE TYPE "public"."destroy_kind" AS ENUM('delete', 'give_up', 'recreate');--> statement-breakpoint
ALTER TYPE "public"."event_name" ADD VALUE 'vm.protection_changed.v1' BEFORE 'vm.initial_password_taken.v1';--> statement-breakpoint
ALTER TYPE "public"."event_name" ADD VALUE 'vm.suspended.v1' BEFORE 'vm.initial_password_taken.v1';--> statement-breakpoint
ALTER TYPE "public"."event_name" ADD VALUE 'vm.unsuspended.v1' BEFORE 'vm.initial_password_taken.v1';--> statement-breakpoint
ALTER TYPE "public"."event_name" ADD VALUE 'vm.destroy_request_changed.v1' BEFORE 'vm.initial_password_taken.v1';--> statement-breakpoint
ALTER TYPE "public"."event_name" ADD VALUE 'service.end_said.v1' BEFORE 'vm.initial_password_taken.v1';--> statement-breakpoint
ALTER TYPE "public"."event_name" ADD VALUE 'service.end_told.v1' BEFORE 'vm.initial_password_taken.v1';--> statement-breakpoint
ALTER TYPE "public"."event_name" ADD VALUE 'account.closed.v1';--> statement-breakpoint
ALTER TYPE "public"."event_name" ADD VALUE 'account.reopened.v1';--> statement-breakpoint
ALTER TYPE "public"."event_name" ADD VALUE 'account.impersonation_began.v1';--> statement-breakpoint
ALTER TYPE "public"."event_name" ADD VALUE 'account.impersonation_ended.v1';--> statement-breakpoint
ALTER TYPE "public"."action_error_code" ADD VALUE 'suspended' BEFORE 'vm_lost';--> statement-breakpoint
CREATE TABLE "destroy_requests" (
	"id" uuid PRIMARY KEY NOT NULL,
	"vm_id" uuid NOT NULL,
	"how" "destroy_kind" NOT NULL,
	"reason" text NOT NULL,
	"asked_by" uuid NOT NULL,
	"asked_at" timestamp (3) with time zone NOT NULL,
	"expires_at" timestamp (3) with time zone NOT NULL,
	"end" "destroy_end",
	"ended_at" timestamp (3) with time zone,
	"ended_by" uuid,
	CONSTRAINT "destroy_requests_reason_length" CHECK (length("destroy_requests"."reason") between 1 and 1000),
	CONSTRAINT "destroy_requests_ended_whole" CHECK (("destroy_requests"."end" is null) = ("destroy_requests"."ended_at" is null)),
	CONSTRAINT "destroy_requests_by_two" CHECK (("destroy_requests"."end" is distinct from 'confirmed') or ("destroy_requests"."ended_by" is not null and "destroy_requests"."ended_by" <> "destroy_requests"."asked_by"))
);
--> statement-breakpoint
ALTER TABLE "sessions" ADD COLUMN "impersonated_by" uuid;--> statement-breakpoint
ALTER TABLE "services" ADD COLUMN "granted_days" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "services" ADD COLUMN "granted_until" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "services" ADD COLUMN "never_suspend_until" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "services" ADD COLUMN "suspensions" "suspension"[] DEFAULT '{}' NOT NULL;--> statement-breakpoint
ALTER TABLE "services" ADD COLUMN "end_wanted" boolean DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE "services" ADD COLUMN "end_said_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "services" ADD COLUMN "end_untold" boolean DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE "services" ADD COLUMN "cancel_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "vms" ADD COLUMN "delete_protected" boolean DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE "destroy_requests" ADD CONSTRAINT "destroy_requests_vm_id_vms_id_fk" FOREIGN KEY ("vm_id") REFERENCES "public"."vms"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "destroy_requests" ADD CONSTRAINT "destroy_requests_asked_by_accounts_id_fk" FOREIGN KEY ("asked_by") REFERENCES "public"."accounts"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "destroy_requests" ADD CONSTRAINT "destroy_requests_ended_by_accounts_id_fk" FOREIGN KEY ("ended_by") REFERENCES "public"."accounts"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE UNIQUE INDEX "destroy_requests_one_open_key" ON "destroy_requests" USING btree ("vm_id") WHERE "destroy_requests"."end" is null;--> statement-breakpoint
CREATE INDEX "destroy_requests_open_idx" ON "destroy_requests" USING btree ("id") WHERE "destroy_requests"."end" is null;--> statement-breakpoint
ALTER TABLE "sessions" ADD CONSTRAINT "sessions_impersonated_by_accounts_id_fk" FOREIGN KEY ("impersonated_by") REFERENCES "public"."accounts"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "sessions_impersonated_by_idx" ON "sessions" USING btree ("impersonated_by") WHERE "sessions"."impersonated_by" is not null;--> statement-breakpoint
CREATE INDEX "services_end_untold_idx" ON "services" USING btree (coalesce("tried_at", "end_said_at")) WHERE "services"."end_untold";--> statement-breakpoint
CREATE INDEX "services_to_end_idx" ON "services" USING btree ("cancel_at") WHERE "services"."end_wanted" and not "services"."vm_is_to_go";--> statement-breakpoint
ALTER TABLE "sessions" ADD CONSTRAINT "sessions_impersonation_is_short" CHECK ("sessions"."impersonated_by" is null or "sessions"."expires_at" <= "sessions"."created_at" + interval '1 hour');--> statement-breakpoint
ALTER TABLE "services" ADD CONSTRAINT "services_granted_is_whole" CHECK (("services"."granted_days" > 0) = ("services"."granted_until" is not null));--> statement-breakpoint
ALTER TABLE "services" ADD CONSTRAINT "services_end_was_said" CHECK (not ("services"."end_wanted" or "services"."end_untold") or "services"."end_said_at" is not null);
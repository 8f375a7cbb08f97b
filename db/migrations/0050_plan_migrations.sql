CREATE TYPE "public"."change_price" AS ENUM('new', 'keep');--> statement-breakpoint
CREATE TYPE "public"."plan_migration_state" AS ENUM('planning', 'planned', 'running', 'paused', 'done', 'stopped');--> statement-breakpoint
CREATE TYPE "public"."plan_migration_vm_state" AS ENUM('waiting', 'refused', 'judging', 'running', 'done', 'failed', 'drifted', 'left_out');--> statement-breakpoint
ALTER TYPE "public"."event_name" ADD VALUE 'plan_migration.began.v1' BEFORE 'vm.change_requested.v1';--> statement-breakpoint
ALTER TYPE "public"."event_name" ADD VALUE 'plan_migration.changed.v1' BEFORE 'vm.change_requested.v1';--> statement-breakpoint
ALTER TYPE "public"."event_name" ADD VALUE 'plan_migration.fell_due.v1' BEFORE 'vm.change_requested.v1';--> statement-breakpoint
ALTER TYPE "public"."event_name" ADD VALUE 'plan_migration.vm_ended.v1' BEFORE 'vm.change_requested.v1';--> statement-breakpoint
CREATE TABLE "plan_migration_vms" (
	"migration_id" uuid NOT NULL,
	"vm_id" uuid NOT NULL,
	"account_id" uuid NOT NULL,
	"state" "plan_migration_vm_state" NOT NULL,
	"from_vcpus" integer NOT NULL,
	"from_memory_mib" integer NOT NULL,
	"from_disk_gib" integer NOT NULL,
	"to_disk_gib" integer NOT NULL,
	"method" "resize_method" NOT NULL,
	"down_seconds" integer NOT NULL,
	"difference_minor" bigint,
	"currency" char(3),
	"refusals" text[] NOT NULL,
	"due_at" timestamp (3) with time zone NOT NULL,
	"announced_at" timestamp (3) with time zone,
	"plan_change_id" uuid,
	"detail" text,
	"ended_at" timestamp (3) with time zone,
	CONSTRAINT "plan_migration_vms_pkey" PRIMARY KEY("migration_id","vm_id"),
	CONSTRAINT "plan_migration_vms_difference_is_whole" CHECK (("plan_migration_vms"."difference_minor" is null) = ("plan_migration_vms"."currency" is null)),
	CONSTRAINT "plan_migration_vms_begun_has_change" CHECK ("plan_migration_vms"."state" not in ('running', 'done', 'failed') or "plan_migration_vms"."plan_change_id" is not null),
	CONSTRAINT "plan_migration_vms_ended_has_instant" CHECK (("plan_migration_vms"."state" in ('waiting', 'judging', 'running', 'refused')) = ("plan_migration_vms"."ended_at" is null))
);
--> statement-breakpoint
CREATE TABLE "plan_migrations" (
	"id" uuid PRIMARY KEY NOT NULL,
	"asked_by" uuid NOT NULL,
	"reason" text NOT NULL,
	"from_plan_id" uuid NOT NULL,
	"from_version" integer,
	"to_plan_id" uuid NOT NULL,
	"to_version" integer NOT NULL,
	"location_id" uuid,
	"host_id" uuid,
	"account_id" uuid,
	"interval" "billing_interval",
	"when" "change_when" NOT NULL,
	"price" "change_price" NOT NULL,
	"max_parallel" integer NOT NULL,
	"stop_after_failures" integer NOT NULL,
	"announce_days" integer NOT NULL,
	"state" "plan_migration_state" NOT NULL,
	"hash" text,
	"failures" integer DEFAULT 0 NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL,
	"begun_at" timestamp (3) with time zone,
	"moved_at" timestamp (3) with time zone NOT NULL,
	"ended_at" timestamp (3) with time zone,
	"held_until" timestamp (3) with time zone,
	CONSTRAINT "plan_migrations_reason_length" CHECK (length("plan_migrations"."reason") between 1 and 1000),
	CONSTRAINT "plan_migrations_have_a_pace" CHECK ("plan_migrations"."max_parallel" > 0 and "plan_migrations"."stop_after_failures" > 0 and "plan_migrations"."announce_days" >= 0 and "plan_migrations"."failures" >= 0),
	CONSTRAINT "plan_migrations_planned_has_hash" CHECK (("plan_migrations"."state" = 'planning') = ("plan_migrations"."hash" is null)),
	CONSTRAINT "plan_migrations_begun_has_instant" CHECK (("plan_migrations"."state" in ('planning', 'planned')) = ("plan_migrations"."begun_at" is null)),
	CONSTRAINT "plan_migrations_ended_has_instant" CHECK (("plan_migrations"."state" in ('done', 'stopped')) = ("plan_migrations"."ended_at" is not null))
);
--> statement-breakpoint
ALTER TABLE "services" ADD COLUMN "price_kept" boolean DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE "plan_migration_vms" ADD CONSTRAINT "plan_migration_vms_migration_id_plan_migrations_id_fk" FOREIGN KEY ("migration_id") REFERENCES "public"."plan_migrations"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "plan_migration_vms" ADD CONSTRAINT "plan_migration_vms_vm_id_vms_id_fk" FOREIGN KEY ("vm_id") REFERENCES "public"."vms"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "plan_migration_vms" ADD CONSTRAINT "plan_migration_vms_account_id_accounts_id_fk" FOREIGN KEY ("account_id") REFERENCES "public"."accounts"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "plan_migration_vms" ADD CONSTRAINT "plan_migration_vms_plan_change_id_plan_changes_id_fk" FOREIGN KEY ("plan_change_id") REFERENCES "public"."plan_changes"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "plan_migrations" ADD CONSTRAINT "plan_migrations_asked_by_accounts_id_fk" FOREIGN KEY ("asked_by") REFERENCES "public"."accounts"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "plan_migrations" ADD CONSTRAINT "plan_migrations_from_plan_id_plans_id_fk" FOREIGN KEY ("from_plan_id") REFERENCES "public"."plans"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "plan_migrations" ADD CONSTRAINT "plan_migrations_location_id_locations_id_fk" FOREIGN KEY ("location_id") REFERENCES "public"."locations"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "plan_migrations" ADD CONSTRAINT "plan_migrations_host_id_hosts_id_fk" FOREIGN KEY ("host_id") REFERENCES "public"."hosts"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "plan_migrations" ADD CONSTRAINT "plan_migrations_account_id_accounts_id_fk" FOREIGN KEY ("account_id") REFERENCES "public"."accounts"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "plan_migrations" ADD CONSTRAINT "plan_migrations_to_version_fk" FOREIGN KEY ("to_plan_id","to_version") REFERENCES "public"."plan_versions"("plan_id","version") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE UNIQUE INDEX "plan_migration_vms_one_busy_key" ON "plan_migration_vms" USING btree ("vm_id") WHERE "plan_migration_vms"."state" in ('judging', 'running');--> statement-breakpoint
CREATE INDEX "plan_migration_vms_busy_idx" ON "plan_migration_vms" USING btree ("migration_id","vm_id") WHERE "plan_migration_vms"."state" in ('judging', 'running');--> statement-breakpoint
CREATE UNIQUE INDEX "plan_migration_vms_change_key" ON "plan_migration_vms" USING btree ("plan_change_id");--> statement-breakpoint
CREATE INDEX "plan_migration_vms_due_idx" ON "plan_migration_vms" USING btree ("migration_id","due_at","vm_id") WHERE "plan_migration_vms"."state" = 'waiting';--> statement-breakpoint
CREATE INDEX "plan_migration_vms_untold_idx" ON "plan_migration_vms" USING btree ("migration_id","account_id","vm_id") WHERE "plan_migration_vms"."state" = 'waiting' and "plan_migration_vms"."announced_at" is null;--> statement-breakpoint
CREATE INDEX "plan_migration_vms_state_idx" ON "plan_migration_vms" USING btree ("migration_id","state","vm_id");--> statement-breakpoint
CREATE INDEX "plan_migrations_open_idx" ON "plan_migrations" USING btree ("id") WHERE "plan_migrations"."state" in ('running', 'paused');--> statement-breakpoint
CREATE INDEX "plan_migrations_hash_idx" ON "plan_migrations" USING btree ("hash");--> statement-breakpoint
CREATE INDEX "plan_migrations_unbegun_idx" ON "plan_migrations" USING btree ("created_at") WHERE "plan_migrations"."begun_at" is null;
CREATE TYPE "public"."drain_method" AS ENUM('auto', 'cold');--> statement-breakpoint
CREATE TYPE "public"."drain_outcome" AS ENUM('empty', 'left', 'stopped');--> statement-breakpoint
CREATE TYPE "public"."drain_reason" AS ENUM('vm', 'running_action', 'first_boot', 'entitlement', 'source_host', 'destination_host', 'location', 'hypervisor', 'agents', 'image', 'limits', 'capabilities', 'room', 'migration_address', 'method', 'stopped', 'vm_deleted', 'vm_lost', 'source_refused', 'destination_refused', 'checksum_differs', 'not_prepared_in_time', 'not_copied_in_time', 'not_released_in_time', 'no_destination', 'no_capacity');--> statement-breakpoint
CREATE TYPE "public"."drain_vm_state" AS ENUM('waiting', 'moving', 'moved', 'stays', 'gone', 'left_out');--> statement-breakpoint
ALTER TYPE "public"."event_name" ADD VALUE 'drain.began.v1' BEFORE 'vm.change_requested.v1';--> statement-breakpoint
ALTER TYPE "public"."event_name" ADD VALUE 'drain.fell_due.v1' BEFORE 'vm.change_requested.v1';--> statement-breakpoint
ALTER TYPE "public"."event_name" ADD VALUE 'drain.ended.v1' BEFORE 'vm.change_requested.v1';--> statement-breakpoint
CREATE TABLE "drain_vms" (
	"drain_id" uuid NOT NULL,
	"vm_id" uuid NOT NULL,
	"state" "drain_vm_state" DEFAULT 'waiting' NOT NULL,
	"reason" "drain_reason",
	"detail" text,
	"move_id" uuid,
	"tries" integer DEFAULT 0 NOT NULL,
	"due_at" timestamp (3) with time zone NOT NULL,
	"ended_at" timestamp (3) with time zone,
	CONSTRAINT "drain_vms_pkey" PRIMARY KEY("drain_id","vm_id"),
	CONSTRAINT "drain_vms_reason_is_whole" CHECK (("drain_vms"."reason" is null) = ("drain_vms"."detail" is null)),
	CONSTRAINT "drain_vms_who_stays_has_reason" CHECK ("drain_vms"."state" <> 'stays' or "drain_vms"."reason" is not null),
	CONSTRAINT "drain_vms_who_moves_has_move" CHECK (("drain_vms"."state" not in ('moving', 'moved') or "drain_vms"."move_id" is not null)
        and ("drain_vms"."state" not in ('waiting', 'left_out') or "drain_vms"."move_id" is null)),
	CONSTRAINT "drain_vms_tries" CHECK ("drain_vms"."tries" >= 0),
	CONSTRAINT "drain_vms_ended_has_instant" CHECK (("drain_vms"."state" in ('waiting', 'moving')) = ("drain_vms"."ended_at" is null))
);
--> statement-breakpoint
CREATE TABLE "drains" (
	"id" uuid PRIMARY KEY NOT NULL,
	"host_id" uuid NOT NULL,
	"asked_by" uuid NOT NULL,
	"reason" text NOT NULL,
	"method" "drain_method" NOT NULL,
	"max_parallel" integer NOT NULL,
	"started_at" timestamp (3) with time zone NOT NULL,
	"ended_at" timestamp (3) with time zone,
	"outcome" "drain_outcome",
	CONSTRAINT "drains_reason_length" CHECK (length("drains"."reason") between 1 and 1000),
	CONSTRAINT "drains_have_a_pace" CHECK ("drains"."max_parallel" > 0),
	CONSTRAINT "drains_ended_has_instant" CHECK (("drains"."outcome" is null) = ("drains"."ended_at" is null))
);
--> statement-breakpoint
ALTER TABLE "drain_vms" ADD CONSTRAINT "drain_vms_drain_id_drains_id_fk" FOREIGN KEY ("drain_id") REFERENCES "public"."drains"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "drain_vms" ADD CONSTRAINT "drain_vms_vm_id_vms_id_fk" FOREIGN KEY ("vm_id") REFERENCES "public"."vms"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "drain_vms" ADD CONSTRAINT "drain_vms_move_id_moves_id_fk" FOREIGN KEY ("move_id") REFERENCES "public"."moves"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "drains" ADD CONSTRAINT "drains_host_id_hosts_id_fk" FOREIGN KEY ("host_id") REFERENCES "public"."hosts"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "drains" ADD CONSTRAINT "drains_asked_by_accounts_id_fk" FOREIGN KEY ("asked_by") REFERENCES "public"."accounts"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE UNIQUE INDEX "drain_vms_move_key" ON "drain_vms" USING btree ("move_id");--> statement-breakpoint
CREATE INDEX "drain_vms_open_idx" ON "drain_vms" USING btree ("drain_id","due_at") WHERE "drain_vms"."state" in ('waiting', 'moving');--> statement-breakpoint
CREATE UNIQUE INDEX "drains_one_open_key" ON "drains" USING btree ("host_id") WHERE "drains"."outcome" is null;--> statement-breakpoint
CREATE INDEX "drains_host_idx" ON "drains" USING btree ("host_id","id");
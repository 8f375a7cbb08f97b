CREATE TYPE "public"."disk_format" AS ENUM('qcow2', 'vhdx', 'simulated');--> statement-breakpoint
CREATE TYPE "public"."move_failure" AS ENUM('stopped', 'vm_deleted', 'vm_lost', 'source_refused', 'destination_refused', 'checksum_differs', 'not_prepared_in_time', 'not_copied_in_time', 'not_released_in_time');--> statement-breakpoint
CREATE TYPE "public"."move_method" AS ENUM('cold', 'live');--> statement-breakpoint
CREATE TYPE "public"."move_outcome" AS ENUM('moved', 'turned_back');--> statement-breakpoint
CREATE TYPE "public"."move_step" AS ENUM('prepare', 'copy', 'release', 'take_over', 'clean', 'hold', 'drop', 'ended');--> statement-breakpoint
ALTER TYPE "public"."event_name" ADD VALUE 'move.began.v1' BEFORE 'vm.change_requested.v1';--> statement-breakpoint
ALTER TYPE "public"."event_name" ADD VALUE 'move.released.v1' BEFORE 'vm.change_requested.v1';--> statement-breakpoint
ALTER TYPE "public"."event_name" ADD VALUE 'move.turned_back.v1' BEFORE 'vm.change_requested.v1';--> statement-breakpoint
ALTER TYPE "public"."event_name" ADD VALUE 'move.ended.v1' BEFORE 'vm.change_requested.v1';--> statement-breakpoint
ALTER TYPE "public"."action_error_code" ADD VALUE 'not_moved';--> statement-breakpoint
ALTER TYPE "public"."action_type" ADD VALUE 'migrate';--> statement-breakpoint
CREATE TABLE "moves" (
	"id" uuid PRIMARY KEY NOT NULL,
	"vm_id" uuid NOT NULL,
	"action_id" uuid NOT NULL,
	"source_host_id" uuid NOT NULL,
	"destination_host_id" uuid NOT NULL,
	"method" "move_method" NOT NULL,
	"step" "move_step" DEFAULT 'prepare' NOT NULL,
	"outcome" "move_outcome",
	"source_epoch" integer NOT NULL,
	"epoch" integer NOT NULL,
	"generation" integer,
	"sealed_key" text,
	"address" text NOT NULL,
	"port" integer NOT NULL,
	"mbit_per_second" integer,
	"format" "disk_format" NOT NULL,
	"virtual_bytes" bigint,
	"export_bytes" bigint,
	"base_file" text,
	"base_sha256" text,
	"is_destination_ready" boolean DEFAULT false NOT NULL,
	"sent_sha256" text,
	"received_sha256" text,
	"copied_bytes" bigint DEFAULT 0 NOT NULL,
	"failure_code" "move_failure",
	"failure_detail" text,
	"created_at" timestamp (3) with time zone NOT NULL,
	"step_at" timestamp (3) with time zone NOT NULL,
	"heard_at" timestamp (3) with time zone NOT NULL,
	"stopped_at" timestamp (3) with time zone,
	"released_at" timestamp (3) with time zone,
	"taken_over_at" timestamp (3) with time zone,
	"pause_ms" integer,
	"ended_at" timestamp (3) with time zone,
	"due_at" timestamp (3) with time zone,
	CONSTRAINT "moves_between_two" CHECK ("moves"."source_host_id" <> "moves"."destination_host_id"),
	CONSTRAINT "moves_epoch_is_new" CHECK ("moves"."epoch" > "moves"."source_epoch"),
	CONSTRAINT "moves_ended_whole" CHECK (("moves"."step"::text = 'ended') = ("moves"."outcome" is not null)
        and ("moves"."outcome" is null) = ("moves"."ended_at" is null) and ("moves"."outcome" is null) = ("moves"."sealed_key" is not null)),
	CONSTRAINT "moves_released_whole" CHECK (("moves"."released_at" is null) = ("moves"."generation" is null)
        and ("moves"."step"::text not in ('take_over', 'clean') or "moves"."released_at" is not null)
        and ("moves"."step"::text not in ('prepare', 'copy', 'release', 'hold', 'drop') or "moves"."released_at" is null)
        and ("moves"."outcome"::text is distinct from 'moved' or "moves"."released_at" is not null)
        and ("moves"."outcome"::text is distinct from 'turned_back' or "moves"."released_at" is null)),
	CONSTRAINT "moves_turned_back_says_why" CHECK (("moves"."failure_code" is null) = ("moves"."failure_detail" is null)
        and ("moves"."step"::text not in ('hold', 'drop') or "moves"."failure_code" is not null)),
	CONSTRAINT "moves_disk_whole" CHECK (num_nonnulls("moves"."virtual_bytes", "moves"."export_bytes") in (0, 2) and num_nonnulls("moves"."base_file", "moves"."base_sha256") in (0, 2))
);
--> statement-breakpoint
DROP INDEX "reservations_held_vm_key";--> statement-breakpoint
ALTER TABLE "reservations" ADD COLUMN "by_move" boolean DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE "moves" ADD CONSTRAINT "moves_vm_id_vms_id_fk" FOREIGN KEY ("vm_id") REFERENCES "public"."vms"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "moves" ADD CONSTRAINT "moves_action_id_actions_id_fk" FOREIGN KEY ("action_id") REFERENCES "public"."actions"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "moves" ADD CONSTRAINT "moves_source_host_id_hosts_id_fk" FOREIGN KEY ("source_host_id") REFERENCES "public"."hosts"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "moves" ADD CONSTRAINT "moves_destination_host_id_hosts_id_fk" FOREIGN KEY ("destination_host_id") REFERENCES "public"."hosts"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE UNIQUE INDEX "moves_action_key" ON "moves" USING btree ("action_id");--> statement-breakpoint
CREATE UNIQUE INDEX "moves_epoch_key" ON "moves" USING btree ("vm_id","epoch");--> statement-breakpoint
CREATE UNIQUE INDEX "moves_one_open_key" ON "moves" USING btree ("vm_id") WHERE "moves"."outcome" is null;--> statement-breakpoint
CREATE INDEX "moves_from_open_idx" ON "moves" USING btree ("source_host_id") WHERE "moves"."outcome" is null;--> statement-breakpoint
CREATE INDEX "moves_to_open_idx" ON "moves" USING btree ("destination_host_id") WHERE "moves"."outcome" is null;--> statement-breakpoint
CREATE INDEX "moves_owned_idx" ON "moves" USING btree ("source_host_id","vm_id") WHERE "moves"."released_at" is not null;--> statement-breakpoint
CREATE INDEX "moves_due_idx" ON "moves" USING btree ("due_at") WHERE "moves"."outcome" is null;--> statement-breakpoint
CREATE INDEX "moves_vm_idx" ON "moves" USING btree ("vm_id","id");--> statement-breakpoint
CREATE UNIQUE INDEX "reservations_held_vm_key" ON "reservations" USING btree ("vm_id") WHERE "reservations"."released_at" is null and not "reservations"."by_move";
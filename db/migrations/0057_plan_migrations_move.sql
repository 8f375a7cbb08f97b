ALTER TYPE "public"."plan_migration_vm_state" ADD VALUE 'moving' BEFORE 'running';--> statement-breakpoint
ALTER TYPE "public"."plan_migration_vm_state" ADD VALUE 'arrived' BEFORE 'running';--> statement-breakpoint
ALTER TABLE "plan_migration_vms" DROP CONSTRAINT "plan_migration_vms_begun_has_change";--> statement-breakpoint
ALTER TABLE "plan_migration_vms" DROP CONSTRAINT "plan_migration_vms_ended_has_instant";--> statement-breakpoint
DROP INDEX "plan_migration_vms_one_busy_key";--> statement-breakpoint
DROP INDEX "plan_migration_vms_busy_idx";--> statement-breakpoint
ALTER TABLE "plan_migration_vms" ADD COLUMN "to_host_id" uuid;--> statement-breakpoint
ALTER TABLE "plan_migration_vms" ADD COLUMN "move_id" uuid;--> statement-breakpoint
ALTER TABLE "plan_migration_vms" ADD CONSTRAINT "plan_migration_vms_to_host_id_hosts_id_fk" FOREIGN KEY ("to_host_id") REFERENCES "public"."hosts"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "plan_migration_vms" ADD CONSTRAINT "plan_migration_vms_move_id_moves_id_fk" FOREIGN KEY ("move_id") REFERENCES "public"."moves"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE UNIQUE INDEX "plan_migration_vms_move_key" ON "plan_migration_vms" USING btree ("move_id");--> statement-breakpoint
CREATE UNIQUE INDEX "plan_migration_vms_one_busy_key" ON "plan_migration_vms" USING btree ("vm_id") WHERE "plan_migration_vms"."state" not in ('waiting', 'refused', 'done', 'failed', 'drifted', 'left_out');--> statement-breakpoint
CREATE INDEX "plan_migration_vms_busy_idx" ON "plan_migration_vms" USING btree ("migration_id","vm_id") WHERE "plan_migration_vms"."state" not in ('waiting', 'refused', 'done', 'failed', 'drifted', 'left_out');--> statement-breakpoint
ALTER TABLE "plan_migration_vms" ADD CONSTRAINT "plan_migration_vms_failed_was_begun" CHECK ("plan_migration_vms"."state" <> 'failed' or "plan_migration_vms"."plan_change_id" is not null or "plan_migration_vms"."move_id" is not null);--> statement-breakpoint
ALTER TABLE "plan_migration_vms" ADD CONSTRAINT "plan_migration_vms_moving_has_move" CHECK ("plan_migration_vms"."state" in ('waiting', 'refused', 'judging', 'running', 'done', 'failed', 'drifted', 'left_out')
        or "plan_migration_vms"."move_id" is not null);--> statement-breakpoint
ALTER TABLE "plan_migration_vms" ADD CONSTRAINT "plan_migration_vms_begun_has_change" CHECK ("plan_migration_vms"."state" not in ('running', 'done') or "plan_migration_vms"."plan_change_id" is not null);--> statement-breakpoint
ALTER TABLE "plan_migration_vms" ADD CONSTRAINT "plan_migration_vms_ended_has_instant" CHECK (("plan_migration_vms"."state" in ('done', 'failed', 'drifted', 'left_out')) = ("plan_migration_vms"."ended_at" is not null));
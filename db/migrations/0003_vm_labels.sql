ALTER TYPE "public"."event_name" ADD VALUE 'vm.relabelled.v1' BEFORE 'vm.initial_password_taken.v1';--> statement-breakpoint
ALTER TABLE "vms" ADD COLUMN "label" text;
ALTER TYPE "public"."action_error_code" ADD VALUE 'cancelled';--> statement-breakpoint
ALTER TYPE "public"."action_error_code" ADD VALUE 'abandoned';--> statement-breakpoint
ALTER TABLE "actions" ADD COLUMN "host_generation" integer;--> statement-breakpoint
ALTER TABLE "actions" ADD COLUMN "prior_power" "vm_desired_power";--> statement-breakpoint
ALTER TABLE "actions" ADD COLUMN "prior_stop_mode" "vm_stop_mode";--> statement-breakpoint
ALTER TABLE "vms" ADD COLUMN "last_error_since" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "vms" ADD COLUMN "last_error_times" integer DEFAULT 0 NOT NULL;
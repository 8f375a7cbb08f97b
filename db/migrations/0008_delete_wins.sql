ALTER TYPE "public"."action_error_code" ADD VALUE 'superseded';--> statement-breakpoint
ALTER TABLE "orders" ADD COLUMN "root_password" boolean DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE "vms" ADD COLUMN "root_password" boolean DEFAULT false NOT NULL;
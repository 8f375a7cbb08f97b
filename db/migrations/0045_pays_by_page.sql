CREATE TYPE "public"."pays_by" AS ENUM('card', 'other');--> statement-breakpoint
ALTER TABLE "plan_changes" ADD COLUMN "checkout_id" text;--> statement-breakpoint
ALTER TABLE "resize_quotes" ADD COLUMN "pays_by" "pays_by" DEFAULT 'card' NOT NULL;--> statement-breakpoint
CREATE UNIQUE INDEX "plan_changes_checkout_key" ON "plan_changes" USING btree ("checkout_id");
CREATE TYPE "public"."billing_queue" AS ENUM('purchases', 'billing-events');--> statement-breakpoint
ALTER TABLE "entitlements" ADD COLUMN "subscription_version" text;--> statement-breakpoint
ALTER TABLE "inbox" ADD COLUMN "object_version" text;--> statement-breakpoint
ALTER TABLE "inbox" ADD COLUMN "queue" "billing_queue" DEFAULT 'billing-events' NOT NULL;--> statement-breakpoint
ALTER TABLE "inbox" ADD COLUMN "looked_at_until" timestamp (3) with time zone;--> statement-breakpoint
CREATE INDEX "inbox_unapplied_object_idx" ON "inbox" USING btree ("object_id") WHERE "inbox"."applied_at" is null;
ALTER TYPE "public"."ledger_kind" ADD VALUE 'refund_reversal';--> statement-breakpoint
ALTER TYPE "public"."event_name" ADD VALUE 'order.refund_failed.v1' BEFORE 'subscription.cancellation_fell_due.v1';--> statement-breakpoint
DROP INDEX "plan_prices_plan_interval_key";--> statement-breakpoint
ALTER TABLE "inbox" ADD COLUMN "rung_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "entitlements" ADD COLUMN "tried_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "orders" ADD COLUMN "tried_at" timestamp (3) with time zone;--> statement-breakpoint
CREATE UNIQUE INDEX "plan_prices_plan_interval_key" ON "plan_prices" USING btree ("plan_id","interval");
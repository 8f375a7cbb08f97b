ALTER TYPE "public"."attempt_limit" ADD VALUE 'card';--> statement-breakpoint
ALTER TYPE "public"."event_name" ADD VALUE 'card.changed.v1' BEFORE 'payment.crossed.v1';--> statement-breakpoint
ALTER TABLE "billing_customers" ADD COLUMN "card_id" text;--> statement-breakpoint
ALTER TABLE "orders" ADD COLUMN "by_card" boolean DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE "orders" ADD COLUMN "card_id" text;--> statement-breakpoint
ALTER TABLE "orders" ADD COLUMN "subscription_id" text;--> statement-breakpoint
ALTER TABLE "orders" ADD COLUMN "decline_code" text;--> statement-breakpoint
CREATE UNIQUE INDEX "orders_subscription_key" ON "orders" USING btree ("subscription_id");--> statement-breakpoint
ALTER TABLE "orders" ADD CONSTRAINT "orders_by_card_or_page" CHECK (case when "orders"."by_card" then "orders"."checkout_id" is null
        else num_nonnulls("orders"."card_id", "orders"."subscription_id", "orders"."decline_code") = 0 end);
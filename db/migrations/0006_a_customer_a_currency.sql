ALTER TABLE "billing_customers" DROP CONSTRAINT "billing_customers_pkey";--> statement-breakpoint
ALTER TABLE "billing_customers" ALTER COLUMN "customer_id" DROP NOT NULL;--> statement-breakpoint
ALTER TABLE "billing_customers" ADD COLUMN "currency" text;--> statement-breakpoint
ALTER TABLE "billing_customers" ADD COLUMN "attempt" integer DEFAULT 1 NOT NULL;--> statement-breakpoint
UPDATE "billing_customers" SET "currency" = coalesce(
  (SELECT o."currency" FROM "orders" o WHERE o."account_id" = "billing_customers"."account_id" ORDER BY o."created_at" DESC LIMIT 1),
  'usd');--> statement-breakpoint
ALTER TABLE "billing_customers" ALTER COLUMN "currency" SET NOT NULL;--> statement-breakpoint
ALTER TABLE "billing_customers" ALTER COLUMN "currency" SET DEFAULT 'usd';--> statement-breakpoint
ALTER TABLE "billing_customers" ADD CONSTRAINT "billing_customers_pkey" PRIMARY KEY("account_id","currency");

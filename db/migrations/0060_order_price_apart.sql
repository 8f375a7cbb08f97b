ALTER TABLE "orders" ADD COLUMN "discount_minor" bigint DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "orders" ADD COLUMN "tax_minor" bigint DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "orders" ADD CONSTRAINT "orders_due_not_negative" CHECK ("orders"."discount_minor" between 0 and "orders"."total_minor" + "orders"."tax_minor" and "orders"."tax_minor" >= 0);
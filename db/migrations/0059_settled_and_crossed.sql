CREATE TYPE "public"."asked_when_ended" AS ENUM('void');--> statement-breakpoint
ALTER TYPE "public"."event_name" ADD VALUE 'payment.crossed.v1' BEFORE 'plan_change.began.v1';--> statement-breakpoint
CREATE TABLE "ending_policies" (
	"version" integer PRIMARY KEY NOT NULL,
	"asked" "asked_when_ended" NOT NULL,
	"from" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
DROP INDEX "services_to_cancel_idx";--> statement-breakpoint
ALTER TABLE "give_backs" ALTER COLUMN "loss_id" DROP NOT NULL;--> statement-breakpoint
ALTER TABLE "give_backs" ALTER COLUMN "vm_id" DROP NOT NULL;--> statement-breakpoint
ALTER TABLE "invoices" ADD COLUMN "paid_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "invoices" ADD COLUMN "crossed_end_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "invoices" ADD COLUMN "settled_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "invoices" ADD COLUMN "tried_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "services" ADD COLUMN "settled_at" timestamp (3) with time zone;--> statement-breakpoint
CREATE UNIQUE INDEX "ending_policies_from_key" ON "ending_policies" USING btree ("from");--> statement-breakpoint
CREATE UNIQUE INDEX "give_backs_crossed_once_key" ON "give_backs" USING btree ("invoice_id") WHERE "give_backs"."loss_id" is null;--> statement-breakpoint
CREATE INDEX "invoices_crossed_idx" ON "invoices" USING btree (coalesce("tried_at", "crossed_end_at")) WHERE "invoices"."crossed_end_at" is not null and "invoices"."settled_at" is null;--> statement-breakpoint
CREATE INDEX "services_to_settle_idx" ON "services" USING btree (coalesce("tried_at", "updated_at")) WHERE "services"."subscription_id" is not null and "services"."settled_at" is null
          and ("services"."vm_is_to_go" or "services"."subscription_status" in ('canceled', 'incomplete_expired'));--> statement-breakpoint
ALTER TABLE "give_backs" ADD CONSTRAINT "give_backs_loss_has_vm" CHECK ("give_backs"."loss_id" is null or "give_backs"."vm_id" is not null);--> statement-breakpoint
ALTER TABLE "invoices" ADD CONSTRAINT "invoices_crossed_was_paid" CHECK ("invoices"."crossed_end_at" is null or ("invoices"."status" = 'paid' and "invoices"."paid_at" > "invoices"."crossed_end_at"));--> statement-breakpoint
ALTER TABLE "invoices" ADD CONSTRAINT "invoices_settled_has_crossed" CHECK ("invoices"."settled_at" is null or "invoices"."crossed_end_at" is not null);--> statement-breakpoint
-- The first version holds for whatever ended before there was one, too.
INSERT INTO "ending_policies" ("version", "asked", "from") VALUES (1, 'void', '2000-01-01T00:00:00Z');
--> statement-breakpoint
-- A policy that was in force is never another one later: migrations alone add to them.
REVOKE INSERT, UPDATE ON "ending_policies" FROM berth_functions;

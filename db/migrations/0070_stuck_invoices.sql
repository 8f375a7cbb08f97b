ALTER TABLE "invoices" ADD COLUMN "stuck_because" text;--> statement-breakpoint
CREATE INDEX "invoices_stuck_idx" ON "invoices" USING btree ("order_id") WHERE "invoices"."stuck_because" is not null;
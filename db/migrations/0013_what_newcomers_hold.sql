ALTER TABLE "orders" ADD COLUMN "newcomer" boolean DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE "orders" ADD COLUMN "network" "cidr";--> statement-breakpoint
CREATE INDEX "idempotency_keys_resource_idx" ON "idempotency_keys" USING btree ("resource_id");--> statement-breakpoint
CREATE INDEX "orders_newcomers_idx" ON "orders" USING btree ("location_id") WHERE "orders"."state" = 'awaiting_payment' and "orders"."newcomer";--> statement-breakpoint
CREATE INDEX "orders_network_idx" ON "orders" USING btree ("network") WHERE "orders"."network" is not null;--> statement-breakpoint
CREATE INDEX "orders_expired_idx" ON "orders" USING btree ("expires_at") WHERE "orders"."state" = 'expired';--> statement-breakpoint
CREATE INDEX "reservations_order_idx" ON "reservations" USING btree ("order_id");--> statement-breakpoint
ALTER TABLE "orders" ADD CONSTRAINT "orders_network_of_newcomers" CHECK ("orders"."network" is null or "orders"."newcomer");
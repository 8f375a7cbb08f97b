CREATE TABLE "host_kinds" (
	"id" uuid PRIMARY KEY NOT NULL,
	"location_id" uuid NOT NULL,
	"test_only" boolean NOT NULL,
	"facts" jsonb NOT NULL,
	"images" jsonb
);
--> statement-breakpoint
ALTER TABLE "ip_addresses" DROP CONSTRAINT "ip_addresses_pool_id_network_pools_id_fk";
--> statement-breakpoint
DROP INDEX "hosts_location_idx";--> statement-breakpoint
DROP INDEX "ip_addresses_free_idx";--> statement-breakpoint
ALTER TABLE "entitlements" ADD COLUMN "vm_is_to_go" boolean DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE "hosts" ADD COLUMN "kind_id" uuid;--> statement-breakpoint
ALTER TABLE "ip_addresses" ADD COLUMN "location_id" uuid;--> statement-breakpoint
UPDATE "ip_addresses" a SET "location_id" = p."location_id" FROM "network_pools" p WHERE p."id" = a."pool_id";--> statement-breakpoint
ALTER TABLE "ip_addresses" ALTER COLUMN "location_id" SET NOT NULL;--> statement-breakpoint
ALTER TABLE "host_kinds" ADD CONSTRAINT "host_kinds_location_id_locations_id_fk" FOREIGN KEY ("location_id") REFERENCES "public"."locations"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "host_kinds_location_idx" ON "host_kinds" USING btree ("location_id");--> statement-breakpoint
ALTER TABLE "hosts" ADD CONSTRAINT "hosts_kind_id_host_kinds_id_fk" FOREIGN KEY ("kind_id") REFERENCES "public"."host_kinds"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "network_pools" ADD CONSTRAINT "network_pools_of_location_key" UNIQUE("id","location_id");--> statement-breakpoint
ALTER TABLE "ip_addresses" ADD CONSTRAINT "ip_addresses_pool_fk" FOREIGN KEY ("pool_id","location_id") REFERENCES "public"."network_pools"("id","location_id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "spent_codes_spent_at_idx" ON "spent_codes" USING btree ("spent_at");--> statement-breakpoint
CREATE INDEX "entitlements_to_cancel_idx" ON "entitlements" USING btree (coalesce("tried_at", "updated_at")) WHERE "entitlements"."vm_is_to_go" and "entitlements"."subscription_id" is not null
          and "entitlements"."subscription_status" not in ('canceled', 'incomplete_expired');--> statement-breakpoint
CREATE INDEX "hosts_room_idx" ON "hosts" USING btree ("kind_id",("capacity_memory_mib" - "allocated_memory_mib") desc,"id",("capacity_vcpus" - "allocated_vcpus"),("capacity_disk_gib" - "allocated_disk_gib"),("capacity_vms" - "allocated_vms")) WHERE "hosts"."state" = 'active';--> statement-breakpoint
CREATE INDEX "hosts_kind_idx" ON "hosts" USING btree ("kind_id");--> statement-breakpoint
CREATE INDEX "inbox_applied_idx" ON "inbox" USING btree ("applied_at") WHERE "inbox"."applied_at" is not null;--> statement-breakpoint
CREATE INDEX "outbox_sent_idx" ON "outbox" USING btree ("sent_at") WHERE "outbox"."sent_at" is not null;--> statement-breakpoint
CREATE INDEX "ip_addresses_free_idx" ON "ip_addresses" USING btree ("location_id","busy_until","address");
ALTER TYPE "public"."event_name" ADD VALUE 'billing.frozen.v1' BEFORE 'vm.change_requested.v1';--> statement-breakpoint
ALTER TYPE "public"."event_name" ADD VALUE 'billing.resumed.v1' BEFORE 'vm.change_requested.v1';--> statement-breakpoint
ALTER TABLE "entitlements" ADD COLUMN "frozen_at" timestamp (3) with time zone;--> statement-breakpoint
CREATE INDEX "entitlements_frozen_idx" ON "entitlements" USING btree ("frozen_at") WHERE "entitlements"."frozen_at" is not null;--> statement-breakpoint
CREATE INDEX "vms_lost_idx" ON "vms" USING btree ("lost_at") WHERE "vms"."lost_at" is not null;
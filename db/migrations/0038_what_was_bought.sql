CREATE TYPE "public"."payer" AS ENUM('stripe', 'integration', 'staff');--> statement-breakpoint
CREATE TABLE "services" (
	"vm_id" uuid PRIMARY KEY NOT NULL,
	"plan_id" uuid NOT NULL,
	"plan_version" integer NOT NULL,
	"payer" "payer" NOT NULL,
	"interval" "billing_interval",
	"amount_minor" bigint,
	"currency" char(3),
	"subscription_id" text,
	"subscription_status" text,
	"subscription_version" text,
	"entitled_until" timestamp (3) with time zone NOT NULL,
	"vm_is_to_go" boolean DEFAULT false NOT NULL,
	"frozen_at" timestamp (3) with time zone,
	"freeze_unsure" boolean DEFAULT false NOT NULL,
	"tried_at" timestamp (3) with time zone,
	"updated_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "services_price_is_whole" CHECK (num_nonnulls("services"."interval", "services"."amount_minor", "services"."currency") in (0, 3) and "services"."amount_minor" > 0),
	CONSTRAINT "services_stripe_has_a_price" CHECK (("services"."payer" <> 'stripe' or "services"."amount_minor" is not null)
        and ("services"."payer" = 'stripe' or num_nonnulls("services"."subscription_id", "services"."subscription_status", "services"."subscription_version") = 0))
);
--> statement-breakpoint
CREATE TABLE "plan_versions" (
	"plan_id" uuid NOT NULL,
	"version" integer NOT NULL,
	"vcpus" integer NOT NULL,
	"memory_mib" integer NOT NULL,
	"disk_gib" integer NOT NULL,
	"traffic_gib" integer NOT NULL,
	"bandwidth_mbit" integer,
	"disk_iops" integer,
	"created_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "plan_versions_pkey" PRIMARY KEY("plan_id","version"),
	CONSTRAINT "plan_versions_from_one" CHECK ("plan_versions"."version" > 0),
	CONSTRAINT "plan_versions_size_positive" CHECK ("plan_versions"."vcpus" > 0 and "plan_versions"."memory_mib" > 0 and "plan_versions"."disk_gib" > 0 and "plan_versions"."traffic_gib" >= 0),
	CONSTRAINT "plan_versions_limits_positive" CHECK ("plan_versions"."bandwidth_mbit" > 0 and "plan_versions"."disk_iops" > 0)
);
--> statement-breakpoint
-- What each plan was until now is its first version, and all that was ordered was of that.
INSERT INTO "plan_versions" ("plan_id", "version", "vcpus", "memory_mib", "disk_gib", "traffic_gib", "bandwidth_mbit", "disk_iops", "created_at")
  SELECT "id", 1, "vcpus", "memory_mib", "disk_gib", "traffic_gib", "bandwidth_mbit", "disk_iops", "created_at" FROM "plans";
--> statement-breakpoint
ALTER TABLE "plan_prices" ADD COLUMN "plan_version" integer DEFAULT 1 NOT NULL;--> statement-breakpoint
ALTER TABLE "plan_prices" ALTER COLUMN "plan_version" DROP DEFAULT;--> statement-breakpoint
ALTER TABLE "orders" ADD COLUMN "plan_version" integer DEFAULT 1 NOT NULL;--> statement-breakpoint
ALTER TABLE "orders" ALTER COLUMN "plan_version" DROP DEFAULT;--> statement-breakpoint
-- Answers that are kept for a repeat of their request have what today's have.
UPDATE "idempotency_keys" SET "response" = jsonb_set("response", '{order,planVersion}', '1') WHERE "response" -> 'order' ? 'planId';
--> statement-breakpoint
ALTER TABLE "reservations" ADD COLUMN "vm_id" uuid;--> statement-breakpoint
UPDATE "reservations" r SET "vm_id" = o."vm_id" FROM "orders" o WHERE o."id" = r."order_id";--> statement-breakpoint
ALTER TABLE "reservations" ALTER COLUMN "vm_id" SET NOT NULL;--> statement-breakpoint
ALTER TABLE "vms" ADD COLUMN "bandwidth_mbit" integer;--> statement-breakpoint
ALTER TABLE "vms" ADD COLUMN "disk_iops" integer;--> statement-breakpoint
UPDATE "vms" v SET "bandwidth_mbit" = p."bandwidth_mbit", "disk_iops" = p."disk_iops"
  FROM "plans" p WHERE p."id" = v."plan_id" AND num_nonnulls(p."bandwidth_mbit", p."disk_iops") > 0;
--> statement-breakpoint
-- Of each VM and of each entitlement; what was bought is what its order says. A VM that somebody made without an entitlement
-- had no right to run, and gets none.
INSERT INTO "services" ("vm_id", "plan_id", "plan_version", "payer", "interval", "amount_minor", "currency", "subscription_id",
    "subscription_status", "subscription_version", "entitled_until", "vm_is_to_go", "frozen_at", "freeze_unsure", "tried_at", "updated_at")
  SELECT o."vm_id", o."plan_id", 1, 'stripe', o."billing_interval", o."total_minor", o."currency", e."subscription_id",
    e."subscription_status", e."subscription_version", coalesce(e."until", v."created_at"),
    coalesce(e."vm_is_to_go", v."presence" = 'absent'), e."frozen_at", coalesce(e."freeze_unsure", false), e."tried_at",
    coalesce(e."updated_at", v."created_at")
  FROM "orders" o LEFT JOIN "entitlements" e ON e."order_id" = o."id" LEFT JOIN "vms" v ON v."order_id" = o."id"
  WHERE e."order_id" IS NOT NULL OR v."order_id" IS NOT NULL;
--> statement-breakpoint
ALTER TABLE "services" ADD CONSTRAINT "services_plan_version_fk" FOREIGN KEY ("plan_id","plan_version") REFERENCES "public"."plan_versions"("plan_id","version") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "plan_versions" ADD CONSTRAINT "plan_versions_plan_id_plans_id_fk" FOREIGN KEY ("plan_id") REFERENCES "public"."plans"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "services_of_plan_idx" ON "services" USING btree ("plan_id","vm_id");--> statement-breakpoint
CREATE UNIQUE INDEX "services_subscription_key" ON "services" USING btree ("subscription_id");--> statement-breakpoint
CREATE INDEX "services_frozen_idx" ON "services" USING btree ("frozen_at") WHERE "services"."frozen_at" is not null;--> statement-breakpoint
CREATE INDEX "services_to_cancel_idx" ON "services" USING btree (coalesce("tried_at", "updated_at")) WHERE "services"."vm_is_to_go" and "services"."subscription_id" is not null
          and "services"."subscription_status" not in ('canceled', 'incomplete_expired');--> statement-breakpoint
ALTER TABLE "plan_prices" ADD CONSTRAINT "plan_prices_plan_version_fk" FOREIGN KEY ("plan_id","plan_version") REFERENCES "public"."plan_versions"("plan_id","version") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "orders" ADD CONSTRAINT "orders_plan_version_fk" FOREIGN KEY ("plan_id","plan_version") REFERENCES "public"."plan_versions"("plan_id","version") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE UNIQUE INDEX "plan_prices_version_interval_key" ON "plan_prices" USING btree ("plan_id","plan_version","interval");--> statement-breakpoint
CREATE UNIQUE INDEX "reservations_held_vm_key" ON "reservations" USING btree ("vm_id") WHERE "reservations"."released_at" is null;--> statement-breakpoint
CREATE INDEX "reservations_vm_idx" ON "reservations" USING btree ("vm_id");--> statement-breakpoint
-- What moved stands in its new place only (docs/adr/0045). The triggers and functions that spoke of the old ones speak of the
-- new ones.
CREATE OR REPLACE FUNCTION vm_that_goes_is_told() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE services SET vm_is_to_go = (NEW.presence = 'absent') WHERE vm_id = NEW.id;
  RETURN NULL;
END $$;
--> statement-breakpoint
CREATE OR REPLACE FUNCTION held_rooms_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.released_at IS NULL OR EXISTS (SELECT 1 FROM vms WHERE id = OLD.vm_id) THEN
    RAISE EXCEPTION 'reservation % is held, or was a VM''s, and stays', OLD.id
      USING ERRCODE = 'restrict_violation', CONSTRAINT = 'held_rooms_stay';
  END IF;
  RETURN OLD;
END $$;
--> statement-breakpoint
-- An order that led to a VM is not named by it any more, and stays all the same.
CREATE OR REPLACE FUNCTION only_expired_is_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.state <> 'expired' OR OLD.paid_at IS NOT NULL OR EXISTS (SELECT 1 FROM services WHERE vm_id = OLD.vm_id) THEN
    RAISE EXCEPTION 'order % is %, and stays', OLD.id, OLD.state
      USING ERRCODE = 'restrict_violation', CONSTRAINT = 'only_expired_is_deleted';
  END IF;
  RETURN OLD;
END $$;
--> statement-breakpoint
DROP TABLE "entitlements";--> statement-breakpoint
ALTER TABLE "plans" DROP CONSTRAINT "plans_size_positive";--> statement-breakpoint
ALTER TABLE "plan_prices" DROP CONSTRAINT "plan_prices_plan_id_plans_id_fk";
--> statement-breakpoint
ALTER TABLE "orders" DROP CONSTRAINT "orders_plan_id_plans_id_fk";
--> statement-breakpoint
ALTER TABLE "reservations" DROP CONSTRAINT "reservations_order_id_orders_id_fk";
--> statement-breakpoint
ALTER TABLE "vms" DROP CONSTRAINT "vms_order_id_orders_id_fk";
--> statement-breakpoint
ALTER TABLE "vms" DROP CONSTRAINT "vms_plan_id_plans_id_fk";
--> statement-breakpoint
DROP INDEX "plan_prices_plan_interval_key";--> statement-breakpoint
DROP INDEX "reservations_held_order_key";--> statement-breakpoint
DROP INDEX "reservations_order_idx";--> statement-breakpoint
DROP INDEX "vms_order_key";--> statement-breakpoint
ALTER TABLE "plans" DROP COLUMN "vcpus";--> statement-breakpoint
ALTER TABLE "plans" DROP COLUMN "memory_mib";--> statement-breakpoint
ALTER TABLE "plans" DROP COLUMN "disk_gib";--> statement-breakpoint
ALTER TABLE "plans" DROP COLUMN "traffic_gib";--> statement-breakpoint
ALTER TABLE "plans" DROP COLUMN "bandwidth_mbit";--> statement-breakpoint
ALTER TABLE "plans" DROP COLUMN "disk_iops";--> statement-breakpoint
ALTER TABLE "reservations" DROP COLUMN "order_id";--> statement-breakpoint
ALTER TABLE "vms" DROP COLUMN "order_id";--> statement-breakpoint
ALTER TABLE "vms" DROP COLUMN "plan_id";--> statement-breakpoint
DROP FUNCTION entitlement_knows_its_vm();
--> statement-breakpoint
-- Invariant 2: no VM without what was bought. It is written first, so that a VM which is inserted as absent tells it.
ALTER TABLE "vms" ADD CONSTRAINT "vms_were_bought" FOREIGN KEY ("id") REFERENCES "services"("vm_id");
--> statement-breakpoint
-- What is sold under a customer never changes: a plan that is to be another has another version.
CREATE TRIGGER plan_versions_append_only BEFORE UPDATE OR DELETE ON "plan_versions"
  FOR EACH ROW EXECUTE FUNCTION append_only();
--> statement-breakpoint
CREATE TRIGGER plan_versions_no_truncate BEFORE TRUNCATE ON "plan_versions"
  FOR EACH STATEMENT EXECUTE FUNCTION append_only();
--> statement-breakpoint
CREATE TRIGGER plan_prices_append_only BEFORE DELETE ON "plan_prices"
  FOR EACH ROW EXECUTE FUNCTION append_only();
--> statement-breakpoint
CREATE TRIGGER plan_prices_no_truncate BEFORE TRUNCATE ON "plan_prices"
  FOR EACH STATEMENT EXECUTE FUNCTION append_only();
--> statement-breakpoint
-- But for the provider's id, which is told once.
CREATE TRIGGER plan_prices_keep_their_price BEFORE UPDATE ON "plan_prices" FOR EACH ROW
  WHEN ((OLD.id, OLD.plan_id, OLD.plan_version, OLD."interval", OLD.amount_minor, OLD.currency, OLD.created_at)
      IS DISTINCT FROM (NEW.id, NEW.plan_id, NEW.plan_version, NEW."interval", NEW.amount_minor, NEW.currency, NEW.created_at)
    OR OLD.stripe_price_id <> coalesce(NEW.stripe_price_id, ''))
  EXECUTE FUNCTION append_only();
--> statement-breakpoint
REVOKE UPDATE ON "plan_versions", "plan_prices" FROM berth_functions;
--> statement-breakpoint
GRANT UPDATE ("stripe_price_id") ON "plan_prices" TO berth_functions;

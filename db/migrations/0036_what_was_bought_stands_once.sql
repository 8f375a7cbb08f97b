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

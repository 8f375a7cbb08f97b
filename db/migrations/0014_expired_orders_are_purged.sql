-- Orders that nobody paid are deleted some weeks after they ran out (`purgeExpiredOrders`), with what they held.
GRANT DELETE ON "orders", "reservations", "ip_leases" TO berth_functions;
--> statement-breakpoint
-- Whoever deletes: what was paid, or led to a VM, stays. (Invoices, entitlements and the ledger name their order by a
-- foreign key, and so keep it too.)
CREATE FUNCTION only_expired_is_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.state <> 'expired' OR OLD.paid_at IS NOT NULL THEN
    RAISE EXCEPTION 'order % is %, and stays', OLD.id, OLD.state
      USING ERRCODE = 'restrict_violation', CONSTRAINT = 'only_expired_is_deleted';
  END IF;
  RETURN OLD;
END $$;
--> statement-breakpoint
CREATE TRIGGER orders_only_expired_is_deleted BEFORE DELETE ON "orders"
  FOR EACH ROW EXECUTE FUNCTION only_expired_is_deleted();
--> statement-breakpoint
-- Who had an address, and when, is told from leases: those of VMs stay.
CREATE FUNCTION leases_of_vms_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.released_at IS NULL OR EXISTS (SELECT 1 FROM vms WHERE id = OLD.vm_id) THEN
    RAISE EXCEPTION 'the lease of % by VM % stays', OLD.address, OLD.vm_id
      USING ERRCODE = 'restrict_violation', CONSTRAINT = 'leases_of_vms_stay';
  END IF;
  RETURN OLD;
END $$;
--> statement-breakpoint
CREATE TRIGGER ip_leases_of_vms_stay BEFORE DELETE ON "ip_leases"
  FOR EACH ROW EXECUTE FUNCTION leases_of_vms_stay();
--> statement-breakpoint
CREATE FUNCTION held_rooms_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.released_at IS NULL OR EXISTS (SELECT 1 FROM vms WHERE order_id = OLD.order_id) THEN
    RAISE EXCEPTION 'reservation % is held, or was a VM''s, and stays', OLD.id
      USING ERRCODE = 'restrict_violation', CONSTRAINT = 'held_rooms_stay';
  END IF;
  RETURN OLD;
END $$;
--> statement-breakpoint
CREATE TRIGGER reservations_held_rooms_stay BEFORE DELETE ON "reservations"
  FOR EACH ROW EXECUTE FUNCTION held_rooms_stay();

-- What drizzle's schema has no words for. The database refuses nonsense whoever writes it (style §6).

CREATE EXTENSION IF NOT EXISTS btree_gist;
--> statement-breakpoint
-- Invariant 13: an address has at most one owner at any time, its quarantine included.
ALTER TABLE "ip_leases" ADD CONSTRAINT "ip_leases_no_overlap"
  EXCLUDE USING gist ("address" inet_ops WITH =, "during" WITH &&);
--> statement-breakpoint
-- An address belongs to one pool.
ALTER TABLE "network_pools" ADD CONSTRAINT "network_pools_no_overlap"
  EXCLUDE USING gist ("cidr" inet_ops WITH &&);
--> statement-breakpoint
-- Invariant 10: usage intervals of one VM never overlap.
ALTER TABLE "usage_samples" ADD CONSTRAINT "usage_samples_no_overlap"
  EXCLUDE USING gist ("vm_id" WITH =, tstzrange("from_at", "to_at") WITH &&);
--> statement-breakpoint
-- Invariant 8: each ledger transaction sums to zero in each currency. Checked at commit, when it is whole.
CREATE FUNCTION ledger_must_balance() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (
    SELECT 1 FROM ledger_entries WHERE transaction_id = NEW.transaction_id
    GROUP BY currency HAVING sum(amount_minor) <> 0
  ) THEN
    RAISE EXCEPTION 'ledger transaction % does not sum to zero', NEW.transaction_id
      USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_must_balance';
  END IF;
  RETURN NULL;
END $$;
--> statement-breakpoint
CREATE CONSTRAINT TRIGGER ledger_entries_balance AFTER INSERT ON "ledger_entries"
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ledger_must_balance();
--> statement-breakpoint
CREATE FUNCTION append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% is append-only', TG_TABLE_NAME
    USING ERRCODE = 'restrict_violation', CONSTRAINT = 'append_only';
END $$;
--> statement-breakpoint
CREATE TRIGGER ledger_transactions_append_only BEFORE UPDATE OR DELETE ON "ledger_transactions"
  FOR EACH ROW EXECUTE FUNCTION append_only();
--> statement-breakpoint
CREATE TRIGGER ledger_entries_append_only BEFORE UPDATE OR DELETE ON "ledger_entries"
  FOR EACH ROW EXECUTE FUNCTION append_only();
--> statement-breakpoint
CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE ON "audit_log"
  FOR EACH ROW EXECUTE FUNCTION append_only();
--> statement-breakpoint
-- Invariant 15: generations and owner epochs only grow.
CREATE FUNCTION vm_counters_only_grow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.generation < OLD.generation OR NEW.owner_epoch < OLD.owner_epoch
     OR NEW.observed_generation < OLD.observed_generation THEN
    RAISE EXCEPTION 'a counter of VM % would go back', OLD.id
      USING ERRCODE = 'check_violation', CONSTRAINT = 'vm_counters_only_grow';
  END IF;
  RETURN NEW;
END $$;
--> statement-breakpoint
CREATE TRIGGER vms_counters_only_grow BEFORE UPDATE ON "vms"
  FOR EACH ROW EXECUTE FUNCTION vm_counters_only_grow();
--> statement-breakpoint
CREATE FUNCTION host_counters_only_grow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.desired_generation < OLD.desired_generation OR NEW.identity_epoch < OLD.identity_epoch THEN
    RAISE EXCEPTION 'a counter of host % would go back', OLD.id
      USING ERRCODE = 'check_violation', CONSTRAINT = 'host_counters_only_grow';
  END IF;
  RETURN NEW;
END $$;
--> statement-breakpoint
CREATE TRIGGER hosts_counters_only_grow BEFORE UPDATE ON "hosts"
  FOR EACH ROW EXECUTE FUNCTION host_counters_only_grow();

-- Invariants 21 and 22: whatever changes what a VM is to be, or what is paid for it, is written down, and held against what was bought.
CREATE FUNCTION vm_is_checked() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO bought_changes (vm_id) VALUES (NEW.id);
  RETURN NULL;
END $$;
--> statement-breakpoint
CREATE FUNCTION bought_is_checked() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO bought_changes (vm_id) VALUES (NEW.vm_id);
  RETURN NULL;
END $$;
--> statement-breakpoint
CREATE TRIGGER vms_made_are_checked AFTER INSERT ON "vms" FOR EACH ROW EXECUTE FUNCTION vm_is_checked();
--> statement-breakpoint
CREATE TRIGGER vms_changed_are_checked
  AFTER UPDATE OF "vcpus", "memory_mib", "bandwidth_mbit", "disk_iops", "presence", "host_id" ON "vms" FOR EACH ROW
  WHEN ((OLD.vcpus, OLD.memory_mib, OLD.bandwidth_mbit, OLD.disk_iops, OLD.presence, OLD.host_id)
    IS DISTINCT FROM (NEW.vcpus, NEW.memory_mib, NEW.bandwidth_mbit, NEW.disk_iops, NEW.presence, NEW.host_id))
  EXECUTE FUNCTION vm_is_checked();
--> statement-breakpoint
CREATE TRIGGER services_changed_are_checked
  AFTER UPDATE OF "plan_id", "plan_version", "payer", "interval", "amount_minor", "currency" ON "services" FOR EACH ROW
  WHEN ((OLD.plan_id, OLD.plan_version, OLD.payer, OLD."interval", OLD.amount_minor, OLD.currency)
    IS DISTINCT FROM (NEW.plan_id, NEW.plan_version, NEW.payer, NEW."interval", NEW.amount_minor, NEW.currency))
  EXECUTE FUNCTION bought_is_checked();
--> statement-breakpoint
-- While a change is open nothing is said of its VM.
CREATE TRIGGER plan_changes_ended_are_checked AFTER UPDATE OF "outcome" ON "plan_changes" FOR EACH ROW
  WHEN (OLD.outcome IS DISTINCT FROM NEW.outcome) EXECUTE FUNCTION bought_is_checked();
--> statement-breakpoint
GRANT DELETE ON "bought_changes" TO berth_functions;
--> statement-breakpoint
-- What differs already, of those that are there.
INSERT INTO bought_changes (vm_id)
  SELECT v.id FROM vms v JOIN services s ON s.vm_id = v.id
    JOIN plan_versions p ON p.plan_id = s.plan_id AND p.version = s.plan_version
  WHERE v.presence = 'present'
    AND ((v.vcpus, v.memory_mib, v.bandwidth_mbit, v.disk_iops) IS DISTINCT FROM (p.vcpus, p.memory_mib, p.bandwidth_mbit, p.disk_iops)
      OR s.payer = 'stripe' AND NOT EXISTS (
        SELECT FROM plan_prices r WHERE r.plan_id = s.plan_id AND r.plan_version = s.plan_version
          AND (r."interval", r.currency, r.amount_minor) = (s."interval", s.currency, s.amount_minor)));

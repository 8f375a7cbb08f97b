-- A dry run that nobody began is purged; what was begun stays, with each of its VMs.
CREATE TRIGGER plan_migrations_begun_stay BEFORE DELETE ON "plan_migrations" FOR EACH ROW
  WHEN (OLD.begun_at IS NOT NULL)
  EXECUTE FUNCTION append_only();
--> statement-breakpoint
CREATE FUNCTION planned_vm_may_go() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM plan_migrations WHERE id = OLD.migration_id AND begun_at IS NOT NULL) THEN
    RAISE EXCEPTION 'a VM of a plan migration that was begun stays in it';
  END IF;
  RETURN OLD;
END $$;
--> statement-breakpoint
CREATE TRIGGER plan_migration_vms_begun_stay BEFORE DELETE ON "plan_migration_vms" FOR EACH ROW
  EXECUTE FUNCTION planned_vm_may_go();
--> statement-breakpoint
GRANT DELETE ON "plan_migrations", "plan_migration_vms" TO berth_functions;

-- What many rows come to, kept in the same transaction whoever writes them (ADR 0026).

GRANT DELETE ON "host_kinds" TO berth_functions;
--> statement-breakpoint
-- The kind of hosts that agree in this; made when there is none yet. Held against its deletion until the transaction ends.
CREATE FUNCTION host_kind_of(location uuid, only_for_tests boolean, said jsonb, holds jsonb) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
  seen jsonb := jsonb_build_object(
    'hypervisor', said -> 'hypervisor', 'hypervisorVersion', said -> 'hypervisorVersion',
    'accelerator', said -> 'accelerator', 'capabilities', said -> 'capabilities', 'cpuThreads', said -> 'cpuThreads');
  -- jsonb has one order of keys, and so one text.
  kind uuid := substring(encode(sha256(convert_to(
    jsonb_build_array(location, only_for_tests, seen, holds)::text, 'UTF8')), 'hex') FOR 32)::uuid;
BEGIN
  LOOP
    PERFORM 1 FROM host_kinds WHERE id = kind FOR KEY SHARE;
    IF FOUND THEN RETURN kind; END IF;
    INSERT INTO host_kinds (id, location_id, test_only, facts, images)
      VALUES (kind, location, only_for_tests, seen, holds) ON CONFLICT DO NOTHING;
  END LOOP;
END $$;
--> statement-breakpoint
CREATE FUNCTION host_has_its_kind() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.facts IS NULL THEN
    NEW.kind_id := NULL;
  -- A report says the same again and again.
  ELSIF TG_OP = 'INSERT' OR NEW.kind_id IS NULL
     OR (NEW.location_id, NEW.test_only, NEW.tells_images) <> (OLD.location_id, OLD.test_only, OLD.tells_images)
     OR NEW.facts IS DISTINCT FROM OLD.facts THEN
    NEW.kind_id := host_kind_of(NEW.location_id, NEW.test_only, NEW.facts, CASE WHEN NEW.tells_images THEN coalesce(
      (SELECT jsonb_object_agg(file, jsonb_build_object(
         'file', file, 'virtualBytes', virtual_bytes, 'sha256', sha256, 'changed', changed))
       FROM held_images WHERE host_id = NEW.id), '{}') END);
  ELSE
    NEW.kind_id := OLD.kind_id;
  END IF;
  RETURN NEW;
END $$;
--> statement-breakpoint
CREATE TRIGGER hosts_have_their_kind
  BEFORE INSERT OR UPDATE OF facts, test_only, tells_images, location_id, kind_id ON "hosts"
  FOR EACH ROW EXECUTE FUNCTION host_has_its_kind();
--> statement-breakpoint
CREATE FUNCTION held_images_change_kinds() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE hosts SET kind_id = NULL WHERE id IN (SELECT host_id FROM touched) AND tells_images;
  RETURN NULL;
END $$;
--> statement-breakpoint
CREATE TRIGGER held_images_added_change_kinds AFTER INSERT ON "held_images"
  REFERENCING NEW TABLE AS touched FOR EACH STATEMENT EXECUTE FUNCTION held_images_change_kinds();
--> statement-breakpoint
CREATE TRIGGER held_images_changed_change_kinds AFTER UPDATE ON "held_images"
  REFERENCING NEW TABLE AS touched FOR EACH STATEMENT EXECUTE FUNCTION held_images_change_kinds();
--> statement-breakpoint
CREATE TRIGGER held_images_gone_change_kinds AFTER DELETE ON "held_images"
  REFERENCING OLD TABLE AS touched FOR EACH STATEMENT EXECUTE FUNCTION held_images_change_kinds();
--> statement-breakpoint
UPDATE "hosts" SET "kind_id" = NULL;
--> statement-breakpoint
CREATE FUNCTION entitlement_knows_its_vm() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.vm_is_to_go := EXISTS (SELECT 1 FROM vms WHERE id = NEW.vm_id AND presence = 'absent');
  RETURN NEW;
END $$;
--> statement-breakpoint
CREATE TRIGGER entitlements_know_their_vm BEFORE INSERT ON "entitlements"
  FOR EACH ROW EXECUTE FUNCTION entitlement_knows_its_vm();
--> statement-breakpoint
CREATE FUNCTION vm_that_goes_is_told() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE entitlements SET vm_is_to_go = (NEW.presence = 'absent') WHERE vm_id = NEW.id;
  RETURN NULL;
END $$;
--> statement-breakpoint
CREATE TRIGGER vms_that_go_are_told AFTER UPDATE OF presence ON "vms"
  FOR EACH ROW WHEN (OLD.presence <> NEW.presence) EXECUTE FUNCTION vm_that_goes_is_told();
--> statement-breakpoint
-- A VM that is inserted after its entitlement: nobody does that, and the sweep would miss it.
CREATE TRIGGER vms_that_went_are_told AFTER INSERT ON "vms"
  FOR EACH ROW WHEN (NEW.presence = 'absent') EXECUTE FUNCTION vm_that_goes_is_told();
--> statement-breakpoint
UPDATE "entitlements" e SET "vm_is_to_go" = true FROM "vms" v WHERE v."id" = e."vm_id" AND v."presence" = 'absent';

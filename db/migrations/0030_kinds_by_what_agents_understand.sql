-- Hosts are of one kind only when their agents understand the same words (ADR 0037).

DROP TRIGGER hosts_have_their_kind ON "hosts";
--> statement-breakpoint
DROP FUNCTION host_kind_of(uuid, boolean, jsonb, jsonb);
--> statement-breakpoint
-- The kind of hosts that agree in this; made when there is none yet. Held against its deletion until the transaction ends.
CREATE FUNCTION host_kind_of(location uuid, only_for_tests boolean, said jsonb, holds jsonb, words text[]) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
  seen jsonb := jsonb_build_object(
    'hypervisor', said -> 'hypervisor', 'hypervisorVersion', said -> 'hypervisorVersion',
    'accelerator', said -> 'accelerator', 'capabilities', said -> 'capabilities', 'cpuThreads', said -> 'cpuThreads');
  -- jsonb has one order of keys, and so one text.
  kind uuid := substring(encode(sha256(convert_to(
    jsonb_build_array(location, only_for_tests, seen, holds, to_jsonb(words))::text, 'UTF8')), 'hex') FOR 32)::uuid;
BEGIN
  LOOP
    PERFORM 1 FROM host_kinds WHERE id = kind FOR KEY SHARE;
    IF FOUND THEN RETURN kind; END IF;
    INSERT INTO host_kinds (id, location_id, test_only, facts, images, understands)
      VALUES (kind, location, only_for_tests, seen, holds, words) ON CONFLICT DO NOTHING;
  END LOOP;
END $$;
--> statement-breakpoint
CREATE OR REPLACE FUNCTION host_has_its_kind() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.facts IS NULL THEN
    NEW.kind_id := NULL;
  -- A report says the same again and again.
  ELSIF TG_OP = 'INSERT' OR NEW.kind_id IS NULL
     OR (NEW.location_id, NEW.test_only, NEW.tells_images) <> (OLD.location_id, OLD.test_only, OLD.tells_images)
     OR NEW.facts IS DISTINCT FROM OLD.facts OR NEW.understands IS DISTINCT FROM OLD.understands THEN
    NEW.kind_id := host_kind_of(NEW.location_id, NEW.test_only, NEW.facts, CASE WHEN NEW.tells_images THEN coalesce(
      (SELECT jsonb_object_agg(file, jsonb_build_object(
         'file', file, 'virtualBytes', virtual_bytes, 'sha256', sha256, 'changed', changed))
       FROM held_images WHERE host_id = NEW.id), '{}') END, NEW.understands);
  ELSE
    NEW.kind_id := OLD.kind_id;
  END IF;
  RETURN NEW;
END $$;
--> statement-breakpoint
CREATE TRIGGER hosts_have_their_kind
  BEFORE INSERT OR UPDATE OF facts, test_only, tells_images, location_id, kind_id, understands ON "hosts"
  FOR EACH ROW EXECUTE FUNCTION host_has_its_kind();
--> statement-breakpoint
UPDATE "hosts" SET "kind_id" = NULL;

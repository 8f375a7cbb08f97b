-- How many hosts are in each state, kept in the same transaction whoever writes them (ADR 0034). Hosts are never removed.

CREATE FUNCTION new_hosts_are_counted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO host_counts (state, hosts) SELECT state, count(*) FROM added GROUP BY state ORDER BY state
    ON CONFLICT (state) DO UPDATE SET hosts = host_counts.hosts + excluded.hosts;
  RETURN NULL;
END $$;
--> statement-breakpoint
CREATE TRIGGER hosts_that_come_are_counted AFTER INSERT ON "hosts"
  REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION new_hosts_are_counted();
--> statement-breakpoint
-- In the states' order, so that of two that move hosts to and fro neither waits for the other.
CREATE FUNCTION moved_host_is_counted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO host_counts (state, hosts)
    SELECT state, n FROM (VALUES (OLD.state, -1), (NEW.state, 1)) AS moved (state, n) ORDER BY state
    ON CONFLICT (state) DO UPDATE SET hosts = host_counts.hosts + excluded.hosts;
  RETURN NULL;
END $$;
--> statement-breakpoint
CREATE TRIGGER hosts_that_move_are_counted AFTER UPDATE OF state ON "hosts"
  FOR EACH ROW WHEN (OLD.state <> NEW.state) EXECUTE FUNCTION moved_host_is_counted();
--> statement-breakpoint
INSERT INTO "host_counts" ("state", "hosts") SELECT "state", count(*) FROM "hosts" GROUP BY "state";

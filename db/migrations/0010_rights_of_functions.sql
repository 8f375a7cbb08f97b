-- The functions are not the database's owner (ADR 0022): they have the rights of this role, and the owner only migrates.
-- A role is the whole server's: another database of it may have made it, at this very moment too.
DO $$ BEGIN
  CREATE ROLE berth_functions NOLOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$;
--> statement-breakpoint
GRANT USAGE ON SCHEMA public TO berth_functions;
--> statement-breakpoint
GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO berth_functions;
--> statement-breakpoint
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO berth_functions;
--> statement-breakpoint
-- Tables to come have the same rights; whoever adds one from which functions delete grants that by its name.
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE ON TABLES TO berth_functions;
--> statement-breakpoint
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE ON SEQUENCES TO berth_functions;
--> statement-breakpoint
-- What ends, or is kept for a while only.
GRANT DELETE ON "sessions", "verifications", "two_factors", "auth_rate_limits", "api_tokens", "mailed_links",
  "spent_codes", "held_images", "inbox", "outbox", "idempotency_keys", "usage_samples" TO berth_functions;
--> statement-breakpoint
REVOKE UPDATE ON "ledger_transactions", "ledger_entries", "audit_log" FROM berth_functions;
--> statement-breakpoint
-- A trigger on rows does not see TRUNCATE; and the owner may make mistakes too.
CREATE TRIGGER ledger_transactions_no_truncate BEFORE TRUNCATE ON "ledger_transactions"
  FOR EACH STATEMENT EXECUTE FUNCTION append_only();
--> statement-breakpoint
CREATE TRIGGER ledger_entries_no_truncate BEFORE TRUNCATE ON "ledger_entries"
  FOR EACH STATEMENT EXECUTE FUNCTION append_only();
--> statement-breakpoint
CREATE TRIGGER audit_log_no_truncate BEFORE TRUNCATE ON "audit_log"
  FOR EACH STATEMENT EXECUTE FUNCTION append_only();
--> statement-breakpoint
-- Accounts of before it was asked for count as proven: they may have ordered.
UPDATE "accounts" SET "email_verified" = true;

-- What was offered never changes; which action takes it is told once. What was taken is what somebody is charged by, and stays.
CREATE TRIGGER resize_quotes_keep_their_word BEFORE UPDATE ON "resize_quotes" FOR EACH ROW
  WHEN (OLD.taken_by IS NOT NULL OR to_jsonb(OLD) - 'taken_by' - 'taken_at' IS DISTINCT FROM to_jsonb(NEW) - 'taken_by' - 'taken_at')
  EXECUTE FUNCTION append_only();
--> statement-breakpoint
CREATE TRIGGER resize_quotes_taken_stay BEFORE DELETE ON "resize_quotes" FOR EACH ROW
  WHEN (OLD.taken_by IS NOT NULL)
  EXECUTE FUNCTION append_only();
--> statement-breakpoint
CREATE TRIGGER resize_quotes_no_truncate BEFORE TRUNCATE ON "resize_quotes"
  FOR EACH STATEMENT EXECUTE FUNCTION append_only();
--> statement-breakpoint
-- A quote is held, judged and taken before its action's row is written, in one transaction.
ALTER TABLE "resize_quotes" ALTER CONSTRAINT "resize_quotes_taken_by_actions_id_fk" DEFERRABLE INITIALLY DEFERRED;
--> statement-breakpoint
REVOKE UPDATE ON "resize_quotes" FROM berth_functions;
--> statement-breakpoint
GRANT UPDATE ("taken_by", "taken_at") ON "resize_quotes" TO berth_functions;
--> statement-breakpoint
GRANT DELETE ON "resize_quotes" TO berth_functions;

CREATE TABLE "account_notes" (
	"id" uuid PRIMARY KEY NOT NULL,
	"account_id" uuid NOT NULL,
	"author_id" uuid NOT NULL,
	"text" text NOT NULL,
	"written_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "account_notes_text_length" CHECK (length("account_notes"."text") between 1 and 4000)
);
--> statement-breakpoint
ALTER TABLE "account_notes" ADD CONSTRAINT "account_notes_account_id_accounts_id_fk" FOREIGN KEY ("account_id") REFERENCES "public"."accounts"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "account_notes" ADD CONSTRAINT "account_notes_author_id_accounts_id_fk" FOREIGN KEY ("author_id") REFERENCES "public"."accounts"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "account_notes_account_idx" ON "account_notes" USING btree ("account_id","id");--> statement-breakpoint
REVOKE UPDATE ON "account_notes" FROM berth_functions;--> statement-breakpoint
CREATE TRIGGER account_notes_append_only BEFORE UPDATE OR DELETE ON "account_notes"
  FOR EACH ROW EXECUTE FUNCTION append_only();--> statement-breakpoint
CREATE TRIGGER account_notes_no_truncate BEFORE TRUNCATE ON "account_notes"
  FOR EACH STATEMENT EXECUTE FUNCTION append_only();

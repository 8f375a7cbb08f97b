CREATE TYPE "public"."staff_role" AS ENUM('support', 'billing', 'operator', 'owner');--> statement-breakpoint
ALTER TABLE "accounts" ADD COLUMN "staff_role" "staff_role";--> statement-breakpoint
-- Who was staff could do everything, and still can.
UPDATE "accounts" SET "staff_role" = 'owner' WHERE "role" = 'staff';--> statement-breakpoint
-- Repairs were of the scope that changes hosts, and have one of their own: tokens go on with both.
UPDATE "api_tokens" SET "permissions" = ("permissions"::jsonb || '{"repairs": ["write"]}')::text
  WHERE "permissions"::jsonb -> 'staff' ? 'write';--> statement-breakpoint
ALTER TABLE "accounts" ADD CONSTRAINT "accounts_staff_have_a_staff_role" CHECK (("accounts"."role" = 'staff') = ("accounts"."staff_role" is not null));--> statement-breakpoint
CREATE INDEX "audit_log_actor_idx" ON "audit_log" USING btree ("actor_id","at","id");--> statement-breakpoint
CREATE INDEX "audit_log_at_idx" ON "audit_log" USING btree ("at","id");--> statement-breakpoint
CREATE INDEX "accounts_by_email_idx" ON "accounts" USING btree ("email" collate "C","id");--> statement-breakpoint
CREATE INDEX "accounts_by_name_idx" ON "accounts" USING btree (lower("name") collate "C","id");--> statement-breakpoint
CREATE INDEX "accounts_role_idx" ON "accounts" USING btree ("role","id") WHERE "accounts"."role" <> 'customer';--> statement-breakpoint
CREATE INDEX "accounts_closed_idx" ON "accounts" USING btree ("id") WHERE "accounts"."banned_at" is not null;--> statement-breakpoint
CREATE INDEX "hosts_by_name_idx" ON "hosts" USING btree ("name" collate "C","id");--> statement-breakpoint
CREATE INDEX "actions_type_idx" ON "actions" USING btree ("type","id");--> statement-breakpoint
CREATE INDEX "actions_status_idx" ON "actions" USING btree ("status","id") WHERE "actions"."status" <> 'success';--> statement-breakpoint
CREATE INDEX "vms_of_host_idx" ON "vms" USING btree ("host_id","id");--> statement-breakpoint
CREATE INDEX "vms_of_location_idx" ON "vms" USING btree ("location_id","id");--> statement-breakpoint
CREATE INDEX "vms_of_plan_idx" ON "vms" USING btree ("plan_id","id");--> statement-breakpoint
CREATE INDEX "vms_gone_idx" ON "vms" USING btree ("id") WHERE "vms"."deleted_at" is not null;--> statement-breakpoint
CREATE INDEX "vms_hostname_idx" ON "vms" USING btree ("hostname" collate "C","id");--> statement-breakpoint
CREATE INDEX "vms_label_idx" ON "vms" USING btree (lower("label") collate "C","id") WHERE "vms"."label" is not null;--> statement-breakpoint
-- Staff's lists of orders by their state, the newest first; most are active, and are found without.
CREATE INDEX "orders_state_idx" ON "orders" ("state", "id") WHERE "state" <> 'active';--> statement-breakpoint
CREATE INDEX "invoices_number_idx" ON "invoices" USING btree (lower("number") collate "C","id");--> statement-breakpoint
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

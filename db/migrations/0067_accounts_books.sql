ALTER TABLE "invoices" ALTER COLUMN "order_id" DROP NOT NULL;--> statement-breakpoint
ALTER TABLE "ledger_transactions" ALTER COLUMN "order_id" DROP NOT NULL;--> statement-breakpoint
ALTER TABLE "ledger_transactions" ADD COLUMN "account_id" uuid;--> statement-breakpoint
-- Once, of what was posted before: whose it is was said by its order alone.
ALTER TABLE "ledger_transactions" DISABLE TRIGGER "ledger_transactions_append_only";--> statement-breakpoint
UPDATE "ledger_transactions" AS t SET "account_id" = o."account_id" FROM "orders" AS o WHERE o."id" = t."order_id";--> statement-breakpoint
ALTER TABLE "ledger_transactions" ENABLE TRIGGER "ledger_transactions_append_only";--> statement-breakpoint
ALTER TABLE "ledger_transactions" ALTER COLUMN "account_id" SET NOT NULL;--> statement-breakpoint
ALTER TABLE "ledger_transactions" ADD CONSTRAINT "ledger_transactions_account_id_accounts_id_fk" FOREIGN KEY ("account_id") REFERENCES "public"."accounts"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "ledger_transactions_account_idx" ON "ledger_transactions" USING btree ("account_id","id");--> statement-breakpoint
-- For a function of the release before, which names the order alone.
CREATE FUNCTION ledger_account_of_order() RETURNS trigger LANGUAGE plpgsql
  SET search_path = public, pg_temp AS $$
BEGIN
  SELECT o.account_id INTO NEW.account_id FROM orders o WHERE o.id = NEW.order_id;
  RETURN NEW;
END
$$;--> statement-breakpoint
CREATE TRIGGER ledger_transactions_account_of_order BEFORE INSERT ON "ledger_transactions"
  FOR EACH ROW WHEN (NEW.account_id IS NULL) EXECUTE FUNCTION ledger_account_of_order();

CREATE TYPE "public"."tax_behavior" AS ENUM('exclusive', 'inclusive');--> statement-breakpoint
ALTER TABLE "plan_prices" ADD COLUMN "tax_behavior" "tax_behavior";--> statement-breakpoint
DROP TRIGGER plan_prices_keep_their_price ON "plan_prices";
--> statement-breakpoint
-- What a price says of its tax stands as long as its amount does.
CREATE TRIGGER plan_prices_keep_their_price BEFORE UPDATE ON "plan_prices" FOR EACH ROW
  WHEN ((OLD.id, OLD.plan_id, OLD.plan_version, OLD."interval", OLD.amount_minor, OLD.currency, OLD.tax_behavior, OLD.created_at)
      IS DISTINCT FROM (NEW.id, NEW.plan_id, NEW.plan_version, NEW."interval", NEW.amount_minor, NEW.currency, NEW.tax_behavior, NEW.created_at)
    OR OLD.stripe_price_id <> coalesce(NEW.stripe_price_id, ''))
  EXECUTE FUNCTION append_only();

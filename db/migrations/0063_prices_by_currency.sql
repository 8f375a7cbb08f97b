DROP INDEX "plan_prices_version_interval_key";--> statement-breakpoint
ALTER TABLE "billing_customers" ALTER COLUMN "currency" DROP DEFAULT;--> statement-breakpoint
CREATE UNIQUE INDEX "plan_prices_version_interval_currency_key" ON "plan_prices" USING btree ("plan_id","plan_version","interval","currency");--> statement-breakpoint
ALTER TABLE "plan_prices" ADD CONSTRAINT "plan_prices_on_step" CHECK ("plan_prices"."amount_minor" % case when "plan_prices"."currency" in ('bhd', 'jod', 'kwd', 'omr', 'tnd') then 10
        when "plan_prices"."currency" in ('isk', 'ugx') then 100 else 1 end = 0);
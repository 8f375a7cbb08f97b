CREATE TYPE "public"."attempt_limit" AS ENUM('log_in_route', 'sign_in', 'sign_up', 'second_factor', 'link', 'wrong_api_token', 'wrong_join_token', 'account_elsewhere', 'account_known_here', 'confirmation', 'code', 'mail');--> statement-breakpoint
CREATE TABLE "attempts" (
	"limit_name" "attempt_limit" NOT NULL,
	"counted" text NOT NULL,
	"runs_out_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "attempts_pkey" PRIMARY KEY("limit_name","counted"),
	CONSTRAINT "attempts_counted_is_sha256" CHECK ("attempts"."counted" ~ '^[A-Za-z0-9_-]{43}$')
);
--> statement-breakpoint
CREATE TABLE "known_networks" (
	"account_id" uuid NOT NULL,
	"network_hash" text NOT NULL,
	"seen_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "known_networks_pkey" PRIMARY KEY("account_id","network_hash"),
	CONSTRAINT "known_networks_hash_is_sha256" CHECK ("known_networks"."network_hash" ~ '^[A-Za-z0-9_-]{43}$')
);
--> statement-breakpoint
ALTER TABLE "known_networks" ADD CONSTRAINT "known_networks_account_id_accounts_id_fk" FOREIGN KEY ("account_id") REFERENCES "public"."accounts"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "attempts_runs_out_at_idx" ON "attempts" USING btree ("runs_out_at");--> statement-breakpoint
CREATE INDEX "known_networks_seen_at_idx" ON "known_networks" USING btree ("seen_at");--> statement-breakpoint
-- Kept for a while only.
GRANT DELETE ON "attempts", "known_networks" TO berth_functions;

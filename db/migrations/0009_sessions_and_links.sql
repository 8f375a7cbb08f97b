CREATE TYPE "public"."link_kind" AS ENUM('prove_email', 'reset_password');--> statement-breakpoint
ALTER TYPE "public"."event_name" ADD VALUE 'account.link_asked_for.v1';--> statement-breakpoint
ALTER TYPE "public"."event_name" ADD VALUE 'account.email_proven.v1';--> statement-breakpoint
CREATE TABLE "mailed_links" (
	"id" uuid PRIMARY KEY NOT NULL,
	"kind" "link_kind" NOT NULL,
	"address" text NOT NULL,
	"asked_at" timestamp (3) with time zone NOT NULL,
	"sent_at" timestamp (3) with time zone,
	"account_id" uuid,
	"secret_hash" text,
	"ends_at" timestamp (3) with time zone,
	"used_at" timestamp (3) with time zone,
	CONSTRAINT "mailed_links_secret_hash_unique" UNIQUE("secret_hash"),
	CONSTRAINT "mailed_links_address_length" CHECK (length("mailed_links"."address") between 1 and 254),
	CONSTRAINT "mailed_links_of_an_account" CHECK (("mailed_links"."account_id" is null) = ("mailed_links"."secret_hash" is null) and ("mailed_links"."secret_hash" is null) = ("mailed_links"."ends_at" is null))
);
--> statement-breakpoint
CREATE TABLE "spent_codes" (
	"account_id" uuid NOT NULL,
	"code" text NOT NULL,
	"spent_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "spent_codes_pkey" PRIMARY KEY("account_id","code"),
	CONSTRAINT "spent_codes_six_figures" CHECK ("spent_codes"."code" ~ '^[0-9]{6}$')
);
--> statement-breakpoint
ALTER TABLE "sessions" ADD COLUMN "second_factor" boolean DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE "mailed_links" ADD CONSTRAINT "mailed_links_account_id_accounts_id_fk" FOREIGN KEY ("account_id") REFERENCES "public"."accounts"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "spent_codes" ADD CONSTRAINT "spent_codes_account_id_accounts_id_fk" FOREIGN KEY ("account_id") REFERENCES "public"."accounts"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "mailed_links_address_idx" ON "mailed_links" USING btree ("address","asked_at");--> statement-breakpoint
CREATE INDEX "mailed_links_asked_at_idx" ON "mailed_links" USING btree ("asked_at");--> statement-breakpoint
CREATE INDEX "mailed_links_account_id_idx" ON "mailed_links" USING btree ("account_id");
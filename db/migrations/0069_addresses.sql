CREATE TYPE "public"."mail_refusal" AS ENUM('bounce', 'complaint');--> statement-breakpoint
ALTER TYPE "public"."attempt_limit" ADD VALUE 'new_address' BEFORE 'quote';--> statement-breakpoint
ALTER TYPE "public"."link_kind" ADD VALUE 'change_email';--> statement-breakpoint
ALTER TYPE "public"."event_name" ADD VALUE 'account.email_changed.v1' BEFORE 'account.closed.v1';--> statement-breakpoint
ALTER TYPE "public"."mail_kind" ADD VALUE 'change_email' BEFORE 'new_log_in';--> statement-breakpoint
ALTER TYPE "public"."mail_kind" ADD VALUE 'email_change_asked' BEFORE 'new_log_in';--> statement-breakpoint
ALTER TYPE "public"."mail_kind" ADD VALUE 'email_changed' BEFORE 'new_log_in';--> statement-breakpoint
ALTER TYPE "public"."mail_state" ADD VALUE 'bounced';--> statement-breakpoint
ALTER TYPE "public"."mail_state" ADD VALUE 'complained_of';--> statement-breakpoint
CREATE TABLE "refusing_addresses" (
	"address" text PRIMARY KEY NOT NULL,
	"kind" "mail_refusal" NOT NULL,
	"reason" text NOT NULL,
	"mail_id" uuid NOT NULL,
	"noted_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "refusing_addresses_reason_length" CHECK (length("refusing_addresses"."reason") between 1 and 300)
);
--> statement-breakpoint
ALTER TABLE "mailed_links" ADD COLUMN "asked_by" uuid;--> statement-breakpoint
ALTER TABLE "billing_customers" ADD COLUMN "address_due_since" timestamp (3) with time zone;--> statement-breakpoint
CREATE INDEX "refusing_addresses_noted_at_idx" ON "refusing_addresses" USING btree ("noted_at");--> statement-breakpoint
CREATE INDEX "refusing_addresses_mail_idx" ON "refusing_addresses" USING btree ("mail_id");--> statement-breakpoint
ALTER TABLE "mailed_links" ADD CONSTRAINT "mailed_links_asked_by_accounts_id_fk" FOREIGN KEY ("asked_by") REFERENCES "public"."accounts"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "mailed_links_asked_by_idx" ON "mailed_links" USING btree ("asked_by") WHERE "mailed_links"."asked_by" is not null;--> statement-breakpoint
CREATE INDEX "billing_customers_address_due_idx" ON "billing_customers" USING btree ("address_due_since") WHERE "billing_customers"."address_due_since" is not null;--> statement-breakpoint
ALTER TABLE "mailed_links" ADD CONSTRAINT "mailed_links_change_has_asker" CHECK (("mailed_links"."kind"::text = 'change_email') = ("mailed_links"."asked_by" is not null));--> statement-breakpoint
GRANT DELETE ON "refusing_addresses" TO berth_functions;

CREATE TYPE "public"."locale" AS ENUM('en', 'ru');--> statement-breakpoint
CREATE TYPE "public"."mail_kind" AS ENUM('prove_email', 'reset_password', 'new_log_in', 'order_received', 'vm_ready', 'invoice_paid', 'payment_failed', 'payment_needs_confirmation', 'vm_suspended', 'vm_terminated', 'plan_migration', 'maintenance');--> statement-breakpoint
CREATE TYPE "public"."mail_state" AS ENUM('waiting', 'sent', 'dropped', 'given_up');--> statement-breakpoint
CREATE TABLE "mails" (
	"id" uuid PRIMARY KEY NOT NULL,
	"kind" "mail_kind" NOT NULL,
	"cause" text NOT NULL,
	"about" text NOT NULL,
	"state" "mail_state" DEFAULT 'waiting' NOT NULL,
	"account_id" uuid,
	"to_address" text,
	"locale" "locale",
	"values" jsonb,
	"subject" text,
	"created_at" timestamp (3) with time zone NOT NULL,
	"next_try_at" timestamp (3) with time zone,
	"tries" integer DEFAULT 0 NOT NULL,
	"last_error" text,
	"ended_at" timestamp (3) with time zone,
	"resent_from" uuid,
	CONSTRAINT "mails_over_or_waiting" CHECK (("mails"."state" = 'waiting') = ("mails"."next_try_at" is not null) and ("mails"."state" = 'waiting') = ("mails"."ended_at" is null)),
	CONSTRAINT "mails_sent_is_filled" CHECK ("mails"."state" <> 'sent' or num_nonnulls("mails"."account_id", "mails"."to_address", "mails"."locale", "mails"."values", "mails"."subject") = 5)
);
--> statement-breakpoint
ALTER TABLE "accounts" ADD COLUMN "locale" "locale" DEFAULT 'en' NOT NULL;--> statement-breakpoint
ALTER TABLE "mails" ADD CONSTRAINT "mails_account_id_accounts_id_fk" FOREIGN KEY ("account_id") REFERENCES "public"."accounts"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE UNIQUE INDEX "mails_once_key" ON "mails" USING btree ("kind","cause");--> statement-breakpoint
CREATE INDEX "mails_waiting_idx" ON "mails" USING btree ("next_try_at") WHERE "mails"."state" = 'waiting';--> statement-breakpoint
CREATE INDEX "mails_ended_idx" ON "mails" USING btree ("ended_at") WHERE "mails"."ended_at" is not null;--> statement-breakpoint
CREATE INDEX "mails_about_idx" ON "mails" USING btree ("about","kind");--> statement-breakpoint
CREATE INDEX "mails_of_account_idx" ON "mails" USING btree ("account_id","id");--> statement-breakpoint
CREATE INDEX "mails_of_kind_idx" ON "mails" USING btree ("kind","id");--> statement-breakpoint
CREATE INDEX "mails_by_state_idx" ON "mails" USING btree ("state","id");--> statement-breakpoint
-- They are kept for a while only.
GRANT DELETE ON "mails" TO berth_functions;

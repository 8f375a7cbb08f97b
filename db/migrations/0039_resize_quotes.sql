CREATE TYPE "public"."change_billing" AS ENUM('prorate', 'none');--> statement-breakpoint
CREATE TYPE "public"."change_order" AS ENUM('pay_first', 'machine_first');--> statement-breakpoint
CREATE TYPE "public"."change_when" AS ENUM('now', 'renewal');--> statement-breakpoint
CREATE TYPE "public"."resize_method" AS ENUM('live', 'restart', 'move', 'none');--> statement-breakpoint
CREATE TYPE "public"."downgrade" AS ENUM('renewal', 'now');--> statement-breakpoint
CREATE TABLE "resize_quotes" (
	"id" uuid PRIMARY KEY NOT NULL,
	"vm_id" uuid NOT NULL,
	"asked_by" uuid NOT NULL,
	"when" "change_when" NOT NULL,
	"billing" "change_billing" NOT NULL,
	"order" "change_order" NOT NULL,
	"method" "resize_method" NOT NULL,
	"down_seconds" integer NOT NULL,
	"offered" jsonb NOT NULL,
	"due_now_minor" bigint,
	"credit_minor" bigint,
	"tax_minor" bigint,
	"currency" char(3),
	"at" timestamp (3) with time zone NOT NULL,
	"applies_at" timestamp (3) with time zone NOT NULL,
	"basis" text NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL,
	"expires_at" timestamp (3) with time zone NOT NULL,
	"taken_by" uuid,
	"taken_at" timestamp (3) with time zone,
	CONSTRAINT "resize_quotes_taken_whole" CHECK (("resize_quotes"."taken_by" is null) = ("resize_quotes"."taken_at" is null)),
	CONSTRAINT "resize_quotes_money_is_whole" CHECK (num_nonnulls("resize_quotes"."due_now_minor", "resize_quotes"."credit_minor", "resize_quotes"."tax_minor", "resize_quotes"."currency") in (0, 4)
        and "resize_quotes"."due_now_minor" >= 0 and "resize_quotes"."credit_minor" >= 0),
	CONSTRAINT "resize_quotes_in_order" CHECK ("resize_quotes"."at" <= "resize_quotes"."applies_at" and "resize_quotes"."created_at" < "resize_quotes"."expires_at" and "resize_quotes"."down_seconds" >= 0)
);
--> statement-breakpoint
ALTER TABLE "plan_versions" ADD COLUMN "downgrade" "downgrade" DEFAULT 'renewal' NOT NULL;--> statement-breakpoint
ALTER TABLE "resize_quotes" ADD CONSTRAINT "resize_quotes_vm_id_vms_id_fk" FOREIGN KEY ("vm_id") REFERENCES "public"."vms"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "resize_quotes" ADD CONSTRAINT "resize_quotes_asked_by_accounts_id_fk" FOREIGN KEY ("asked_by") REFERENCES "public"."accounts"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "resize_quotes" ADD CONSTRAINT "resize_quotes_taken_by_actions_id_fk" FOREIGN KEY ("taken_by") REFERENCES "public"."actions"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE UNIQUE INDEX "resize_quotes_taken_by_key" ON "resize_quotes" USING btree ("taken_by");--> statement-breakpoint
CREATE INDEX "resize_quotes_untaken_idx" ON "resize_quotes" USING btree ("expires_at") WHERE "resize_quotes"."taken_by" is null;
CREATE TYPE "public"."change_machine" AS ENUM('none', 'waiting', 'applying', 'seen', 'reverting', 'untouched', 'reverted', 'gone');--> statement-breakpoint
CREATE TYPE "public"."change_money" AS ENUM('exempt', 'not_asked', 'asking', 'waiting', 'applied', 'dropping', 'undoing', 'dropped', 'undone');--> statement-breakpoint
CREATE TYPE "public"."change_outcome" AS ENUM('committed', 'reverted');--> statement-breakpoint
CREATE TYPE "public"."turn_back" AS ENUM('cancelled', 'replaced', 'not_paid', 'not_seen', 'not_priced', 'host_refused', 'no_room', 'renewal_passed', 'vm_deleted', 'vm_lost', 'billing_frozen', 'order_refunded', 'subscription_ended', 'invoice_open');--> statement-breakpoint
ALTER TYPE "public"."event_name" ADD VALUE 'plan_change.began.v1' BEFORE 'vm.change_requested.v1';--> statement-breakpoint
ALTER TYPE "public"."event_name" ADD VALUE 'plan_change.fell_due.v1' BEFORE 'vm.change_requested.v1';--> statement-breakpoint
ALTER TYPE "public"."event_name" ADD VALUE 'plan_change.committed.v1' BEFORE 'vm.change_requested.v1';--> statement-breakpoint
ALTER TYPE "public"."event_name" ADD VALUE 'plan_change.reverted.v1' BEFORE 'vm.change_requested.v1';--> statement-breakpoint
ALTER TYPE "public"."action_error_code" ADD VALUE 'dropped';--> statement-breakpoint
ALTER TYPE "public"."action_error_code" ADD VALUE 'not_paid';--> statement-breakpoint
ALTER TYPE "public"."action_error_code" ADD VALUE 'no_room';--> statement-breakpoint
ALTER TYPE "public"."action_status" ADD VALUE 'waiting' BEFORE 'running';--> statement-breakpoint
ALTER TYPE "public"."action_type" ADD VALUE 'resize';--> statement-breakpoint
CREATE TABLE "plan_changes" (
	"id" uuid PRIMARY KEY NOT NULL,
	"vm_id" uuid NOT NULL,
	"quote_id" uuid NOT NULL,
	"action_id" uuid NOT NULL,
	"subscription_id" text,
	"money" "change_money" NOT NULL,
	"machine" "change_machine" NOT NULL,
	"turned_back" "turn_back",
	"outcome" "change_outcome",
	"from_price_id" text,
	"to_price_id" text,
	"invoice_id" text,
	"pay_url" text,
	"generation" integer,
	"pay_by" timestamp (3) with time zone,
	"see_by" timestamp (3) with time zone,
	"created_at" timestamp (3) with time zone NOT NULL,
	"reserved_at" timestamp (3) with time zone,
	"asked_at" timestamp (3) with time zone,
	"priced_at" timestamp (3) with time zone,
	"applied_at" timestamp (3) with time zone,
	"seen_at" timestamp (3) with time zone,
	"turned_back_at" timestamp (3) with time zone,
	"machine_back_at" timestamp (3) with time zone,
	"ended_at" timestamp (3) with time zone,
	"version" integer DEFAULT 1 NOT NULL,
	"due_at" timestamp (3) with time zone,
	"held_until" timestamp (3) with time zone,
	CONSTRAINT "plan_changes_ended_has_instant" CHECK (("plan_changes"."outcome" is null) = ("plan_changes"."ended_at" is null)),
	CONSTRAINT "plan_changes_turned_back_has_instant" CHECK (("plan_changes"."turned_back" is null) = ("plan_changes"."turned_back_at" is null)),
	CONSTRAINT "plan_changes_committed_whole" CHECK ("plan_changes"."outcome" <> 'committed' or ("plan_changes"."turned_back" is null and "plan_changes"."money" in ('exempt', 'applied')
        and "plan_changes"."machine" in ('none', 'seen'))),
	CONSTRAINT "plan_changes_reverted_whole" CHECK ("plan_changes"."outcome" <> 'reverted' or ("plan_changes"."turned_back" is not null and "plan_changes"."money" in ('exempt', 'dropped', 'undone')
        and "plan_changes"."machine" in ('none', 'untouched', 'reverted', 'gone'))),
	CONSTRAINT "plan_changes_told_has_generation" CHECK ("plan_changes"."machine" not in ('applying', 'seen', 'reverting', 'reverted') or "plan_changes"."generation" is not null),
	CONSTRAINT "plan_changes_seen_has_instant" CHECK ("plan_changes"."machine" <> 'seen' or "plan_changes"."seen_at" is not null),
	CONSTRAINT "plan_changes_asked_has_prices" CHECK ("plan_changes"."money" in ('exempt', 'not_asked', 'dropped')
        or num_nonnulls("plan_changes"."subscription_id", "plan_changes"."from_price_id", "plan_changes"."to_price_id", "plan_changes"."asked_at") = 4)
);
--> statement-breakpoint
ALTER TABLE "actions" DROP CONSTRAINT "actions_finished_when_ended";--> statement-breakpoint
ALTER TABLE "plan_changes" ADD CONSTRAINT "plan_changes_vm_id_vms_id_fk" FOREIGN KEY ("vm_id") REFERENCES "public"."vms"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "plan_changes" ADD CONSTRAINT "plan_changes_quote_id_resize_quotes_id_fk" FOREIGN KEY ("quote_id") REFERENCES "public"."resize_quotes"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "plan_changes" ADD CONSTRAINT "plan_changes_action_id_actions_id_fk" FOREIGN KEY ("action_id") REFERENCES "public"."actions"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE UNIQUE INDEX "plan_changes_quote_key" ON "plan_changes" USING btree ("quote_id");--> statement-breakpoint
CREATE UNIQUE INDEX "plan_changes_action_key" ON "plan_changes" USING btree ("action_id");--> statement-breakpoint
CREATE UNIQUE INDEX "plan_changes_one_open_key" ON "plan_changes" USING btree ("vm_id") WHERE "plan_changes"."outcome" is null;--> statement-breakpoint
CREATE INDEX "plan_changes_vm_idx" ON "plan_changes" USING btree ("vm_id","id");--> statement-breakpoint
CREATE INDEX "plan_changes_deadline_idx" ON "plan_changes" USING btree (coalesce("see_by", "pay_by")) WHERE "plan_changes"."outcome" is null;--> statement-breakpoint
CREATE INDEX "plan_changes_due_idx" ON "plan_changes" USING btree ("due_at") WHERE "plan_changes"."outcome" is null;--> statement-breakpoint
ALTER TABLE "actions" ADD CONSTRAINT "actions_finished_when_ended" CHECK (("actions"."status" in ('success', 'error')) = ("actions"."finished_at" is not null));
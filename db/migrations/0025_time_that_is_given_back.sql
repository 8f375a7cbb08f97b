CREATE TYPE "public"."give_back_way" AS ENUM('balance', 'card');--> statement-breakpoint
ALTER TYPE "public"."ledger_account" ADD VALUE 'customer_credit';--> statement-breakpoint
ALTER TYPE "public"."ledger_kind" ADD VALUE 'credit';--> statement-breakpoint
ALTER TYPE "public"."event_name" ADD VALUE 'give_back.fell_due.v1' BEFORE 'vm.change_requested.v1';--> statement-breakpoint
ALTER TYPE "public"."event_name" ADD VALUE 'give_back.made.v1' BEFORE 'vm.change_requested.v1';--> statement-breakpoint
CREATE TABLE "give_backs" (
	"id" uuid PRIMARY KEY NOT NULL,
	"loss_id" uuid NOT NULL,
	"vm_id" uuid NOT NULL,
	"order_id" uuid NOT NULL,
	"invoice_id" text NOT NULL,
	"way" "give_back_way" NOT NULL,
	"payee" text NOT NULL,
	"from" timestamp (3) with time zone NOT NULL,
	"until" timestamp (3) with time zone NOT NULL,
	"amount_minor" bigint NOT NULL,
	"currency" char(3) NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL,
	"provider_id" text,
	"made_at" timestamp (3) with time zone,
	"tried_at" timestamp (3) with time zone,
	CONSTRAINT "give_backs_positive" CHECK ("give_backs"."amount_minor" > 0 and "give_backs"."from" < "give_backs"."until"),
	CONSTRAINT "give_backs_made_has_id" CHECK (("give_backs"."made_at" is null) = ("give_backs"."provider_id" is null))
);
--> statement-breakpoint
CREATE TABLE "losses" (
	"id" uuid PRIMARY KEY NOT NULL,
	"vm_id" uuid NOT NULL,
	"order_id" uuid NOT NULL,
	"since" timestamp (3) with time zone NOT NULL,
	"until" timestamp (3) with time zone,
	"settled_until" timestamp (3) with time zone NOT NULL,
	"settled_at" timestamp (3) with time zone,
	"tried_at" timestamp (3) with time zone,
	CONSTRAINT "losses_in_order" CHECK ("losses"."since" <= "losses"."settled_until" and "losses"."since" <= coalesce("losses"."until", "losses"."since"))
);
--> statement-breakpoint
ALTER TABLE "give_backs" ADD CONSTRAINT "give_backs_loss_id_losses_id_fk" FOREIGN KEY ("loss_id") REFERENCES "public"."losses"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "give_backs" ADD CONSTRAINT "give_backs_vm_id_vms_id_fk" FOREIGN KEY ("vm_id") REFERENCES "public"."vms"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "give_backs" ADD CONSTRAINT "give_backs_order_id_orders_id_fk" FOREIGN KEY ("order_id") REFERENCES "public"."orders"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "losses" ADD CONSTRAINT "losses_vm_id_vms_id_fk" FOREIGN KEY ("vm_id") REFERENCES "public"."vms"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "losses" ADD CONSTRAINT "losses_order_id_orders_id_fk" FOREIGN KEY ("order_id") REFERENCES "public"."orders"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE UNIQUE INDEX "give_backs_once_key" ON "give_backs" USING btree ("loss_id","invoice_id","from");--> statement-breakpoint
CREATE UNIQUE INDEX "give_backs_provider_key" ON "give_backs" USING btree ("provider_id");--> statement-breakpoint
CREATE INDEX "give_backs_invoice_idx" ON "give_backs" USING btree ("invoice_id");--> statement-breakpoint
CREATE INDEX "give_backs_due_idx" ON "give_backs" USING btree (coalesce("tried_at", "created_at")) WHERE "give_backs"."made_at" is null;--> statement-breakpoint
CREATE UNIQUE INDEX "losses_one_open_key" ON "losses" USING btree ("vm_id") WHERE "losses"."until" is null and "losses"."settled_at" is null;--> statement-breakpoint
CREATE INDEX "losses_vm_idx" ON "losses" USING btree ("vm_id");--> statement-breakpoint
CREATE INDEX "losses_unsettled_idx" ON "losses" USING btree (coalesce("tried_at", "since")) WHERE "losses"."settled_at" is null;
ALTER TYPE "public"."event_name" ADD VALUE 'billing.frozen.v1' BEFORE 'vm.change_requested.v1';--> statement-breakpoint
ALTER TYPE "public"."event_name" ADD VALUE 'billing.resumed.v1' BEFORE 'vm.change_requested.v1';--> statement-breakpoint
ALTER TYPE "public"."event_name" ADD VALUE 'finding.opened.v1' BEFORE 'account.link_asked_for.v1';--> statement-breakpoint
ALTER TYPE "public"."event_name" ADD VALUE 'finding.ended.v1' BEFORE 'account.link_asked_for.v1';--> statement-breakpoint
ALTER TYPE "public"."action_error_code" ADD VALUE 'vm_lost';--> statement-breakpoint
ALTER TYPE "public"."action_type" ADD VALUE 'adopt_disk';--> statement-breakpoint
ALTER TYPE "public"."action_type" ADD VALUE 'recreate';--> statement-breakpoint
CREATE TABLE "findings" (
	"id" uuid PRIMARY KEY NOT NULL,
	"kind" text NOT NULL,
	"host_id" uuid NOT NULL,
	"subject" text NOT NULL,
	"vm_id" uuid,
	"first_seen_at" timestamp (3) with time zone NOT NULL,
	"last_seen_at" timestamp (3) with time zone NOT NULL,
	"ended_at" timestamp (3) with time zone,
	"detail" text NOT NULL,
	CONSTRAINT "findings_in_order" CHECK ("findings"."first_seen_at" <= "findings"."last_seen_at" and "findings"."first_seen_at" <= coalesce("findings"."ended_at", "findings"."first_seen_at"))
);
--> statement-breakpoint
ALTER TABLE "entitlements" ADD COLUMN "frozen_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "vms" ADD COLUMN "lost_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "findings" ADD CONSTRAINT "findings_host_id_hosts_id_fk" FOREIGN KEY ("host_id") REFERENCES "public"."hosts"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE UNIQUE INDEX "findings_one_open_key" ON "findings" USING btree ("host_id","kind","subject") WHERE "findings"."ended_at" is null;--> statement-breakpoint
CREATE INDEX "findings_open_idx" ON "findings" USING btree ("id") WHERE "findings"."ended_at" is null;--> statement-breakpoint
CREATE INDEX "findings_host_idx" ON "findings" USING btree ("host_id","id");--> statement-breakpoint
CREATE INDEX "findings_vm_idx" ON "findings" USING btree ("vm_id","id") WHERE "findings"."vm_id" is not null;--> statement-breakpoint
CREATE INDEX "entitlements_frozen_idx" ON "entitlements" USING btree ("frozen_at") WHERE "entitlements"."frozen_at" is not null;--> statement-breakpoint
CREATE INDEX "vms_lost_idx" ON "vms" USING btree ("lost_at") WHERE "vms"."lost_at" is not null;
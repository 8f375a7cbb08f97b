CREATE TABLE "restores" (
	"id" uuid PRIMARY KEY NOT NULL,
	"restored_to" timestamp (3) with time zone NOT NULL,
	"recorded_at" timestamp (3) with time zone NOT NULL,
	"events_after" text,
	"events_read_at" timestamp (3) with time zone,
	CONSTRAINT "restores_to_the_past" CHECK ("restores"."restored_to" <= "restores"."recorded_at")
);
--> statement-breakpoint
CREATE TABLE "unknown_vms" (
	"vm_id" uuid PRIMARY KEY NOT NULL,
	"host_id" uuid NOT NULL,
	"owner_epoch" integer NOT NULL,
	"hostname" text NOT NULL,
	"image_id" uuid NOT NULL,
	"vcpus" integer NOT NULL,
	"memory_mib" integer NOT NULL,
	"disk_gib" integer NOT NULL,
	"address" "inet" NOT NULL,
	"told_at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
ALTER TABLE "hosts" ADD COLUMN "restored_generation" integer;--> statement-breakpoint
ALTER TABLE "hosts" ADD COLUMN "raised_by" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "hosts" ADD COLUMN "destroys_held_until" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "unknown_vms" ADD CONSTRAINT "unknown_vms_host_id_hosts_id_fk" FOREIGN KEY ("host_id") REFERENCES "public"."hosts"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE UNIQUE INDEX "restores_restored_to_key" ON "restores" USING btree ("restored_to");--> statement-breakpoint
CREATE INDEX "restores_unread_idx" ON "restores" USING btree ("id") WHERE "restores"."events_read_at" is null;
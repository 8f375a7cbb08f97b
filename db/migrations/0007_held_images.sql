ALTER TYPE "public"."event_name" ADD VALUE 'vm.create_refused.v1' BEFORE 'vm.deleted.v1';--> statement-breakpoint
CREATE TABLE "held_images" (
	"host_id" uuid NOT NULL,
	"file" text NOT NULL,
	"virtual_bytes" bigint NOT NULL,
	"sha256" text,
	"changed" boolean NOT NULL,
	CONSTRAINT "held_images_pkey" PRIMARY KEY("host_id","file")
);
--> statement-breakpoint
ALTER TABLE "images" ADD COLUMN "sha256" jsonb DEFAULT '{}'::jsonb NOT NULL;--> statement-breakpoint
ALTER TABLE "hosts" ADD COLUMN "tells_images" boolean DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE "held_images" ADD CONSTRAINT "held_images_host_id_hosts_id_fk" FOREIGN KEY ("host_id") REFERENCES "public"."hosts"("id") ON DELETE no action ON UPDATE no action;
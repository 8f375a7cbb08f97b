CREATE TYPE "public"."image_fetch_state" AS ENUM('waiting', 'fetching', 'held', 'failed');--> statement-breakpoint
CREATE TABLE "image_sources" (
	"image_id" uuid NOT NULL,
	"hypervisor" "hypervisor" NOT NULL,
	"url" text NOT NULL,
	"bytes" bigint,
	"location_ids" uuid[],
	"created_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "image_sources_pkey" PRIMARY KEY("image_id","hypervisor"),
	CONSTRAINT "image_sources_http" CHECK ("image_sources"."url" ~ '^https?://'),
	CONSTRAINT "image_sources_bytes_positive" CHECK ("image_sources"."bytes" > 0),
	CONSTRAINT "image_sources_somewhere" CHECK (cardinality("image_sources"."location_ids") > 0)
);
--> statement-breakpoint
CREATE TABLE "image_fetches" (
	"host_id" uuid NOT NULL,
	"file" text NOT NULL,
	"state" "image_fetch_state" NOT NULL,
	"done_bytes" bigint NOT NULL,
	"total_bytes" bigint,
	"why" text,
	CONSTRAINT "image_fetches_pkey" PRIMARY KEY("host_id","file")
);
--> statement-breakpoint
CREATE TABLE "installation" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"only" boolean DEFAULT true NOT NULL,
	CONSTRAINT "installation_is_one" CHECK ("installation"."only")
);
--> statement-breakpoint
ALTER TABLE "image_sources" ADD CONSTRAINT "image_sources_image_id_images_id_fk" FOREIGN KEY ("image_id") REFERENCES "public"."images"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "image_fetches" ADD CONSTRAINT "image_fetches_host_id_hosts_id_fk" FOREIGN KEY ("host_id") REFERENCES "public"."hosts"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE UNIQUE INDEX "installation_only_key" ON "installation" USING btree ("only");
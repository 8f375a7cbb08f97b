CREATE TYPE "public"."image_source_kind" AS ENUM('url', 'peer');--> statement-breakpoint
CREATE TABLE "image_servers" (
	"host_id" uuid PRIMARY KEY NOT NULL,
	"place" integer NOT NULL,
	"address" "inet" NOT NULL,
	"port" integer NOT NULL,
	"sealed_key" text NOT NULL,
	CONSTRAINT "image_servers_port" CHECK ("image_servers"."port" between 1 and 65535)
);
--> statement-breakpoint
ALTER TABLE "image_fetches" ADD COLUMN "source" "image_source_kind";--> statement-breakpoint
ALTER TABLE "image_fetches" ADD COLUMN "peer_id" uuid;--> statement-breakpoint
ALTER TABLE "image_servers" ADD CONSTRAINT "image_servers_host_id_hosts_id_fk" FOREIGN KEY ("host_id") REFERENCES "public"."hosts"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "image_servers_place_idx" ON "image_servers" USING btree ("place");--> statement-breakpoint
ALTER TABLE "image_fetches" ADD CONSTRAINT "image_fetches_peer_named" CHECK (("image_fetches"."source" is not distinct from 'peer') = ("image_fetches"."peer_id" is not null));
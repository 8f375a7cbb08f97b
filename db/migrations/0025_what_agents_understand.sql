ALTER TABLE "host_kinds" ADD COLUMN "understands" text[];--> statement-breakpoint
ALTER TABLE "hosts" ADD COLUMN "understands" text[];
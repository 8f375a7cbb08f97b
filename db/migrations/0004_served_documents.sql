ALTER TABLE "hosts" ADD COLUMN "served_generation" integer;--> statement-breakpoint
ALTER TABLE "hosts" ADD COLUMN "served_hash" text;--> statement-breakpoint
ALTER TABLE "hosts" ADD CONSTRAINT "hosts_served_is_desired" CHECK (("hosts"."served_generation" is null) = ("hosts"."served_hash" is null)
        and "hosts"."served_generation" <= "hosts"."desired_generation");--> statement-breakpoint
-- What agents hold of a generation from before was never written down: the next one begins with a content that is.
UPDATE "hosts" SET "desired_generation" = "desired_generation" + 1 WHERE "desired_generation" > 0;

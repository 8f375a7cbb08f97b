ALTER TABLE "moves" ADD COLUMN "prepared_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "moves" ADD COLUMN "copied_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "moves" ADD COLUMN "turned_back_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "moves" ADD COLUMN "held_at" timestamp (3) with time zone;--> statement-breakpoint
CREATE INDEX "moves_from_idx" ON "moves" USING btree ("source_host_id","id");--> statement-breakpoint
CREATE INDEX "moves_to_idx" ON "moves" USING btree ("destination_host_id","id");--> statement-breakpoint
CREATE INDEX "moves_open_idx" ON "moves" USING btree ("id") WHERE "moves"."outcome" is null;
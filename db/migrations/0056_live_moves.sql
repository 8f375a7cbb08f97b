ALTER TABLE "moves" ADD COLUMN "has_left" boolean DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE "moves" ADD COLUMN "has_arrived" boolean DEFAULT false NOT NULL;
ALTER TABLE "orders" ADD COLUMN "root_password" boolean DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE "vms" ADD COLUMN "root_password" boolean DEFAULT false NOT NULL;
ALTER TABLE "hosts" ADD COLUMN "ceiling_vcpus" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "hosts" ADD COLUMN "ceiling_memory_mib" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "hosts" ADD COLUMN "ceiling_disk_gib" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "hosts" ADD CONSTRAINT "hosts_ceiling_not_negative" CHECK ("hosts"."ceiling_vcpus" >= 0 and "hosts"."ceiling_memory_mib" >= 0 and "hosts"."ceiling_disk_gib" >= 0);
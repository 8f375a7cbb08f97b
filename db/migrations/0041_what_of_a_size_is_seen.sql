ALTER TABLE "vms" ADD COLUMN "seen_vcpus" integer;--> statement-breakpoint
ALTER TABLE "vms" ADD COLUMN "seen_memory_mib" integer;--> statement-breakpoint
ALTER TABLE "vms" ADD COLUMN "seen_disk_gib" integer;--> statement-breakpoint
ALTER TABLE "vms" ADD COLUMN "seen_limits_known" boolean DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE "vms" ADD COLUMN "seen_bandwidth_mbit" integer;--> statement-breakpoint
ALTER TABLE "vms" ADD COLUMN "seen_disk_iops" integer;--> statement-breakpoint
ALTER TABLE "vms" ADD COLUMN "seen_hot_vcpus" integer;--> statement-breakpoint
ALTER TABLE "vms" ADD CONSTRAINT "vms_seen_size_is_whole" CHECK (num_nonnulls("vms"."seen_vcpus", "vms"."seen_memory_mib", "vms"."seen_disk_gib") in (0, 3));--> statement-breakpoint
ALTER TABLE "vms" ADD CONSTRAINT "vms_seen_limits_are_known" CHECK ("vms"."seen_limits_known" or num_nonnulls("vms"."seen_bandwidth_mbit", "vms"."seen_disk_iops") = 0);
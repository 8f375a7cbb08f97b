-- Hosts of before staff set a ceiling keep what they may give away; one that has not enrolled yet gets the usual ceiling.
UPDATE "hosts" SET "ceiling_vcpus" = "capacity_vcpus", "ceiling_memory_mib" = "capacity_memory_mib",
  "ceiling_disk_gib" = "capacity_disk_gib" WHERE "state" <> 'enrolling';
--> statement-breakpoint
UPDATE "hosts" SET "ceiling_vcpus" = 256, "ceiling_memory_mib" = 131072, "ceiling_disk_gib" = 10240
  WHERE "state" = 'enrolling';

--> statement-breakpoint
-- What is kept until a token is worth nothing: the sweep deletes it.
GRANT DELETE ON "spent_agent_tokens" TO berth_functions;

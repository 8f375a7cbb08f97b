CREATE TABLE "spent_agent_tokens" (
	"host_id" uuid NOT NULL,
	"jti" text NOT NULL,
	"expires_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "spent_agent_tokens_pkey" PRIMARY KEY("host_id","jti")
);
--> statement-breakpoint
ALTER TABLE "hosts" ADD COLUMN "ceiling_vcpus" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "hosts" ADD COLUMN "ceiling_memory_mib" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "hosts" ADD COLUMN "ceiling_disk_gib" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "hosts" ADD COLUMN "report_process" integer;--> statement-breakpoint
ALTER TABLE "hosts" ADD COLUMN "report_seq" integer;--> statement-breakpoint
ALTER TABLE "hosts" ADD COLUMN "clock_offset_seconds" integer;--> statement-breakpoint
ALTER TABLE "spent_agent_tokens" ADD CONSTRAINT "spent_agent_tokens_host_id_hosts_id_fk" FOREIGN KEY ("host_id") REFERENCES "public"."hosts"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "spent_agent_tokens_expires_idx" ON "spent_agent_tokens" USING btree ("expires_at");--> statement-breakpoint
ALTER TABLE "hosts" ADD CONSTRAINT "hosts_ceiling_not_negative" CHECK ("hosts"."ceiling_vcpus" >= 0 and "hosts"."ceiling_memory_mib" >= 0 and "hosts"."ceiling_disk_gib" >= 0);--> statement-breakpoint
ALTER TABLE "hosts" ADD CONSTRAINT "hosts_report_serial_whole" CHECK (("hosts"."report_process" is null) = ("hosts"."report_seq" is null));
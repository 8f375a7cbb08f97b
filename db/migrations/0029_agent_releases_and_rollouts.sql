CREATE TYPE "public"."rollout_outcome" AS ENUM('upgraded', 'failed', 'left_out', 'withdrawn');--> statement-breakpoint
CREATE TYPE "public"."rollout_state" AS ENUM('running', 'paused', 'done', 'cancelled');--> statement-breakpoint
ALTER TYPE "public"."event_name" ADD VALUE 'agent_release.registered.v1' BEFORE 'account.link_asked_for.v1';--> statement-breakpoint
ALTER TYPE "public"."event_name" ADD VALUE 'agent_rollout.began.v1' BEFORE 'account.link_asked_for.v1';--> statement-breakpoint
ALTER TYPE "public"."event_name" ADD VALUE 'agent_rollout.changed.v1' BEFORE 'account.link_asked_for.v1';--> statement-breakpoint
ALTER TYPE "public"."event_name" ADD VALUE 'host.upgrade_asked_for.v1' BEFORE 'account.link_asked_for.v1';--> statement-breakpoint
ALTER TYPE "public"."event_name" ADD VALUE 'host.upgrade_ended.v1' BEFORE 'account.link_asked_for.v1';--> statement-breakpoint
CREATE TABLE "agent_rollout_hosts" (
	"rollout_id" uuid NOT NULL,
	"host_id" uuid NOT NULL,
	"told_at" timestamp (3) with time zone,
	"outcome" "rollout_outcome",
	"ended_at" timestamp (3) with time zone,
	CONSTRAINT "agent_rollout_hosts_pkey" PRIMARY KEY("rollout_id","host_id"),
	CONSTRAINT "agent_rollout_hosts_ended_somehow" CHECK (("agent_rollout_hosts"."outcome" is null) = ("agent_rollout_hosts"."ended_at" is null))
);
--> statement-breakpoint
CREATE TABLE "agent_rollouts" (
	"id" uuid PRIMARY KEY NOT NULL,
	"release_id" uuid NOT NULL,
	"host_group" text,
	"state" "rollout_state" DEFAULT 'running' NOT NULL,
	"at_a_time" integer NOT NULL,
	"stop_after_failed" integer NOT NULL,
	"failed_before" integer DEFAULT 0 NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "agent_rollouts_have_a_pace" CHECK ("agent_rollouts"."at_a_time" > 0 and "agent_rollouts"."stop_after_failed" > 0)
);
--> statement-breakpoint
CREATE TABLE "agent_releases" (
	"id" uuid PRIMARY KEY NOT NULL,
	"version" text NOT NULL,
	"manifest_url" text NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
ALTER TABLE "host_kinds" ADD COLUMN "understands" text[];--> statement-breakpoint
ALTER TABLE "hosts" ADD COLUMN "agent_version" text GENERATED ALWAYS AS (facts ->> 'agentVersion') STORED;--> statement-breakpoint
ALTER TABLE "hosts" ADD COLUMN "wanted_release_id" uuid;--> statement-breakpoint
ALTER TABLE "hosts" ADD COLUMN "host_group" text;--> statement-breakpoint
ALTER TABLE "hosts" ADD COLUMN "understands" text[];--> statement-breakpoint
ALTER TABLE "agent_rollout_hosts" ADD CONSTRAINT "agent_rollout_hosts_rollout_id_agent_rollouts_id_fk" FOREIGN KEY ("rollout_id") REFERENCES "public"."agent_rollouts"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "agent_rollout_hosts" ADD CONSTRAINT "agent_rollout_hosts_host_id_hosts_id_fk" FOREIGN KEY ("host_id") REFERENCES "public"."hosts"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "agent_rollouts" ADD CONSTRAINT "agent_rollouts_release_id_agent_releases_id_fk" FOREIGN KEY ("release_id") REFERENCES "public"."agent_releases"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE UNIQUE INDEX "agent_rollout_hosts_one_open_key" ON "agent_rollout_hosts" USING btree ("host_id") WHERE "agent_rollout_hosts"."ended_at" is null;--> statement-breakpoint
CREATE INDEX "agent_rollouts_open_idx" ON "agent_rollouts" USING btree ("id") WHERE "agent_rollouts"."state" in ('running', 'paused');--> statement-breakpoint
CREATE UNIQUE INDEX "agent_releases_version_key" ON "agent_releases" USING btree ("version");--> statement-breakpoint
ALTER TABLE "hosts" ADD CONSTRAINT "hosts_wanted_release_id_agent_releases_id_fk" FOREIGN KEY ("wanted_release_id") REFERENCES "public"."agent_releases"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "hosts_group_idx" ON "hosts" USING btree ("host_group") WHERE "hosts"."host_group" is not null;--> statement-breakpoint
CREATE INDEX "hosts_agent_version_idx" ON "hosts" USING btree ("agent_version") WHERE "hosts"."state" in ('active', 'draining');
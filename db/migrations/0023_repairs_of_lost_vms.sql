ALTER TYPE "public"."action_type" ADD VALUE 'adopt_disk';--> statement-breakpoint
ALTER TYPE "public"."action_type" ADD VALUE 'recreate';
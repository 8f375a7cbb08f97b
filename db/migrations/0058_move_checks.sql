ALTER TYPE "public"."drain_reason" ADD VALUE 'network' BEFORE 'hypervisor';--> statement-breakpoint
ALTER TYPE "public"."drain_reason" ADD VALUE 'cpu' BEFORE 'agents';
CREATE TYPE "public"."staff_role" AS ENUM('support', 'billing', 'operator', 'owner');--> statement-breakpoint
ALTER TABLE "accounts" ADD COLUMN "staff_role" "staff_role";--> statement-breakpoint
-- Who was staff could do everything, and still can.
UPDATE "accounts" SET "staff_role" = 'owner' WHERE "role" = 'staff';--> statement-breakpoint
-- Repairs were of the scope that changes hosts, and have one of their own: tokens go on with both.
UPDATE "api_tokens" SET "permissions" = ("permissions"::jsonb || '{"repairs": ["write"]}')::text
  WHERE "permissions"::jsonb -> 'staff' ? 'write';--> statement-breakpoint
ALTER TABLE "accounts" ADD CONSTRAINT "accounts_staff_have_a_staff_role" CHECK (("accounts"."role" = 'staff') = ("accounts"."staff_role" is not null));
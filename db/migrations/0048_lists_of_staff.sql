DROP INDEX "vms_account_idx";--> statement-breakpoint
DROP INDEX "vms_host_idx";--> statement-breakpoint
DROP INDEX "vms_of_host_idx";--> statement-breakpoint
DROP INDEX "vms_of_location_idx";--> statement-breakpoint
DROP INDEX "vms_gone_idx";--> statement-breakpoint
DROP INDEX "vms_hostname_idx";--> statement-breakpoint
DROP INDEX "accounts_role_idx";--> statement-breakpoint
DROP INDEX "accounts_closed_idx";--> statement-breakpoint
DROP INDEX "audit_log_subject_idx";--> statement-breakpoint
DROP INDEX "hosts_group_idx";--> statement-breakpoint
CREATE INDEX "accounts_role_by_email_idx" ON "accounts" USING btree ("role","email" collate "C","id");--> statement-breakpoint
CREATE INDEX "accounts_closed_by_email_idx" ON "accounts" USING btree (("banned_at" is not null),"email" collate "C","id");--> statement-breakpoint
CREATE INDEX "findings_kind_idx" ON "findings" USING btree ("kind","id");--> statement-breakpoint
CREATE INDEX "hosts_location_idx" ON "hosts" USING btree ("location_id","id");--> statement-breakpoint
CREATE INDEX "hosts_state_idx" ON "hosts" USING btree ("state","id") WHERE "hosts"."state" <> 'active';--> statement-breakpoint
DROP INDEX "orders_state_idx";--> statement-breakpoint
CREATE INDEX "orders_state_idx" ON "orders" USING btree ("state","id");--> statement-breakpoint
CREATE INDEX "vms_by_id_idx" ON "vms" USING btree (("deleted_at" is not null),"id");--> statement-breakpoint
CREATE INDEX "vms_here_by_name_idx" ON "vms" USING btree ("hostname" collate "C","id") WHERE "vms"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "vms_here_of_account_idx" ON "vms" USING btree ("account_id","id") WHERE "vms"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "vms_here_of_account_by_name_idx" ON "vms" USING btree ("account_id","hostname" collate "C","id") WHERE "vms"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "vms_here_of_host_idx" ON "vms" USING btree ("host_id","id") WHERE "vms"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "vms_here_of_host_by_name_idx" ON "vms" USING btree ("host_id","hostname" collate "C","id") WHERE "vms"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "vms_here_of_location_idx" ON "vms" USING btree ("location_id","id") WHERE "vms"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "vms_here_of_location_by_name_idx" ON "vms" USING btree ("location_id","hostname" collate "C","id") WHERE "vms"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "vms_gone_by_name_idx" ON "vms" USING btree ("hostname" collate "C","id") WHERE "vms"."deleted_at" is not null;--> statement-breakpoint
CREATE INDEX "vms_gone_of_account_idx" ON "vms" USING btree ("account_id","id") WHERE "vms"."deleted_at" is not null;--> statement-breakpoint
CREATE INDEX "vms_gone_of_account_by_name_idx" ON "vms" USING btree ("account_id","hostname" collate "C","id") WHERE "vms"."deleted_at" is not null;--> statement-breakpoint
CREATE INDEX "vms_gone_of_host_idx" ON "vms" USING btree ("host_id","id") WHERE "vms"."deleted_at" is not null;--> statement-breakpoint
CREATE INDEX "vms_gone_of_host_by_name_idx" ON "vms" USING btree ("host_id","hostname" collate "C","id") WHERE "vms"."deleted_at" is not null;--> statement-breakpoint
CREATE INDEX "vms_gone_of_location_idx" ON "vms" USING btree ("location_id","id") WHERE "vms"."deleted_at" is not null;--> statement-breakpoint
CREATE INDEX "vms_gone_of_location_by_name_idx" ON "vms" USING btree ("location_id","hostname" collate "C","id") WHERE "vms"."deleted_at" is not null;--> statement-breakpoint
CREATE INDEX "vms_lost_by_id_idx" ON "vms" USING btree (("lost_at" is not null),"id") WHERE "vms"."lost_at" is not null and "vms"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "vms_lost_by_name_idx" ON "vms" USING btree (("lost_at" is not null),"hostname" collate "C","id") WHERE "vms"."lost_at" is not null and "vms"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "accounts_role_idx" ON "accounts" USING btree ("role","id");--> statement-breakpoint
CREATE INDEX "accounts_closed_idx" ON "accounts" USING btree (("banned_at" is not null),"id");--> statement-breakpoint
CREATE INDEX "audit_log_subject_idx" ON "audit_log" USING btree ("subject_id","at","id");--> statement-breakpoint
CREATE INDEX "hosts_group_idx" ON "hosts" USING btree ("host_group","id") WHERE "hosts"."host_group" is not null;

CREATE INDEX "accounts_by_email_idx" ON "accounts" USING btree ("email" collate "C","id");--> statement-breakpoint
CREATE INDEX "accounts_by_name_idx" ON "accounts" USING btree (lower("name") collate "C","id");--> statement-breakpoint
CREATE INDEX "accounts_role_idx" ON "accounts" USING btree ("role","id") WHERE "accounts"."role" <> 'customer';--> statement-breakpoint
CREATE INDEX "accounts_closed_idx" ON "accounts" USING btree ("id") WHERE "accounts"."banned_at" is not null;--> statement-breakpoint
CREATE INDEX "hosts_by_name_idx" ON "hosts" USING btree ("name" collate "C","id");--> statement-breakpoint
CREATE INDEX "actions_type_idx" ON "actions" USING btree ("type","id");--> statement-breakpoint
CREATE INDEX "actions_status_idx" ON "actions" USING btree ("status","id") WHERE "actions"."status" <> 'success';--> statement-breakpoint
CREATE INDEX "vms_of_host_idx" ON "vms" USING btree ("host_id","id");--> statement-breakpoint
CREATE INDEX "vms_of_location_idx" ON "vms" USING btree ("location_id","id");--> statement-breakpoint
CREATE INDEX "vms_of_plan_idx" ON "vms" USING btree ("plan_id","id");--> statement-breakpoint
CREATE INDEX "vms_gone_idx" ON "vms" USING btree ("id") WHERE "vms"."deleted_at" is not null;--> statement-breakpoint
CREATE INDEX "vms_hostname_idx" ON "vms" USING btree ("hostname" collate "C","id");--> statement-breakpoint
CREATE INDEX "vms_label_idx" ON "vms" USING btree (lower("label") collate "C","id") WHERE "vms"."label" is not null;
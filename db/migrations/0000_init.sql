CREATE TYPE "public"."account_role" AS ENUM('customer', 'staff', 'integration');--> statement-breakpoint
CREATE TYPE "public"."actor_kind" AS ENUM('account', 'staff', 'agent', 'provider', 'system');--> statement-breakpoint
CREATE TYPE "public"."billing_interval" AS ENUM('hour', 'month', 'year');--> statement-breakpoint
CREATE TYPE "public"."hypervisor" AS ENUM('kvm', 'hyperv');--> statement-breakpoint
CREATE TYPE "public"."os_family" AS ENUM('linux', 'freebsd', 'windows');--> statement-breakpoint
CREATE TYPE "public"."host_state" AS ENUM('enrolling', 'active', 'draining', 'retired');--> statement-breakpoint
CREATE TYPE "public"."ledger_account" AS ENUM('stripe_balance', 'customer_revenue', 'customer_refunds');--> statement-breakpoint
CREATE TYPE "public"."ledger_kind" AS ENUM('payment', 'refund');--> statement-breakpoint
CREATE TYPE "public"."event_name" AS ENUM('order.placed.v1', 'order.paid.v1', 'order.expired.v1', 'order.activated.v1', 'order.completed.v1', 'order.refund_fell_due.v1', 'order.refunded.v1', 'subscription.cancellation_fell_due.v1', 'entitlement.changed.v1', 'vm.change_requested.v1', 'vm.deleted.v1', 'vm.initial_password_taken.v1', 'vm.initial_password_expired.v1', 'action.finished.v1');--> statement-breakpoint
CREATE TYPE "public"."order_state" AS ENUM('awaiting_payment', 'expired', 'paid', 'active', 'completed', 'refunding', 'refunded');--> statement-breakpoint
CREATE TYPE "public"."action_error_code" AS ENUM('timed_out', 'host_refused', 'not_running', 'payment_refunded');--> statement-breakpoint
CREATE TYPE "public"."action_status" AS ENUM('running', 'success', 'error');--> statement-breakpoint
CREATE TYPE "public"."action_type" AS ENUM('create', 'start', 'shutdown', 'stop', 'reboot', 'reset', 'delete');--> statement-breakpoint
CREATE TYPE "public"."vm_desired_power" AS ENUM('running', 'off');--> statement-breakpoint
CREATE TYPE "public"."initial_password_state" AS ENUM('for_host', 'for_customer', 'taken', 'expired', 'withdrawn');--> statement-breakpoint
CREATE TYPE "public"."vm_observed_power" AS ENUM('running', 'off', 'starting', 'stopping', 'paused', 'failed');--> statement-breakpoint
CREATE TYPE "public"."vm_presence" AS ENUM('present', 'absent');--> statement-breakpoint
CREATE TYPE "public"."vm_stop_mode" AS ENUM('graceful', 'firm');--> statement-breakpoint
CREATE TABLE "accounts" (
	"id" uuid PRIMARY KEY NOT NULL,
	"email" text NOT NULL,
	"email_verified" boolean DEFAULT false NOT NULL,
	"name" text NOT NULL,
	"image" text,
	"role" "account_role" NOT NULL,
	"two_factor_enabled" boolean DEFAULT false NOT NULL,
	"banned_at" timestamp (3) with time zone,
	"created_at" timestamp (3) with time zone NOT NULL,
	"updated_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "accounts_email_unique" UNIQUE("email"),
	CONSTRAINT "accounts_email_is_lower_case" CHECK ("accounts"."email" = lower("accounts"."email")),
	CONSTRAINT "accounts_email_length" CHECK (length("accounts"."email") between 3 and 254),
	CONSTRAINT "accounts_name_length" CHECK (length("accounts"."name") between 1 and 200)
);
--> statement-breakpoint
CREATE TABLE "api_tokens" (
	"id" uuid PRIMARY KEY NOT NULL,
	"account_id" uuid NOT NULL,
	"name" text NOT NULL,
	"start" text NOT NULL,
	"prefix" text,
	"secret_hash" text NOT NULL,
	"permissions" text NOT NULL,
	"enabled" boolean DEFAULT true NOT NULL,
	"expires_at" timestamp (3) with time zone,
	"last_used_at" timestamp (3) with time zone,
	"created_at" timestamp (3) with time zone NOT NULL,
	"updated_at" timestamp (3) with time zone NOT NULL,
	"config_id" text DEFAULT 'default' NOT NULL,
	"metadata" text,
	"refill_interval_ms" integer,
	"refill_amount" integer,
	"last_refill_at" timestamp (3) with time zone,
	"rate_limit_enabled" boolean DEFAULT false NOT NULL,
	"rate_limit_window_ms" integer,
	"rate_limit_max" integer,
	"request_count" integer DEFAULT 0 NOT NULL,
	"remaining" integer,
	CONSTRAINT "api_tokens_secret_hash_unique" UNIQUE("secret_hash"),
	CONSTRAINT "api_tokens_hash_is_sha256" CHECK ("api_tokens"."secret_hash" ~ '^[A-Za-z0-9_-]{43}$')
);
--> statement-breakpoint
CREATE TABLE "auth_rate_limits" (
	"id" uuid PRIMARY KEY NOT NULL,
	"key" text NOT NULL,
	"count" integer NOT NULL,
	"last_request_ms" bigint NOT NULL,
	CONSTRAINT "auth_rate_limits_key_unique" UNIQUE("key")
);
--> statement-breakpoint
CREATE TABLE "credentials" (
	"id" uuid PRIMARY KEY NOT NULL,
	"account_id" uuid NOT NULL,
	"provider" text NOT NULL,
	"provider_account_id" text NOT NULL,
	"password_hash" text,
	"access_token" text,
	"refresh_token" text,
	"id_token" text,
	"access_token_expires_at" timestamp (3) with time zone,
	"refresh_token_expires_at" timestamp (3) with time zone,
	"scope" text,
	"created_at" timestamp (3) with time zone NOT NULL,
	"updated_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "credentials_provider_account_unique" UNIQUE("provider","provider_account_id"),
	CONSTRAINT "credentials_password_has_hash" CHECK ("credentials"."provider" <> 'credential' or "credentials"."password_hash" is not null)
);
--> statement-breakpoint
CREATE TABLE "sessions" (
	"id" uuid PRIMARY KEY NOT NULL,
	"account_id" uuid NOT NULL,
	"token" text NOT NULL,
	"ip_address" text,
	"user_agent" text,
	"expires_at" timestamp (3) with time zone NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL,
	"updated_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "sessions_token_unique" UNIQUE("token")
);
--> statement-breakpoint
CREATE TABLE "two_factors" (
	"id" uuid PRIMARY KEY NOT NULL,
	"account_id" uuid NOT NULL,
	"secret_encrypted" text NOT NULL,
	"backup_codes_encrypted" text NOT NULL,
	"verified" boolean DEFAULT false NOT NULL,
	"failed_verification_count" integer DEFAULT 0 NOT NULL,
	"locked_until" timestamp (3) with time zone,
	CONSTRAINT "two_factors_account_unique" UNIQUE("account_id"),
	CONSTRAINT "two_factors_failures_not_negative" CHECK ("two_factors"."failed_verification_count" >= 0)
);
--> statement-breakpoint
CREATE TABLE "verifications" (
	"id" uuid PRIMARY KEY NOT NULL,
	"identifier" text NOT NULL,
	"value" text NOT NULL,
	"expires_at" timestamp (3) with time zone NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL,
	"updated_at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "audit_log" (
	"id" uuid PRIMARY KEY NOT NULL,
	"at" timestamp (3) with time zone NOT NULL,
	"actor_kind" "actor_kind" NOT NULL,
	"actor_id" text NOT NULL,
	"action" text NOT NULL,
	"subject_kind" text NOT NULL,
	"subject_id" uuid NOT NULL,
	"detail" jsonb NOT NULL
);
--> statement-breakpoint
CREATE TABLE "images" (
	"id" uuid PRIMARY KEY NOT NULL,
	"name" text NOT NULL,
	"os" "os_family" NOT NULL,
	"file" text NOT NULL,
	"hypervisors" "hypervisor"[] NOT NULL,
	"min_memory_mib" integer NOT NULL,
	"min_disk_gib" integer NOT NULL,
	"available" boolean DEFAULT true NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "images_file_is_bare" CHECK ("images"."file" ~ '^[a-z0-9][a-z0-9._-]{0,99}$'),
	CONSTRAINT "images_run_somewhere" CHECK (cardinality("images"."hypervisors") > 0)
);
--> statement-breakpoint
CREATE TABLE "locations" (
	"id" uuid PRIMARY KEY NOT NULL,
	"name" text NOT NULL,
	"city" text NOT NULL,
	"country" text NOT NULL,
	"nameservers" text[] NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "locations_country_is_iso" CHECK ("locations"."country" ~ '^[A-Z]{2}$')
);
--> statement-breakpoint
CREATE TABLE "plan_prices" (
	"id" uuid PRIMARY KEY NOT NULL,
	"plan_id" uuid NOT NULL,
	"interval" "billing_interval" NOT NULL,
	"amount_minor" bigint NOT NULL,
	"currency" char(3) NOT NULL,
	"stripe_price_id" text,
	"created_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "plan_prices_positive" CHECK ("plan_prices"."amount_minor" > 0)
);
--> statement-breakpoint
CREATE TABLE "plans" (
	"id" uuid PRIMARY KEY NOT NULL,
	"name" text NOT NULL,
	"vcpus" integer NOT NULL,
	"memory_mib" integer NOT NULL,
	"disk_gib" integer NOT NULL,
	"traffic_gib" integer NOT NULL,
	"bandwidth_mbit" integer,
	"disk_iops" integer,
	"available" boolean DEFAULT true NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "plans_size_positive" CHECK ("plans"."vcpus" > 0 and "plans"."memory_mib" > 0 and "plans"."disk_gib" > 0 and "plans"."traffic_gib" >= 0)
);
--> statement-breakpoint
CREATE TABLE "hosts" (
	"id" uuid PRIMARY KEY NOT NULL,
	"name" text NOT NULL,
	"location_id" uuid NOT NULL,
	"state" "host_state" DEFAULT 'enrolling' NOT NULL,
	"test_only" boolean DEFAULT false NOT NULL,
	"hypervisor" "hypervisor",
	"accelerator" text,
	"facts" jsonb,
	"capacity_vcpus" integer DEFAULT 0 NOT NULL,
	"capacity_memory_mib" integer DEFAULT 0 NOT NULL,
	"capacity_disk_gib" integer DEFAULT 0 NOT NULL,
	"capacity_vms" integer DEFAULT 0 NOT NULL,
	"allocated_vcpus" integer DEFAULT 0 NOT NULL,
	"allocated_memory_mib" integer DEFAULT 0 NOT NULL,
	"allocated_disk_gib" integer DEFAULT 0 NOT NULL,
	"allocated_vms" integer DEFAULT 0 NOT NULL,
	"cpu_overcommit" integer DEFAULT 4 NOT NULL,
	"queue_url" text,
	"public_key" text,
	"identity_epoch" integer DEFAULT 0 NOT NULL,
	"desired_generation" integer DEFAULT 0 NOT NULL,
	"last_seen_at" timestamp (3) with time zone,
	"created_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "hosts_never_oversold" CHECK ("hosts"."allocated_vcpus" between 0 and "hosts"."capacity_vcpus"
        and "hosts"."allocated_memory_mib" between 0 and "hosts"."capacity_memory_mib"
        and "hosts"."allocated_disk_gib" between 0 and "hosts"."capacity_disk_gib"
        and "hosts"."allocated_vms" between 0 and "hosts"."capacity_vms"),
	CONSTRAINT "hosts_active_is_enrolled" CHECK ("hosts"."state" = 'enrolling' or ("hosts"."public_key" is not null and "hosts"."hypervisor" is not null))
);
--> statement-breakpoint
CREATE TABLE "ip_addresses" (
	"address" "inet" NOT NULL,
	"pool_id" uuid NOT NULL,
	"busy_until" timestamp (3) with time zone DEFAULT '-infinity' NOT NULL,
	CONSTRAINT "ip_addresses_pkey" PRIMARY KEY("pool_id","address")
);
--> statement-breakpoint
CREATE TABLE "ip_leases" (
	"id" uuid PRIMARY KEY NOT NULL,
	"pool_id" uuid NOT NULL,
	"address" "inet" NOT NULL,
	"vm_id" uuid NOT NULL,
	"during" "tstzrange" NOT NULL,
	"released_at" timestamp (3) with time zone
);
--> statement-breakpoint
CREATE TABLE "join_tokens" (
	"token_hash" text PRIMARY KEY NOT NULL,
	"host_id" uuid NOT NULL,
	"expires_at" timestamp (3) with time zone NOT NULL,
	"used_at" timestamp (3) with time zone,
	"created_at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "network_pools" (
	"id" uuid PRIMARY KEY NOT NULL,
	"location_id" uuid NOT NULL,
	"cidr" "cidr" NOT NULL,
	"gateway" "inet" NOT NULL,
	"prefix" integer NOT NULL,
	"vlan" integer,
	"created_at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "ledger_entries" (
	"id" uuid PRIMARY KEY NOT NULL,
	"transaction_id" uuid NOT NULL,
	"account" "ledger_account" NOT NULL,
	"amount_minor" bigint NOT NULL,
	"currency" char(3) NOT NULL,
	CONSTRAINT "ledger_entries_not_zero" CHECK ("ledger_entries"."amount_minor" <> 0)
);
--> statement-breakpoint
CREATE TABLE "ledger_transactions" (
	"id" uuid PRIMARY KEY NOT NULL,
	"kind" "ledger_kind" NOT NULL,
	"reference" text NOT NULL,
	"order_id" uuid NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "idempotency_keys" (
	"account_id" uuid NOT NULL,
	"key" text NOT NULL,
	"request_hash" text NOT NULL,
	"resource_id" uuid NOT NULL,
	"response" jsonb,
	"created_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "idempotency_keys_pkey" PRIMARY KEY("account_id","key")
);
--> statement-breakpoint
CREATE TABLE "inbox" (
	"source" text NOT NULL,
	"message_id" text NOT NULL,
	"type" text NOT NULL,
	"object_kind" text NOT NULL,
	"object_id" text,
	"body" text NOT NULL,
	"received_at" timestamp (3) with time zone NOT NULL,
	"applied_at" timestamp (3) with time zone,
	"outcome" text,
	CONSTRAINT "inbox_pkey" PRIMARY KEY("source","message_id")
);
--> statement-breakpoint
CREATE TABLE "outbox" (
	"seq" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "outbox_seq_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"id" uuid NOT NULL,
	"name" "event_name" NOT NULL,
	"data" jsonb NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL,
	"leased_until" timestamp (3) with time zone,
	"attempts" integer DEFAULT 0 NOT NULL,
	"sent_at" timestamp (3) with time zone
);
--> statement-breakpoint
CREATE TABLE "billing_customers" (
	"account_id" uuid PRIMARY KEY NOT NULL,
	"customer_id" text NOT NULL,
	CONSTRAINT "billing_customers_customer_key" UNIQUE("customer_id")
);
--> statement-breakpoint
CREATE TABLE "entitlements" (
	"vm_id" uuid PRIMARY KEY NOT NULL,
	"order_id" uuid NOT NULL,
	"subscription_id" text,
	"subscription_status" text,
	"until" timestamp (3) with time zone NOT NULL,
	"updated_at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "invoices" (
	"id" uuid PRIMARY KEY NOT NULL,
	"account_id" uuid NOT NULL,
	"order_id" uuid NOT NULL,
	"provider_id" text NOT NULL,
	"number" text,
	"status" text NOT NULL,
	"total_minor" bigint NOT NULL,
	"paid_minor" bigint NOT NULL,
	"currency" char(3) NOT NULL,
	"hosted_url" text,
	"created_at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "orders" (
	"id" uuid PRIMARY KEY NOT NULL,
	"account_id" uuid NOT NULL,
	"vm_id" uuid NOT NULL,
	"state" "order_state" NOT NULL,
	"plan_id" uuid NOT NULL,
	"image_id" uuid NOT NULL,
	"location_id" uuid NOT NULL,
	"hostname" text NOT NULL,
	"ssh_keys" text[] NOT NULL,
	"user_data" text,
	"billing_interval" "billing_interval" NOT NULL,
	"total_minor" bigint NOT NULL,
	"currency" char(3) NOT NULL,
	"checkout_id" text,
	"checkout_url" text,
	"expires_at" timestamp (3) with time zone NOT NULL,
	"paid_at" timestamp (3) with time zone,
	"created_at" timestamp (3) with time zone NOT NULL,
	"version" integer DEFAULT 1 NOT NULL,
	CONSTRAINT "orders_total_positive" CHECK ("orders"."total_minor" > 0),
	CONSTRAINT "orders_paid_has_instant" CHECK ("orders"."state" not in ('paid', 'active', 'completed') or "orders"."paid_at" is not null)
);
--> statement-breakpoint
CREATE TABLE "reservations" (
	"id" uuid PRIMARY KEY NOT NULL,
	"order_id" uuid NOT NULL,
	"host_id" uuid NOT NULL,
	"vcpus" integer NOT NULL,
	"memory_mib" integer NOT NULL,
	"disk_gib" integer NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL,
	"released_at" timestamp (3) with time zone
);
--> statement-breakpoint
CREATE TABLE "actions" (
	"id" uuid PRIMARY KEY NOT NULL,
	"vm_id" uuid NOT NULL,
	"type" "action_type" NOT NULL,
	"status" "action_status" NOT NULL,
	"generation" integer NOT NULL,
	"started_at" timestamp (3) with time zone NOT NULL,
	"finished_at" timestamp (3) with time zone,
	"error_code" "action_error_code",
	"error_message" text,
	CONSTRAINT "actions_finished_when_ended" CHECK (("actions"."status" = 'running') = ("actions"."finished_at" is null)),
	CONSTRAINT "actions_error_has_code" CHECK (("actions"."status" = 'error') = ("actions"."error_code" is not null))
);
--> statement-breakpoint
CREATE TABLE "initial_passwords" (
	"vm_id" uuid PRIMARY KEY NOT NULL,
	"state" "initial_password_state" NOT NULL,
	"sealed" text,
	"created_at" timestamp (3) with time zone NOT NULL,
	"expires_at" timestamp (3) with time zone NOT NULL,
	"ended_at" timestamp (3) with time zone,
	CONSTRAINT "initial_passwords_erased_when_ended" CHECK (("initial_passwords"."state" in ('for_host', 'for_customer')) = ("initial_passwords"."sealed" is not null)
        and ("initial_passwords"."sealed" is null) = ("initial_passwords"."ended_at" is not null))
);
--> statement-breakpoint
CREATE TABLE "usage_samples" (
	"vm_id" uuid NOT NULL,
	"boot_epoch" text NOT NULL,
	"seq" integer NOT NULL,
	"from_at" timestamp (3) with time zone NOT NULL,
	"to_at" timestamp (3) with time zone NOT NULL,
	"cpu_ns" numeric(20, 0) NOT NULL,
	"rx_bytes" numeric(20, 0) NOT NULL,
	"tx_bytes" numeric(20, 0) NOT NULL,
	"read_bytes" numeric(20, 0) NOT NULL,
	"write_bytes" numeric(20, 0) NOT NULL,
	"memory_bytes" bigint NOT NULL,
	"disk_bytes" bigint NOT NULL,
	"received_at" timestamp (3) with time zone NOT NULL,
	"bounded" boolean DEFAULT false NOT NULL,
	CONSTRAINT "usage_samples_pkey" PRIMARY KEY("vm_id","boot_epoch","seq"),
	CONSTRAINT "usage_samples_forward" CHECK ("usage_samples"."to_at" > "usage_samples"."from_at")
);
--> statement-breakpoint
CREATE TABLE "vms" (
	"id" uuid PRIMARY KEY NOT NULL,
	"account_id" uuid NOT NULL,
	"order_id" uuid NOT NULL,
	"host_id" uuid NOT NULL,
	"plan_id" uuid NOT NULL,
	"image_id" uuid NOT NULL,
	"location_id" uuid NOT NULL,
	"hostname" text NOT NULL,
	"ssh_keys" text[] NOT NULL,
	"user_data" text,
	"created_at" timestamp (3) with time zone NOT NULL,
	"presence" "vm_presence" NOT NULL,
	"desired_power" "vm_desired_power" NOT NULL,
	"stop_mode" "vm_stop_mode" NOT NULL,
	"vcpus" integer NOT NULL,
	"memory_mib" integer NOT NULL,
	"disk_gib" integer NOT NULL,
	"generation" integer NOT NULL,
	"owner_epoch" integer NOT NULL,
	"observed_power" "vm_observed_power",
	"observed_generation" integer DEFAULT 0 NOT NULL,
	"observed_at" timestamp (3) with time zone,
	"first_seen_at" timestamp (3) with time zone,
	"running_since" timestamp (3) with time zone,
	"guest_ready_at" timestamp (3) with time zone,
	"boot_epoch" text,
	"last_error_code" text,
	"last_error_detail" text,
	"deleted_at" timestamp (3) with time zone,
	CONSTRAINT "vms_never_ahead_of_desire" CHECK ("vms"."observed_generation" <= "vms"."generation"),
	CONSTRAINT "vms_generation_positive" CHECK ("vms"."generation" > 0 and "vms"."owner_epoch" > 0),
	CONSTRAINT "vms_deleted_was_asked" CHECK ("vms"."deleted_at" is null or "vms"."presence" = 'absent')
);
--> statement-breakpoint
ALTER TABLE "api_tokens" ADD CONSTRAINT "api_tokens_account_id_accounts_id_fk" FOREIGN KEY ("account_id") REFERENCES "public"."accounts"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "credentials" ADD CONSTRAINT "credentials_account_id_accounts_id_fk" FOREIGN KEY ("account_id") REFERENCES "public"."accounts"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "sessions" ADD CONSTRAINT "sessions_account_id_accounts_id_fk" FOREIGN KEY ("account_id") REFERENCES "public"."accounts"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "two_factors" ADD CONSTRAINT "two_factors_account_id_accounts_id_fk" FOREIGN KEY ("account_id") REFERENCES "public"."accounts"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "plan_prices" ADD CONSTRAINT "plan_prices_plan_id_plans_id_fk" FOREIGN KEY ("plan_id") REFERENCES "public"."plans"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "hosts" ADD CONSTRAINT "hosts_location_id_locations_id_fk" FOREIGN KEY ("location_id") REFERENCES "public"."locations"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "ip_addresses" ADD CONSTRAINT "ip_addresses_pool_id_network_pools_id_fk" FOREIGN KEY ("pool_id") REFERENCES "public"."network_pools"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "ip_leases" ADD CONSTRAINT "ip_leases_pool_id_network_pools_id_fk" FOREIGN KEY ("pool_id") REFERENCES "public"."network_pools"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "join_tokens" ADD CONSTRAINT "join_tokens_host_id_hosts_id_fk" FOREIGN KEY ("host_id") REFERENCES "public"."hosts"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "network_pools" ADD CONSTRAINT "network_pools_location_id_locations_id_fk" FOREIGN KEY ("location_id") REFERENCES "public"."locations"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "ledger_entries" ADD CONSTRAINT "ledger_entries_transaction_id_ledger_transactions_id_fk" FOREIGN KEY ("transaction_id") REFERENCES "public"."ledger_transactions"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "ledger_transactions" ADD CONSTRAINT "ledger_transactions_order_id_orders_id_fk" FOREIGN KEY ("order_id") REFERENCES "public"."orders"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "billing_customers" ADD CONSTRAINT "billing_customers_account_id_accounts_id_fk" FOREIGN KEY ("account_id") REFERENCES "public"."accounts"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "entitlements" ADD CONSTRAINT "entitlements_order_id_orders_id_fk" FOREIGN KEY ("order_id") REFERENCES "public"."orders"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "invoices" ADD CONSTRAINT "invoices_account_id_accounts_id_fk" FOREIGN KEY ("account_id") REFERENCES "public"."accounts"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "invoices" ADD CONSTRAINT "invoices_order_id_orders_id_fk" FOREIGN KEY ("order_id") REFERENCES "public"."orders"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "orders" ADD CONSTRAINT "orders_account_id_accounts_id_fk" FOREIGN KEY ("account_id") REFERENCES "public"."accounts"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "orders" ADD CONSTRAINT "orders_plan_id_plans_id_fk" FOREIGN KEY ("plan_id") REFERENCES "public"."plans"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "orders" ADD CONSTRAINT "orders_image_id_images_id_fk" FOREIGN KEY ("image_id") REFERENCES "public"."images"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "orders" ADD CONSTRAINT "orders_location_id_locations_id_fk" FOREIGN KEY ("location_id") REFERENCES "public"."locations"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "reservations" ADD CONSTRAINT "reservations_order_id_orders_id_fk" FOREIGN KEY ("order_id") REFERENCES "public"."orders"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "reservations" ADD CONSTRAINT "reservations_host_id_hosts_id_fk" FOREIGN KEY ("host_id") REFERENCES "public"."hosts"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "actions" ADD CONSTRAINT "actions_vm_id_vms_id_fk" FOREIGN KEY ("vm_id") REFERENCES "public"."vms"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "initial_passwords" ADD CONSTRAINT "initial_passwords_vm_id_vms_id_fk" FOREIGN KEY ("vm_id") REFERENCES "public"."vms"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "usage_samples" ADD CONSTRAINT "usage_samples_vm_id_vms_id_fk" FOREIGN KEY ("vm_id") REFERENCES "public"."vms"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "vms" ADD CONSTRAINT "vms_account_id_accounts_id_fk" FOREIGN KEY ("account_id") REFERENCES "public"."accounts"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "vms" ADD CONSTRAINT "vms_order_id_orders_id_fk" FOREIGN KEY ("order_id") REFERENCES "public"."orders"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "vms" ADD CONSTRAINT "vms_host_id_hosts_id_fk" FOREIGN KEY ("host_id") REFERENCES "public"."hosts"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "vms" ADD CONSTRAINT "vms_plan_id_plans_id_fk" FOREIGN KEY ("plan_id") REFERENCES "public"."plans"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "vms" ADD CONSTRAINT "vms_image_id_images_id_fk" FOREIGN KEY ("image_id") REFERENCES "public"."images"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "vms" ADD CONSTRAINT "vms_location_id_locations_id_fk" FOREIGN KEY ("location_id") REFERENCES "public"."locations"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "api_tokens_account_id_idx" ON "api_tokens" USING btree ("account_id");--> statement-breakpoint
CREATE INDEX "api_tokens_expires_at_idx" ON "api_tokens" USING btree ("expires_at");--> statement-breakpoint
CREATE INDEX "auth_rate_limits_last_request_idx" ON "auth_rate_limits" USING btree ("last_request_ms");--> statement-breakpoint
CREATE INDEX "credentials_account_id_idx" ON "credentials" USING btree ("account_id");--> statement-breakpoint
CREATE INDEX "sessions_account_id_idx" ON "sessions" USING btree ("account_id");--> statement-breakpoint
CREATE INDEX "sessions_expires_at_idx" ON "sessions" USING btree ("expires_at");--> statement-breakpoint
CREATE INDEX "verifications_identifier_idx" ON "verifications" USING btree ("identifier");--> statement-breakpoint
CREATE INDEX "verifications_expires_at_idx" ON "verifications" USING btree ("expires_at");--> statement-breakpoint
CREATE INDEX "audit_log_subject_idx" ON "audit_log" USING btree ("subject_id","at");--> statement-breakpoint
CREATE UNIQUE INDEX "images_name_key" ON "images" USING btree ("name");--> statement-breakpoint
CREATE UNIQUE INDEX "locations_name_key" ON "locations" USING btree ("name");--> statement-breakpoint
CREATE UNIQUE INDEX "plan_prices_plan_interval_key" ON "plan_prices" USING btree ("plan_id","interval","currency");--> statement-breakpoint
CREATE UNIQUE INDEX "plans_name_key" ON "plans" USING btree ("name");--> statement-breakpoint
CREATE UNIQUE INDEX "hosts_name_key" ON "hosts" USING btree ("name");--> statement-breakpoint
CREATE INDEX "hosts_location_idx" ON "hosts" USING btree ("location_id");--> statement-breakpoint
CREATE INDEX "ip_addresses_free_idx" ON "ip_addresses" USING btree ("pool_id","busy_until","address");--> statement-breakpoint
CREATE INDEX "ip_leases_vm_idx" ON "ip_leases" USING btree ("vm_id");--> statement-breakpoint
CREATE UNIQUE INDEX "ip_leases_open_address_key" ON "ip_leases" USING btree ("address") WHERE "ip_leases"."released_at" is null;--> statement-breakpoint
CREATE INDEX "join_tokens_host_idx" ON "join_tokens" USING btree ("host_id");--> statement-breakpoint
CREATE INDEX "network_pools_location_idx" ON "network_pools" USING btree ("location_id");--> statement-breakpoint
CREATE INDEX "ledger_entries_transaction_idx" ON "ledger_entries" USING btree ("transaction_id");--> statement-breakpoint
CREATE UNIQUE INDEX "ledger_transactions_reference_key" ON "ledger_transactions" USING btree ("kind","reference");--> statement-breakpoint
CREATE INDEX "ledger_transactions_order_idx" ON "ledger_transactions" USING btree ("order_id");--> statement-breakpoint
CREATE INDEX "idempotency_keys_age_idx" ON "idempotency_keys" USING btree ("created_at");--> statement-breakpoint
CREATE INDEX "inbox_unapplied_idx" ON "inbox" USING btree ("received_at") WHERE "inbox"."applied_at" is null;--> statement-breakpoint
CREATE UNIQUE INDEX "outbox_id_key" ON "outbox" USING btree ("id");--> statement-breakpoint
CREATE INDEX "outbox_unsent_idx" ON "outbox" USING btree ("seq") WHERE "outbox"."sent_at" is null;--> statement-breakpoint
CREATE UNIQUE INDEX "entitlements_order_key" ON "entitlements" USING btree ("order_id");--> statement-breakpoint
CREATE UNIQUE INDEX "entitlements_subscription_key" ON "entitlements" USING btree ("subscription_id");--> statement-breakpoint
CREATE UNIQUE INDEX "invoices_provider_key" ON "invoices" USING btree ("provider_id");--> statement-breakpoint
CREATE INDEX "invoices_account_idx" ON "invoices" USING btree ("account_id","id");--> statement-breakpoint
CREATE INDEX "invoices_order_idx" ON "invoices" USING btree ("order_id");--> statement-breakpoint
CREATE UNIQUE INDEX "orders_vm_key" ON "orders" USING btree ("vm_id");--> statement-breakpoint
CREATE UNIQUE INDEX "orders_checkout_key" ON "orders" USING btree ("checkout_id");--> statement-breakpoint
CREATE INDEX "orders_account_idx" ON "orders" USING btree ("account_id","id");--> statement-breakpoint
CREATE INDEX "orders_unpaid_idx" ON "orders" USING btree ("expires_at") WHERE "orders"."state" = 'awaiting_payment';--> statement-breakpoint
CREATE INDEX "orders_unproven_idx" ON "orders" USING btree ("paid_at") WHERE "orders"."state" in ('paid', 'refunding');--> statement-breakpoint
CREATE UNIQUE INDEX "reservations_held_order_key" ON "reservations" USING btree ("order_id") WHERE "reservations"."released_at" is null;--> statement-breakpoint
CREATE INDEX "reservations_host_idx" ON "reservations" USING btree ("host_id");--> statement-breakpoint
CREATE UNIQUE INDEX "actions_one_running_key" ON "actions" USING btree ("vm_id") WHERE "actions"."status" = 'running';--> statement-breakpoint
CREATE INDEX "actions_vm_idx" ON "actions" USING btree ("vm_id","id");--> statement-breakpoint
CREATE INDEX "initial_passwords_due_idx" ON "initial_passwords" USING btree ("expires_at") WHERE "initial_passwords"."ended_at" is null;--> statement-breakpoint
CREATE INDEX "usage_samples_vm_time_idx" ON "usage_samples" USING btree ("vm_id","from_at");--> statement-breakpoint
CREATE UNIQUE INDEX "vms_order_key" ON "vms" USING btree ("order_id");--> statement-breakpoint
CREATE INDEX "vms_account_idx" ON "vms" USING btree ("account_id","id");--> statement-breakpoint
CREATE INDEX "vms_host_idx" ON "vms" USING btree ("host_id") WHERE "vms"."deleted_at" is null;
import { z } from "@hono/zod-openapi";

/**
 * Every stable code of the API, and its HTTP status. A refusal whose code is not here does not compile. Clients
 * branch on `code`; `detail` is for people and may change.
 */
export const STATUS_BY_CODE = {
  // The request itself.
  malformed_json: 400,
  invalid_request: 400,
  idempotency_key_missing: 400,
  signature_invalid: 400,
  event_malformed: 400,
  unauthenticated: 401,
  token_invalid: 401,
  agent_token_invalid: 401,
  agent_token_used: 401,
  agent_clock_off: 401,
  identity_revoked: 401,
  join_token_invalid: 401,
  link_invalid: 400,
  cursor_invalid: 400,
  forbidden: 403,
  scope_missing: 403,
  foreign_origin: 403,
  second_factor_required: 403,
  email_not_verified: 403,
  not_found: 404,
  method_not_allowed: 405,
  request_timeout: 408,
  body_too_large: 413,
  unsupported_media_type: 415,
  rate_limited: 429,
  // What it names.
  plan_not_found: 404,
  image_not_found: 404,
  location_not_found: 404,
  host_not_found: 404,
  agent_release_not_found: 404,
  agent_rollout_not_found: 404,
  order_not_found: 404,
  vm_not_found: 404,
  account_not_found: 404,
  action_not_found: 404,
  invoice_not_found: 404,
  token_not_found: 404,
  destroy_request_not_found: 404,
  no_initial_password: 404,
  quote_not_found: 404,
  change_not_found: 404,
  plan_migration_not_found: 404,
  // What it asks for.
  idempotency_key_reused: 422,
  image_needs_more_memory: 422,
  image_needs_more_disk: 422,
  billing_interval_unavailable: 422,
  ssh_key_invalid: 422,
  ssh_key_missing: 422,
  password_unavailable: 422,
  hostname_invalid: 422,
  user_data_too_large: 422,
  user_data_invalid: 422,
  pool_invalid: 422,
  scope_not_allowed: 422,
  password_unfit: 422,
  plan_beyond_limits: 422,
  image_not_for_hypervisor: 422,
  no_capacity: 409,
  image_unavailable_here: 409,
  plan_unavailable_here: 409,
  no_address: 409,
  order_wrong_state: 409,
  order_underpaid: 409,
  order_open: 409,
  action_ended: 409,
  action_not_cancellable: 409,
  action_may_be_under_way: 409,
  vm_locked: 409,
  quote_expired: 409,
  quote_outdated: 409,
  quote_taken: 409,
  change_under_way: 409,
  vm_lost: 409,
  vm_not_lost: 409,
  repair_unavailable: 409,
  unsupported_by_agent: 409,
  plan_changed: 409,
  resize_refused: 409,
  adoption_refused: 409,
  restore_point_invalid: 422,
  vm_not_running: 409,
  vm_suspended: 409,
  vm_protected: 409,
  vm_cancelled: 409,
  grant_too_long: 422,
  second_person_required: 409,
  same_person: 409,
  destroy_request_open: 409,
  destroy_request_ended: 409,
  account_closed: 409,
  email_taken: 409,
  name_taken: 409,
  image_other_file: 409,
  token_limit: 409,
  too_many_unpaid_orders: 409,
  newcomers_share_taken: 409,
  too_many_unpaid_from_network: 429,
  too_many_expired_orders: 429,
  secret_shown_once: 409,
  host_wrong_state: 409,
  release_exists: 409,
  releases_not_signed: 409,
  rollout_open: 409,
  rollout_wrong_state: 409,
  rollout_without_hosts: 422,
  plan_migration_wrong_state: 409,
  plan_migration_without_vms: 422,
  plan_migration_too_large: 422,
  report_stale: 409,
  password_not_ready: 409,
  // What was there, and is gone for good.
  password_already_taken: 410,
  password_expired: 410,
  // What stands behind us.
  payment_provider_unavailable: 502,
  busy: 503,
  internal: 500,
} as const;
export type ProblemCode = keyof typeof STATUS_BY_CODE;
export const PROBLEM_CODES = Object.keys(STATUS_BY_CODE) as [ProblemCode, ...ProblemCode[]];

/** RFC 9457 problem document. `type` is a URN of the code, since the code is what a program reads. */
export const Problem = z
  .object({
    type: z.string().openapi({ example: "urn:berth:problem:no_capacity" }),
    title: z.string(),
    status: z.int(),
    code: z.enum(PROBLEM_CODES).openapi("ProblemCode"),
    detail: z.string(),
    /** The request's id: quote it to support. */
    instance: z.string(),
    errors: z
      .array(z.object({ path: z.string(), message: z.string() }).openapi("FieldError"))
      .optional()
      .openapi({ description: "Each field that was not accepted, by its path." }),
    reason: z.string().optional().openapi({
      description: "Of a log-in route: what exactly was wrong, such as `password_too_short`.",
    }),
  })
  .openapi("Problem");
export type Problem = z.infer<typeof Problem>;

/** The document of a refusal. `instance` is the request's id, or whatever else it is logged under. */
export const problemDocument = (
  code: ProblemCode,
  detail: string,
  instance: string,
  errors?: Problem["errors"],
): Problem => ({
  type: `urn:berth:problem:${code}`,
  title: code.replaceAll("_", " "),
  status: STATUS_BY_CODE[code],
  code,
  detail,
  instance,
  ...(errors ? { errors } : {}),
});
export const PROBLEM_TYPE = "application/problem+json";

import type { ProblemCode } from "#core/contracts/problem.ts";
import type { FailureKind } from "./exit-codes.ts";

/** What somebody does next who is refused with a code. Codes without a line here have their kind's. */
const BY_CODE: Partial<Record<ProblemCode, string>> = {
  unauthenticated: "berth login, or BERTH_URL and BERTH_TOKEN",
  token_invalid:
    "the token has ended or was revoked: berth login makes another, berth context list says which is used",
  scope_missing:
    "a token that has the scope: berth token create; berth whoami shows what this one may",
  forbidden: "berth whoami shows whose token this is; --context takes another",
  second_factor_required: "log in with the second factor, or use a token",
  email_not_verified: "open the link that was mailed to the account's address",
  rate_limited: "wait a minute",
  plan_not_found: "berth plan list",
  image_not_found: "berth image list",
  location_not_found: "berth location list",
  vm_not_found: "berth vm list",
  host_not_found: "berth host list",
  invoice_not_found: "berth invoice list",
  token_not_found: "berth token list",
  order_not_found: "an order's id is in the answer that made it, and in `berth vm show`",
  account_not_found: "berth account list, or berth search",
  idempotency_key_reused: "another --idempotency-key, since that one was for another request",
  no_capacity: "another location or plan: berth plan list shows where there is room",
  no_address: "another location: berth plan list shows where there is room",
  image_unavailable_here: "another location or image: berth image list shows where each runs",
  plan_unavailable_here: "another location or plan: berth plan list shows where there is room",
  image_needs_more_memory: "a larger plan: berth plan list",
  image_needs_more_disk: "a larger plan: berth plan list",
  billing_interval_unavailable: "another --interval: berth plan list shows what a plan is sold by",
  ssh_key_missing: "--ssh-key FILE, or --password",
  ssh_key_invalid: "--ssh-key takes the file of a public key, such as ~/.ssh/id_ed25519.pub",
  order_open: "pay that order (berth order show), or --another orders one more",
  too_many_unpaid_orders: "pay what is open, or let it expire",
  vm_locked: "berth vm show names the action that runs: berth action watch waits for it",
  vm_lost: "its host has lost it: staff see why with berth why, and mend it with berth vm repair",
  vm_not_running: "berth vm power VM start",
  vm_suspended: "berth invoice list shows what is open",
  vm_not_lost: "berth vm show says how it stands",
  plan_changed: "it would do something else by now: ask for the dry run again",
  resize_refused: "berth vm resize-options shows what can be",
  quote_not_found: "another quote: berth vm resize with --plan",
  quote_expired: "another quote: berth vm resize with --plan",
  quote_outdated: "another quote: berth vm resize with --plan",
  quote_taken: "berth vm show names what became of it",
  change_not_found: "nothing waits: berth vm show says how it stands",
  change_under_way: "it ends by itself: berth vm show names the action, berth action watch waits",
  action_not_cancellable: "berth action show says how far it is",
  action_may_be_under_way: "--abandon gives it up all the same",
  password_not_ready: "try again when the VM runs",
  token_limit: "berth token revoke ends one that is not needed any more",
  secret_shown_once: "it was shown to the first request with this key: make another",
  payment_provider_unavailable: "try again in a while: nothing was taken",
  second_person_required: "berth vm ask-destroy, and somebody else confirms",
  same_person: "somebody else has to: berth destroy-request confirm",
  destroy_request_open: "berth destroy-request list",
  destroy_request_not_found: "berth destroy-request list",
  destroy_request_ended: "berth vm ask-destroy asks anew",
  vm_protected: "berth vm unprotect",
  vm_cancelled: "berth vm uncancel",
  account_closed: "berth account reopen",
  busy: "try again in a while",
};

const BY_KIND: Record<FailureKind, string | undefined> = {
  failed: undefined,
  usage: "--help after the command says what it takes",
  access: "berth whoami",
  missing: "berth search finds it by anything that is known of it, for staff; lists show the rest",
  refused: undefined,
  unreachable: "try again; berth context list says which address is asked",
  timed_out: undefined,
};

/** What to do next; undefined where nothing is to be said. Codes of a newer server go by their kind. */
export const wayOutOf = (code: string, kind: FailureKind): string | undefined =>
  Object.entries(BY_CODE).find(([known]) => known === code)?.[1] ?? BY_KIND[kind];

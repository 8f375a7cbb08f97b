/**
 * Every Lambda, by name, and the file it starts from. `test/cdk/stack.test.ts` holds this list against the files
 * on disk that export a handler.
 */
export const FUNCTION_ENTRIES = {
  api: "functions/api.ts",
  "agent-api": "functions/agent-api.ts",
  "log-in": "functions/log-in.ts",
  "stripe-webhook": "webhooks/stripe.ts",
  "billing-events": "functions/consume-billing-events.ts",
  "outbox-events": "functions/consume-outbox-events.ts",
  "mail-events": "functions/consume-mail-events.ts",
  sweep: "functions/sweep.ts",
  migrate: "functions/migrate.ts",
  "add-staff": "functions/add-staff.ts",
} as const;

export type FunctionName = keyof typeof FUNCTION_ENTRIES;
export const FUNCTION_NAMES = [
  "api",
  "agent-api",
  "log-in",
  "stripe-webhook",
  "billing-events",
  "outbox-events",
  "mail-events",
  "sweep",
  "migrate",
  "add-staff",
] as const satisfies readonly FunctionName[];

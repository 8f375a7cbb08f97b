import type { Accounts } from "#core/accounts/accounts.ts";
import type { PaymentProvider } from "#core/billing/price-changes.ts";
import type { Currency } from "#core/money.ts";
import type { UnpaidLimits } from "#core/orders/unpaid-limits.ts";
import type { PlaneMetrics } from "#core/plane-metrics.ts";
import type {
  Clock,
  HostCredentials,
  IdSource,
  Log,
  Mail,
  Queues,
  Sealer,
  SecretSource,
} from "#core/ports.ts";
import type { Db } from "#db/client.ts";

/** What every command may use. Built once, in `runtime.ts`. */
export type Deps = Readonly<{
  db: Db;
  clock: Clock;
  ids: IdSource;
  secrets: SecretSource;
  sealer: Sealer;
  log: Log;
  metrics: PlaneMetrics;
  payments: PaymentProvider;
  queues: Queues;
  mail: Mail;
  accounts: Accounts;
  settings: Settings;
}>;

/** What Stripe's deliveries are taken with. */
export type WebhookDeps = Pick<Deps, "db" | "clock" | "ids" | "log" | "payments" | "queues">;

/** What is told of mails is noted with. */
export type MailEventsDeps = Pick<Deps, "db" | "clock" | "ids" | "log" | "metrics">;

/** What agents' commands may use, in a Lambda of their own: no payments, nobody's log-in, no mail. */
export type AgentDeps = Omit<Deps, "payments" | "accounts" | "mail">;
/** And what alone hands a host its credentials. */
export type ChannelDeps = AgentDeps & Readonly<{ hostCredentials: HostCredentials }>;

export type Settings = Readonly<{
  /** Where people and agents reach us, without a slash at the end. */
  publicUrl: string;
  /** What may be held unpaid; `UNPAID_LIMITS` unless given. */
  unpaidLimits?: UnpaidLimits;
  /** What is ordered in where nobody says, and the account has paid in none yet; `USUAL_CURRENCY` unless given. */
  currency?: Currency | undefined;
  /** Whose signature agents' releases bear (`PublicKeyX`); left out: this installation signs none. */
  releaseKey?: string | undefined;
  /** One member of staff alone may destroy what is a customer's; two unless given (ADR 0048). */
  oneMayDestroy?: boolean | undefined;
  /** What agents are told to do, in seconds. */
  intervals: { resyncSeconds: number; usageSampleSeconds: number; usageFlushSeconds: number };
}>;

/** The instant and the ids of one unit of work. */
export const stamp = (deps: Pick<Deps, "clock" | "ids">) => ({
  now: deps.clock.now(),
  newId: deps.ids.newId,
});

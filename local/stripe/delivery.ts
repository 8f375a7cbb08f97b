/** Where events go. `deliver` is `fetch`, or a function of the simulator. */
export type WebhookEndpoint = Readonly<{
  url: string;
  secret: string;
  deliver: (request: Request) => Promise<Response>;
  /** Milliseconds before each further attempt. */
  retryDelaysMs: readonly number[];
}>;

/** One event on its way. `dueAt` is in Unix milliseconds. */
export type Delivery = Readonly<{
  id: string;
  event: string;
  type: string;
  attempts: number;
  dueAt: number;
}>;

/** What came of an attempt; `status` is null when no answer came. */
export type Attempt = Readonly<{
  delivery: string;
  event: string;
  type: string;
  at: number;
  outcome: "delivered" | "failed" | "dropped";
  status: number | null;
}>;

/** A fault that the control surface arms: it is used up by the next `count` deliveries whose type matches. */
export type Fault = Readonly<{
  kind: "drop" | "duplicate" | "delay" | "reorder";
  count: number;
  /** An event type, or `charge.*`; absent: any. */
  type?: string | undefined;
  /** For `delay`: how long. For `reorder`: how far apart the turned-round deliveries leave. */
  delayMs?: number | undefined;
}>;

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
/**
 * Stripe resends for up to 3 days with exponential back-off and publishes no figures: these are ours. The first is
 * short, because here a receiver that is away is one that restarts.
 */
export const RETRY_DELAYS_MS: readonly number[] = [
  5000,
  MINUTE,
  5 * MINUTE,
  30 * MINUTE,
  2 * HOUR,
  5 * HOUR,
  10 * HOUR,
  12 * HOUR,
  12 * HOUR,
  12 * HOUR,
  12 * HOUR,
];
/** How long an armed delay holds a delivery, unless said otherwise. */
export const DELAY_MS = MINUTE;
/** How far apart turned-round deliveries leave, unless said otherwise. */
export const REORDER_GAP_MS = 200;
export const KEPT_ATTEMPTS = 1000;

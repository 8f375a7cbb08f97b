import { RetentionDays } from "aws-cdk-lib/aws-logs";
import type { FunctionName } from "./functions.ts";

export const STAGES = ["small", "large"] as const;
export type Stage = (typeof STAGES)[number];

/** What differs between the stages; everything else of the stack is the same in both. */
export type StageSettings = Readonly<{
  /** `instance`: one small EC2 machine, a few dollars a month; `gateways`: one managed gateway a zone. */
  nat: "instance" | "gateways";
  /** Aurora capacity units. 0.5 ACU is 1 GiB of memory. No pause: the sweep asks every minute (facts/aws). */
  database: { minAcu: number; maxAcu: number; readers: 0 | 2; backupDays: number };
  /** Deletion protection of the database and of the stack. */
  protect: boolean;
  logRetention: RetentionDays;
  /**
   * Instances kept for a function and the most it may have. Together they bound the connections to Postgres, two an
   * instance. Consumers are bounded by their mapping instead: a throttled consumer would drive messages to the DLQ.
   */
  reserved: Readonly<
    Record<
      Extract<FunctionName, "api" | "agent-api" | "log-in" | "stripe-webhook" | "sweep">,
      number
    >
  >;
  /** Most instances that one queue's mapping starts. */
  consumers: number;
  /** Requests a second, and in a burst, by who serves them: a rush of customers turns no host and no payment away. */
  throttle: Readonly<
    Record<
      Extract<FunctionName, "api" | "agent-api" | "log-in" | "stripe-webhook">,
      Readonly<{ rate: number; burst: number }>
    >
  >;
}>;

export const STAGE_SETTINGS: Readonly<Record<Stage, StageSettings>> = {
  small: {
    nat: "instance",
    database: { minAcu: 0.5, maxAcu: 4, readers: 0, backupDays: 7 },
    protect: false,
    logRetention: RetentionDays.ONE_MONTH,
    reserved: { api: 10, "agent-api": 6, "log-in": 4, "stripe-webhook": 5, sweep: 2 },
    consumers: 5,
    throttle: {
      api: { rate: 100, burst: 200 },
      "agent-api": { rate: 100, burst: 200 },
      "log-in": { rate: 20, burst: 40 },
      "stripe-webhook": { rate: 50, burst: 100 },
    },
  },
  large: {
    nat: "gateways",
    database: { minAcu: 2, maxAcu: 64, readers: 2, backupDays: 35 },
    protect: true,
    logRetention: RetentionDays.THREE_MONTHS,
    reserved: { api: 170, "agent-api": 100, "log-in": 30, "stripe-webhook": 50, sweep: 2 },
    consumers: 50,
    throttle: {
      api: { rate: 2000, burst: 4000 },
      "agent-api": { rate: 2000, burst: 4000 },
      "log-in": { rate: 200, burst: 400 },
      "stripe-webhook": { rate: 500, burst: 1000 },
    },
  },
};

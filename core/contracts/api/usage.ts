import { z } from "@hono/zod-openapi";
import { Count, QueryInstant } from "./values.ts";
import { use } from "#core/contracts/named.ts";
import { Instant } from "#core/contracts/values.ts";

const UsageBy = z.enum(["hour", "day"]).openapi("UsageBy");

export const UsageQuery = z.strictObject({
  from: QueryInstant.optional().openapi({
    param: {
      description:
        "From when on; a day before `to` when left out, and 35 days at most. Usage is kept by whole hours (UTC): each that the time asked for touches counts whole.",
    },
  }),
  to: QueryInstant.optional().openapi({ param: { description: "Until when; now when left out." } }),
  by: use(UsageBy)
    .default("hour")
    .openapi({ param: { description: "How long each bucket is." } }),
});

const COUNTERS = {
  cpuNs: Count,
  rxBytes: Count,
  txBytes: Count,
  readBytes: Count,
  writeBytes: Count,
};

export const UsageView = z
  .object({
    from: Instant,
    to: Instant,
    totals: z.object(COUNTERS).openapi("UsageTotals"),
    buckets: z.array(z.object({ from: Instant, ...COUNTERS }).openapi("UsageBucket")),
    measuredUntil: Instant.nullable().openapi({ description: "The end of the newest sample." }),
    unmeasured: z
      .array(z.object({ from: Instant, to: Instant }).openapi("UnmeasuredTime"))
      .openapi({
        description:
          "Times in which the VM came from one host to another and nobody could measure it: its counters are zero there, and nothing is missing.",
      }),
  })
  .openapi("Usage");
export type UsageView = z.infer<typeof UsageView>;

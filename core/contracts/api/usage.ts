import { z } from "@hono/zod-openapi";
import { Count } from "./values.ts";
import { use } from "#core/contracts/named.ts";
import { CLOCK_PATTERN, Instant } from "#core/contracts/values.ts";

/** An instant that a query may name: a year that every part of us can write. */
const QueryInstant = z.iso
  .datetime()
  .refine((text) => Date.parse(text) >= 0, "may not lie before 1970")
  .openapi({
    pattern: `^(?:19[7-9][0-9]|[2-9][0-9]{3})-[0-9]{2}-[0-9]{2}T${CLOCK_PATTERN}(?:\\.[0-9]+)?Z$`,
    example: "2026-03-01T12:00:00Z",
  });

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
  })
  .openapi("Usage");
export type UsageView = z.infer<typeof UsageView>;

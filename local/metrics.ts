import { Hono } from "hono";
import { METRICS_TYPE, type MetricsRegistry } from "#core/metrics-registry.ts";
import type { PLANE_METRICS } from "#core/plane-metrics.ts";
import type { Deps } from "#commands/deps.ts";
import { createMeasure } from "#commands/measure.ts";
import { refuseForeignPages } from "./foreign-page.ts";

/** `GET /metrics`, for Prometheus. Of a local stack only: it asks for no key. On AWS the same goes to CloudWatch. */
export function localMetrics(
  deps: Pick<Deps, "db" | "clock" | "metrics">,
  registry: MetricsRegistry<typeof PLANE_METRICS>,
): Hono {
  const measure = createMeasure(deps);
  return new Hono().use("/metrics", refuseForeignPages()).get("/metrics", async (c) => {
    await measure();
    return c.body(registry.text(), 200, { "content-type": METRICS_TYPE });
  });
}

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { z } from "zod";
import { PLANE_METRICS } from "#core/plane-metrics.ts";
import { createEmfMetrics } from "./emf-metrics.ts";

const Line = z.looseObject({
  _aws: z.object({
    CloudWatchMetrics: z.array(
      z.object({
        Namespace: z.string(),
        Dimensions: z.array(z.array(z.string())),
        Metrics: z.array(z.object({ Name: z.string(), Unit: z.string() })),
      }),
    ),
  }),
});

let lines: string[];
beforeEach(() => {
  lines = [];
  // Powertools writes to a console of its own unless it is told that this is development, and then nothing at all.
  vi.stubEnv("POWERTOOLS_DEV", "true");
  vi.stubEnv("POWERTOOLS_METRICS_DISABLED", "false");
  vi.spyOn(console, "log").mockImplementation((text: string) => void lines.push(text));
});
afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
});

const written = () => lines.map((line) => Line.parse(JSON.parse(line)));

// 5 item 5
describe("a metric on AWS", () => {
  it("leaves at once as a line that CloudWatch makes a metric of, with its unit and its labels as dimensions", () => {
    const metrics = createEmfMetrics(PLANE_METRICS, "berth-sweep");
    metrics.observe("berth_queue_lag_seconds", { queue: "purchases" }, 0.25);
    metrics.count("berth_orders_total", { state: "paid" }, 3);
    metrics.set("berth_hosts_silent", {}, 0);
    expect(written()).toMatchObject([
      {
        berth_queue_lag_seconds: 0.25,
        queue: "purchases",
        _aws: {
          CloudWatchMetrics: [
            {
              Namespace: "Berth",
              Dimensions: [["service", "queue"]],
              Metrics: [{ Name: "berth_queue_lag_seconds", Unit: "Seconds" }],
            },
          ],
        },
      },
      {
        berth_orders_total: 3,
        state: "paid",
        _aws: { CloudWatchMetrics: [{ Metrics: [{ Unit: "Count" }] }] },
      },
      { berth_hosts_silent: 0, service: "berth-sweep" },
    ]);
  });

  it("has no dimension that nobody listed, and is not told while it is not known", () => {
    const metrics = createEmfMetrics(PLANE_METRICS, "berth");
    metrics.observe("berth_queue_lag_seconds", { queue: "somebody-elses" }, 1);
    metrics.set("berth_hosts_silent", {}, null);
    expect(written()).toMatchObject([{ queue: "other" }]);
  });
});

import { describe, expect, test } from "vitest";
import { createMetricsRegistry } from "./metrics-registry.ts";

const DEFINITIONS = {
  berth_made_total: { kind: "counter", help: "Made.", labels: { how: ["well", "badly"] } },
  berth_room_bytes: { kind: "gauge", help: "Free\nroom \\ left.", labels: {} },
  berth_build_info: { kind: "gauge", help: "Built.", labels: { version: null } },
  berth_took_seconds: {
    kind: "histogram",
    help: "Took.",
    labels: { what: ["pass"] },
    buckets: [0.5, 2],
  },
} as const;

// 5 item 5
describe("the text that Prometheus reads", () => {
  test("shows what may be counted as 0 from the start, and what is not known not at all", () => {
    expect(createMetricsRegistry(DEFINITIONS).text()).toBe(
      [
        "# HELP berth_made_total Made.",
        "# TYPE berth_made_total counter",
        'berth_made_total{how="well"} 0',
        'berth_made_total{how="badly"} 0',
        "# HELP berth_took_seconds Took.",
        "# TYPE berth_took_seconds histogram",
        'berth_took_seconds_bucket{what="pass",le="0.5"} 0',
        'berth_took_seconds_bucket{what="pass",le="2"} 0',
        'berth_took_seconds_bucket{what="pass",le="+Inf"} 0',
        'berth_took_seconds_sum{what="pass"} 0',
        'berth_took_seconds_count{what="pass"} 0',
        "",
      ].join("\n"),
    );
  });

  test("has counters that add up, and gauges that are what they were last set to", () => {
    const registry = createMetricsRegistry(DEFINITIONS);
    registry.count("berth_made_total", { how: "well" });
    registry.count("berth_made_total", { how: "well" }, 4);
    registry.set("berth_room_bytes", {}, 7);
    registry.set("berth_room_bytes", {}, -1.5);
    expect(registry.text()).toContain('berth_made_total{how="well"} 5\n');
    expect(registry.text()).toContain("\nberth_room_bytes -1.5\n");
    registry.set("berth_room_bytes", {}, null);
    expect(registry.text()).not.toContain("berth_room_bytes");
  });

  test("has buckets that count what is at most their bound, and all that is less", () => {
    const registry = createMetricsRegistry(DEFINITIONS);
    for (const seconds of [0.25, 0.5, 1, 60])
      registry.observe("berth_took_seconds", { what: "pass" }, seconds);
    const lines = registry.text().split("\n");
    expect(lines.filter((line) => line.startsWith("berth_took"))).toEqual([
      'berth_took_seconds_bucket{what="pass",le="0.5"} 2',
      'berth_took_seconds_bucket{what="pass",le="2"} 3',
      'berth_took_seconds_bucket{what="pass",le="+Inf"} 4',
      'berth_took_seconds_sum{what="pass"} 61.75',
      'berth_took_seconds_count{what="pass"} 4',
    ]);
  });

  test("escapes backslash, quote and new line in what labels say, and the first and last in its help", () => {
    const registry = createMetricsRegistry(DEFINITIONS);
    registry.set("berth_room_bytes", {}, 1);
    registry.set("berth_build_info", { version: 'a"b\\c\nd' }, 1);
    expect(registry.text()).toContain(String.raw`# HELP berth_room_bytes Free\nroom \\ left.`);
    expect(registry.text()).toContain(String.raw`berth_build_info{version="a\"b\\c\nd"} 1`);
  });

  test("has no series that nobody listed, whatever is said", () => {
    const registry = createMetricsRegistry(DEFINITIONS);
    for (let n = 0; n < 100; n++) registry.count("berth_made_total", { how: `guest-${n}` });
    const made = registry.text().match(/^berth_made_total.*$/gm);
    expect(made).toEqual([
      'berth_made_total{how="well"} 0',
      'berth_made_total{how="badly"} 0',
      'berth_made_total{how="other"} 100',
    ]);
  });
});

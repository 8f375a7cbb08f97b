import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { z } from "zod";
import type { MetricDefinitions } from "#core/metrics.ts";
import { PLANE_METRICS } from "#core/plane-metrics.ts";
import { AGENT_METRICS } from "#host-agent/metrics.ts";

/* 5 item 5: what `ops/` and the runbook say of metrics is true of the code. */

const ROOT = path.join(import.meta.dirname, "..", "..");
const RUNBOOK = "docs/runbooks/monitoring.md";
const read = (file: string) => readFileSync(path.join(ROOT, file), "utf8");
const DASHBOARDS = readdirSync(path.join(ROOT, "ops/dashboards"));
const DEFINITIONS: MetricDefinitions = { ...PLANE_METRICS, ...AGENT_METRICS };
const metricNames = Object.keys(DEFINITIONS);

const Rules = z.object({
  groups: z.array(
    z.object({
      rules: z.array(
        z.object({
          alert: z.string(),
          expr: z.string(),
          labels: z.object({ severity: z.enum(["page", "ticket"]) }),
          annotations: z.object({ summary: z.string().min(10), runbook_url: z.string() }),
        }),
      ),
    }),
  ),
});
const rules = Rules.parse(parse(read("ops/alerts.yaml"))).groups.flatMap((group) => group.rules);

const Dashboard = z.object({
  uid: z.string(),
  title: z.string(),
  panels: z.array(
    z.object({
      id: z.int(),
      title: z.string().min(1),
      targets: z.array(z.object({ expr: z.string() })).min(1),
    }),
  ),
});
const dashboards = DASHBOARDS.map((file) => ({
  file,
  ...Dashboard.parse(JSON.parse(read(`ops/dashboards/${file}`))),
}));
const expressions = [
  ...rules.map(({ alert, expr }): [string, string] => [alert, expr]),
  ...dashboards.flatMap(({ file, panels }) =>
    panels.flatMap(({ title, targets }) =>
      targets.map(({ expr }): [string, string] => [`${file}: ${title}`, expr]),
    ),
  ),
];

/** The metric that a series belongs to; undefined when nothing exposes it. */
function definitionOf(series: string) {
  const plain = DEFINITIONS[series];
  if (plain) return plain.kind === "histogram" ? undefined : plain;
  const histogram = DEFINITIONS[series.replace(/_(bucket|sum|count)$/, "")];
  return histogram?.kind === "histogram" ? histogram : undefined;
}

test.each(expressions)("%s asks for what is exposed, by labels that it has", (_where, expr) => {
  const asked = [...expr.matchAll(/\b(berth_\w+)(?:\{([^}]*)\})?/g)];
  const wrong = asked.flatMap(([, series = "", selector = ""]) => {
    const definition = definitionOf(series);
    if (!definition) return [series];
    return [...selector.matchAll(/(\w+)(?:=~?|!~|!=)"([^"]*)"/g)].flatMap(
      ([matcher, label = "", value = ""]) => {
        if (["instance", "job"].includes(label)) return [];
        const said = definition.labels[label] ?? [];
        const isKnown = value.split("|").every((one) => said.includes(one));
        return isKnown ? [] : [`${series} ${matcher}`];
      },
    );
  });
  expect(wrong).toEqual([]);
  expect(asked.length > 0 || /\bup\b/.test(expr)).toBe(true);
});

describe("the alert rules", () => {
  test.each(rules.map(({ alert, annotations }) => [alert, annotations.runbook_url] as const))(
    "%s leads to a page that says what to do",
    (_alert, link) => {
      const [file = "", heading] = link.split("#");
      expect(existsSync(path.join(ROOT, file))).toBe(true);
      const headings = [...read(file).matchAll(/^#+ (.+)$/gm)].map(([, text = ""]) =>
        text
          .toLowerCase()
          .replaceAll(/[^\w -]/g, "")
          .replaceAll(" ", "-"),
      );
      expect([undefined, ...headings]).toContain(heading);
    },
  );

  test("are explained in the runbook, each of them and no other", () => {
    const explained = new Set(read(RUNBOOK).match(/\bBerth[A-Z]\w+/g));
    expect([...explained].toSorted()).toEqual(rules.map(({ alert }) => alert).toSorted());
  });
});

describe("metrics", () => {
  test("are named in the runbook, each of them and no other", () => {
    const named = new Set(
      read(RUNBOOK)
        .match(/\bberth_\w+/g)
        ?.map((name) => (DEFINITIONS[name] ? name : name.replace(/_(bucket|sum|count)$/, ""))),
    );
    expect([...named].toSorted()).toEqual(metricNames.toSorted());
  });

  test("are called as Prometheus and OpenMetrics want it, and have few series", () => {
    for (const [name, { kind, labels, help }] of Object.entries(DEFINITIONS)) {
      expect(name).toMatch(/^berth(_[a-z]+)+$/);
      expect([name, name.endsWith("_total")]).toEqual([name, kind === "counter"]);
      expect([name, kind !== "histogram" || name.endsWith("_seconds")]).toEqual([name, true]);
      expect(help).toMatch(/\.$/);
      const series = Object.values(labels).reduce((n, values) => n * (values?.length ?? 1), 1);
      expect(series).toBeLessThan(40);
    }
  });

  test("are on a dashboard, each of them", () => {
    const shown = dashboards.flatMap(({ panels }) =>
      panels.flatMap(({ targets }) => targets.map(({ expr }) => expr)),
    );
    const missing = metricNames.filter((name) => !shown.some((expr) => expr.includes(name)));
    expect(missing).toEqual([]);
  });
});

test("no two panels of a dashboard have one number, and no two dashboards one name", () => {
  for (const { panels } of dashboards)
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
  expect(new Set(dashboards.flatMap(({ uid, title }) => [uid, title])).size).toBe(
    2 * dashboards.length,
  );
});

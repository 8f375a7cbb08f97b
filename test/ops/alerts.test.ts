import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse, stringify } from "yaml";
import { z } from "zod";
import { createMetricsRegistry } from "#core/metrics-registry.ts";
import { PLANE_METRICS } from "#core/plane-metrics.ts";
import { AGENT_METRICS, tellReadings } from "#host-agent/metrics.ts";
import { createTestHost } from "#test/drivers/agent-harness.ts";
import { aDesiredVm } from "#test/drivers/builders.ts";
import { ALERT_CASES } from "./alert-cases.ts";
import { promtool } from "./promtool.ts";

/* 5 item 5: Prometheus itself judges our rules and what we serve. */

const RULES = path.join(import.meta.dirname, "..", "..", "ops", "alerts.yaml");
const Rules = z.object({
  groups: z.array(z.object({ rules: z.array(z.object({ alert: z.string() })) })),
});
const names = Rules.parse(parse(await readFile(RULES, "utf8"))).groups.flatMap(({ rules }) =>
  rules.map(({ alert }) => alert),
);

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), "berth-ops-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** What promtool says of an hour of these series, after which so many alerts fire of those that `select` names. */
async function judge(series: Readonly<Record<string, string>>, select: string, firing: number) {
  const file = path.join(folder, `${Math.abs(firing)}-${select.replaceAll(/\W/g, "")}.yaml`);
  const expected = firing === 0 ? [] : [{ labels: "{}", value: firing }];
  const unit = {
    rule_files: [RULES],
    evaluation_interval: "1m",
    tests: [
      {
        interval: "1m",
        input_series: Object.entries(series).map(([name, values]) => ({ series: name, values })),
        promql_expr_test: [
          {
            expr: `count(ALERTS{alertstate="firing"${select}})`,
            eval_time: "59m",
            exp_samples: expected,
          },
        ],
      },
    ],
  };
  await writeFile(file, stringify(unit));
  return promtool(["test", "rules", file]);
}
const ok = { code: 0 };

const DASHBOARDS = path.join(RULES, "..", "dashboards");
const Dashboard = z.object({
  panels: z.array(z.object({ targets: z.array(z.object({ expr: z.string() })) })),
});
test.each(await readdir(DASHBOARDS))("%s asks what Prometheus understands", async (name) => {
  const { panels } = Dashboard.parse(
    JSON.parse(await readFile(path.join(DASHBOARDS, name), "utf8")),
  );
  const asked = panels.flatMap(({ targets }) => targets.map(({ expr }) => expr));
  // As rules, with what Grafana puts in.
  const rules = asked.map((expr, n) => ({
    record: `asked:${n}`,
    expr: expr.replaceAll("$__rate_interval", "5m").replaceAll("$host", ".*"),
  }));
  const file = path.join(folder, `${name}.rules.yaml`);
  await writeFile(file, stringify({ groups: [{ name, rules }] }));
  expect(await promtool(["check", "rules", file])).toMatchObject(ok);
});

describe("the alert rules", () => {
  test("are understood by Prometheus, with what they say to people", async () => {
    expect(await promtool(["check", "rules", "--lint=all", "--lint-fatal", RULES])).toMatchObject(
      ok,
    );
  });

  test("have each a case of illness and one of health", () => {
    expect(Object.keys(ALERT_CASES)).toEqual(names);
  });

  test.each(names)("%s fires when it must", async (alert) => {
    const { ill } = ALERT_CASES[alert] ?? { ill: {} };
    expect(await judge(ill, `,alertname="${alert}"`, 1)).toMatchObject(ok);
  });

  test.each(names)("%s is silent when all is nearly as bad", async (alert) => {
    const { well } = ALERT_CASES[alert] ?? { well: {} };
    expect(await judge(well, `,alertname="${alert}"`, 0)).toMatchObject(ok);
  });

  test("are all silent when all is well", async () => {
    const up = { 'up{job="berth-control-plane",instance="p"}': "1x60" };
    const well = Object.values(ALERT_CASES).map((of) => of.well);
    expect(await judge(Object.assign({}, ...well, up), "", 0)).toMatchObject(ok);
  });
});

describe("what is served", () => {
  test("by an agent has no fault that Prometheus knows of", async () => {
    const metrics = createMetricsRegistry(AGENT_METRICS);
    const host = createTestHost({ metrics });
    host.plane.want([aDesiredVm()]);
    await host.agent.pass();
    metrics.set("berth_agent_build_info", { version: "1.2.3", driver: "kvm" }, 1);
    tellReadings(metrics, host.agent.readings());
    metrics.set("berth_agent_clock_offset_seconds", {}, -3);
    for (const name of Object.keys(AGENT_METRICS))
      expect(metrics.text()).toContain(`# TYPE ${name} `);
    expect(await promtool(["check", "metrics"], metrics.text())).toEqual({ code: 0, said: "" });
  });

  test("by the control plane has none either", async () => {
    const metrics = createMetricsRegistry(PLANE_METRICS);
    metrics.set("berth_outbox_unsent_age_seconds", {}, 0.25);
    metrics.observe("berth_queue_lag_seconds", { queue: "purchases" }, 2);
    expect(await promtool(["check", "metrics"], metrics.text())).toEqual({ code: 0, said: "" });
  });
});

import {
  boundedLabels,
  type MetricDefinition,
  type MetricDefinitions,
  type Metrics,
} from "./metrics.ts";

/** Of https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format. */
export const METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** Keeps what is told in memory, and shows it. */
export type MetricsRegistry<D extends MetricDefinitions> = Metrics<D> & {
  /** All of it in Prometheus' text format 0.0.4. */
  text: () => string;
};

type Label = readonly [name: string, value: string];
/** `counts` has one for each bucket, and the last for what is beyond them all. */
type Series = { labels: readonly Label[]; value: number; counts: number[] };
type Family = { definition: MetricDefinition; series: Map<string, Series> };

/**
 * What may be counted is shown from the start as 0, since a series that appears with its first event hides that event from
 * `increase()`. Gauges are shown once they are known.
 */
export function createMetricsRegistry<D extends MetricDefinitions>(
  definitions: D,
): MetricsRegistry<D> {
  const families = new Map<string, Family>();
  for (const [name, definition] of Object.entries(definitions)) {
    const family: Family = { definition, series: new Map() };
    families.set(name, family);
    if (definition.kind !== "gauge")
      for (const labels of everyLabels(definition)) seriesOf(family, labels);
  }
  const find = (name: string, said: Readonly<Record<string, string>>) => {
    const family = families.get(name);
    return family && seriesOf(family, boundedLabels(family.definition, said));
  };
  return {
    count(name, labels, by = 1) {
      const series = find(name, labels);
      if (series) series.value += by;
    },
    set(name, labels, value) {
      const series = find(name, labels);
      if (series) series.value = value ?? NaN;
    },
    observe(name, labels, value) {
      const series = find(name, labels);
      if (!series) return;
      const { buckets = [] } = definitions[name] ?? {};
      const nth = buckets.findIndex((bound) => value <= bound);
      const at = nth < 0 ? buckets.length : nth;
      series.counts[at] = (series.counts[at] ?? 0) + 1;
      series.value += value;
    },
    text: () => [...families].map(([name, family]) => textOf(name, family)).join(""),
  };
}

function seriesOf({ definition, series }: Family, labels: readonly Label[]): Series {
  const key = JSON.stringify(labels.map(([, value]) => value));
  const known = series.get(key);
  if (known) return known;
  const counts = Array.from({ length: (definition.buckets?.length ?? 0) + 1 }, () => 0);
  const made = { labels, value: definition.kind === "gauge" ? NaN : 0, counts };
  series.set(key, made);
  return made;
}

/** Each way in which the labels may be said; none when one of them is a text of our own. */
function everyLabels({ labels }: MetricDefinition): readonly (readonly Label[])[] {
  let ways: Label[][] = [[]];
  for (const [label, values] of Object.entries(labels))
    ways = ways.flatMap((way) => (values ?? []).map((value): Label[] => [...way, [label, value]]));
  return ways;
}

function textOf(name: string, { definition, series }: Family): string {
  const { kind, help, buckets = [] } = definition;
  const lines = [...series.values()].flatMap((one) =>
    kind === "histogram" ? histogramLines(name, buckets, one) : plainLines(name, one),
  );
  if (lines.length === 0) return "";
  const head = [`# HELP ${name} ${escaped(help)}`, `# TYPE ${name} ${kind}`];
  return `${[...head, ...lines].join("\n")}\n`;
}

const plainLines = (name: string, { labels, value }: Series): readonly string[] =>
  Number.isNaN(value) ? [] : [`${name}${labelText(labels)} ${value}`];

function histogramLines(name: string, buckets: readonly number[], series: Series): string[] {
  const { labels, value, counts } = series;
  let sum = 0;
  const lines = counts.map((count, nth) => {
    sum += count;
    const le: Label = ["le", String(buckets[nth] ?? "+Inf")];
    return `${name}_bucket${labelText([...labels, le])} ${sum}`;
  });
  const own = labelText(labels);
  return [...lines, `${name}_sum${own} ${value}`, `${name}_count${own} ${sum}`];
}

const labelText = (labels: readonly Label[]): string =>
  labels.length === 0
    ? ""
    : `{${labels.map(([name, value]) => `${name}="${escaped(value).replaceAll('"', String.raw`\"`)}"`).join(",")}}`;

const escaped = (text: string): string =>
  text.replaceAll("\\", "\\\\").replaceAll("\n", String.raw`\n`);

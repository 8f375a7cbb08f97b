/**
 * What is counted and measured, by name. Names begin with `berth_`, units are seconds, bytes or things, and a counter's name
 * ends with `_total` (https://prometheus.io/docs/practices/naming/). What a label may say is listed beside it, so that no
 * guest, customer or host can make another series: whatever is not listed is told as `other`.
 */
export type MetricDefinition = Readonly<{
  kind: "counter" | "gauge" | "histogram";
  help: string;
  /** By label, what it may say; null: one text of our own, the same for as long as the program runs. */
  labels: Readonly<Record<string, readonly string[] | null>>;
  /** Of a histogram: the upper bounds, ascending; one without end is added. */
  buckets?: readonly number[];
}>;
export type MetricDefinitions = Readonly<Record<string, MetricDefinition>>;

type NamesOf<D extends MetricDefinitions, K extends MetricDefinition["kind"]> = {
  [N in keyof D & string]: D[N]["kind"] extends K ? N : never;
}[keyof D & string];
type LabelsOf<M extends MetricDefinition> = Readonly<Record<keyof M["labels"] & string, string>>;

/** Where what happens is told. Never throws, asks nobody, and costs the time of an addition. */
export type Metrics<D extends MetricDefinitions> = {
  /** So many more happened. */
  count: <N extends NamesOf<D, "counter">>(name: N, labels: LabelsOf<D[N]>, by?: number) => void;
  /** What it is now; null: not known, and then it is not told at all. */
  set: <N extends NamesOf<D, "gauge">>(
    name: N,
    labels: LabelsOf<D[N]>,
    value: number | null,
  ) => void;
  /** One more of what a histogram is made of. */
  observe: <N extends NamesOf<D, "histogram">>(
    name: N,
    labels: LabelsOf<D[N]>,
    value: number,
  ) => void;
};

/** For whoever does not want to know. */
export const NO_METRICS = {
  count: () => undefined,
  set: () => undefined,
  observe: () => undefined,
} as const;

const OTHER = "other";

/** The labels in the order of the definition, each as it may be told. */
export const boundedLabels = (
  { labels }: MetricDefinition,
  said: Readonly<Record<string, string>>,
): readonly (readonly [string, string])[] =>
  Object.entries(labels).map(([label, values]) => {
    const value = said[label] ?? OTHER;
    return [label, values === null || values.includes(value) ? value : OTHER];
  });

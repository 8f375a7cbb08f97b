import { Metrics as Powertools, MetricUnit } from "@aws-lambda-powertools/metrics";
import {
  boundedLabels,
  type MetricDefinition,
  type MetricDefinitions,
  type Metrics,
} from "#core/metrics.ts";

const NAMESPACE = "Berth";

/**
 * Metrics as lines of the log that CloudWatch makes metrics of (EMF), under the same names; labels are dimensions. Each line
 * leaves at once, so that a Lambda that is frozen after its answer keeps none back.
 */
export function createEmfMetrics<D extends MetricDefinitions>(
  definitions: D,
  service: string,
): Metrics<D> {
  const powertools = new Powertools({ namespace: NAMESPACE, serviceName: service });
  const tell = (name: string, labels: Readonly<Record<string, string>>, value: number | null) => {
    const definition: MetricDefinition | undefined = definitions[name];
    if (definition === undefined || value === null || !Number.isFinite(value)) return;
    const one = powertools.singleMetric();
    // Not `addDimensions`, which would make a second metric beside, without them.
    for (const [label, text] of boundedLabels(definition, labels)) one.addDimension(label, text);
    one.addMetric(name, name.endsWith("_seconds") ? MetricUnit.Seconds : MetricUnit.Count, value);
  };
  return {
    count: (name, labels, by = 1) => tell(name, labels, by),
    set: tell,
    observe: tell,
  };
}

import { AGENT_ERROR_CODES } from "#core/contracts/agent/report.ts";
import type { Metrics } from "#core/metrics.ts";
import type { VmStep } from "#core/vms/plan-vm-step.ts";
import { OBSERVED_POWER } from "#core/vms/vm.ts";
import { ControlPlaneError } from "#host-agent/channel/control-plane.ts";
import { DriverError } from "#host-agent/drivers/driver.ts";

const STEPS = [
  "create",
  "start",
  "stop",
  "resize",
  "erase_seed",
  "destroy",
] as const satisfies readonly Exclude<VmStep["do"], "nothing" | "wait">[];
/** Of the control plane's answers, and of those that never came. */
const PLANE_ERROR_CODES = [
  "unreachable",
  "bad_answer",
  "agent_token_invalid",
  "agent_clock_off",
  "identity_revoked",
  "report_stale",
  "invalid_request",
  "rate_limited",
  "body_too_large",
  "internal",
] as const;

/** What an agent tells of itself (docs/runbooks/monitoring.md). No label names a VM, nor anything of a guest. */
export const AGENT_METRICS = {
  berth_agent_build_info: {
    kind: "gauge",
    help: "1, with the agent's version and the driver that it works with.",
    labels: { version: null, driver: null },
  },
  berth_agent_passes_total: {
    kind: "counter",
    help: "Passes over the host. whole: what is desired was read, and the host was seen.",
    labels: { outcome: ["whole", "partial", "failed"] },
  },
  berth_agent_steps_total: {
    kind: "counter",
    help: "Steps of VMs towards what is desired of them.",
    labels: { step: STEPS, outcome: ["done", "failed"] },
  },
  berth_agent_errors_total: {
    kind: "counter",
    help: "What failed: steps, looks at the host, and calls of the control plane.",
    labels: { code: [...AGENT_ERROR_CODES, ...PLANE_ERROR_CODES] },
  },
  berth_agent_spool_samples: {
    kind: "gauge",
    help: "Samples of usage that the control plane has not acknowledged yet.",
    labels: {},
  },
  berth_agent_spool_oldest_sample_age_seconds: {
    kind: "gauge",
    help: "Age of the oldest of these samples; 0 when there are none.",
    labels: {},
  },
  berth_agent_report_age_seconds: {
    kind: "gauge",
    help: "Since the control plane acknowledged a report; before the first one, since the agent's start.",
    labels: {},
  },
  berth_agent_guests: {
    kind: "gauge",
    help: "VMs of Berth's on this host, by what the hypervisor says of them; left out before the first look.",
    labels: { state: OBSERVED_POWER },
  },
  berth_agent_desired_generation: {
    kind: "gauge",
    help: "Generation of the desired document that the agent works by; 0 before the first one.",
    labels: {},
  },
  berth_agent_clock_offset_seconds: {
    kind: "gauge",
    help: "The host's clock less the control plane's; left out while it is not known.",
    labels: {},
  },
} as const;

export type AgentMetrics = Metrics<typeof AGENT_METRICS>;

/** What is only looked up when somebody asks. */
export type Readings = Readonly<{
  spoolSamples: number;
  spoolOldestAgeSeconds: number;
  reportAgeSeconds: number;
  /** null: the host was not seen yet. */
  guests: ReadonlyMap<string, number> | null;
  desiredGeneration: number;
  clockOffsetSeconds: number | null;
}>;

export function tellReadings(metrics: AgentMetrics, readings: Readings): void {
  metrics.set("berth_agent_spool_samples", {}, readings.spoolSamples);
  metrics.set("berth_agent_spool_oldest_sample_age_seconds", {}, readings.spoolOldestAgeSeconds);
  metrics.set("berth_agent_report_age_seconds", {}, readings.reportAgeSeconds);
  for (const state of OBSERVED_POWER)
    metrics.set(
      "berth_agent_guests",
      { state },
      readings.guests && (readings.guests.get(state) ?? 0),
    );
  metrics.set("berth_agent_desired_generation", {}, readings.desiredGeneration);
  metrics.set("berth_agent_clock_offset_seconds", {}, readings.clockOffsetSeconds);
}

/** By its code: the control plane's, or a driver's. */
export function countError(metrics: AgentMetrics, error: unknown): void {
  const hasCode = error instanceof ControlPlaneError || error instanceof DriverError;
  const code = hasCode ? error.code : "other";
  metrics.count("berth_agent_errors_total", { code });
}

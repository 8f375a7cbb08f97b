import type { AgentMetrics } from "#host-agent/metrics.ts";
import { countError } from "#host-agent/metrics.ts";
import type { ControlPlane } from "./control-plane.ts";

/** The same control plane, each of whose failures is counted; `acknowledged` is told of each report that it took. */
export function createCountedControlPlane(
  plane: ControlPlane,
  metrics: AgentMetrics,
  acknowledged: () => void,
): ControlPlane {
  const counted = async <T>(call: Promise<T>, signal: AbortSignal | undefined): Promise<T> => {
    try {
      return await call;
    } catch (error) {
      // Who gave up himself has not failed.
      if (!signal?.aborted) countError(metrics, error);
      throw error;
    }
  };
  return {
    enroll: (request, signal) => counted(plane.enroll(request, signal), signal),
    session: (signal) => counted(plane.session(signal), signal),
    desired: (have, signal) => counted(plane.desired(have, signal), signal),
    async report(report, signal) {
      await counted(plane.report(report, signal), signal);
      acknowledged();
    },
    sendUsage: (batch, signal) => counted(plane.sendUsage(batch, signal), signal),
    // A control plane of before has no such thing: no failure.
    images: (progress, signal) => plane.images(progress, signal),
    initialPassword: (vmId, signal) => counted(plane.initialPassword(vmId, signal), signal),
  };
}

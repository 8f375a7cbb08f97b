import { z } from "zod";
import type { AgentReport } from "#core/contracts/agent/report.ts";
import type { Clock } from "#core/ports.ts";
import { loadSaved, save } from "./saved.ts";
import type { StateStore } from "./state-store.ts";

const FILE = "status.json";

/** What a running agent writes down for people: nothing that it does goes by it. */
export const AgentStatus = z.object({
  pid: z.int(),
  version: z.string(),
  driver: z.string(),
  api: z.string(),
  hostId: z.string(),
  startedAt: z.iso.datetime(),
  /** The last report that the control plane acknowledged, in this life of the agent. */
  lastReport: z.object({ at: z.iso.datetime(), desiredGeneration: z.int() }).nullable(),
  /** By what the reports said of each: `running`, `off`, …, or an error's code. */
  vms: z.record(z.string(), z.int()),
  /** Why the last one was not acknowledged; null: it was. */
  reportError: z.object({ at: z.iso.datetime(), error: z.string() }).nullable(),
});
export type AgentStatus = z.infer<typeof AgentStatus>;

/** Null where no agent of this kind ever ran. Throws `CorruptState`. */
export const readStatus = (store: StateStore): Promise<AgentStatus | null> =>
  loadSaved(store, FILE, AgentStatus);

export interface StatusNotes {
  started(): Promise<void>;
  acknowledged(report: AgentReport): Promise<void>;
  failed(error: unknown): Promise<void>;
}

/** A note that cannot be written is given up: a full disk must stop nothing that matters. */
export function createStatusNotes(
  store: StateStore,
  clock: Clock,
  who: Pick<AgentStatus, "pid" | "version" | "driver" | "api" | "hostId">,
): StatusNotes {
  const vms = new Map<string, string>();
  const now = () => clock.now().toISOString();
  let status: AgentStatus = {
    ...who,
    startedAt: now(),
    lastReport: null,
    vms: {},
    reportError: null,
  };
  const note = async (news: Partial<AgentStatus>) => {
    status = { ...status, ...news };
    await save(store, FILE, status).catch(() => undefined);
  };

  return {
    started: () => note({}),
    async acknowledged({ desiredGeneration, vms: reported }) {
      for (const vm of reported) {
        if (vm.error !== null) vms.set(vm.vmId, vm.error.code);
        else if (vm.observed !== null) vms.set(vm.vmId, vm.observed.power);
        else vms.delete(vm.vmId);
      }
      const counts: Record<string, number> = {};
      for (const state of vms.values()) counts[state] = (counts[state] ?? 0) + 1;
      await note({ lastReport: { at: now(), desiredGeneration }, vms: counts, reportError: null });
    },
    failed: (error) => note({ reportError: { at: now(), error: String(error).slice(0, 500) } }),
  };
}

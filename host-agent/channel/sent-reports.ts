import { z } from "zod";
import type { ControlPlane } from "./control-plane.ts";
import type { PlaneTime } from "./plane-time.ts";
import { loadSaved, save } from "#host-agent/state/saved.ts";
import type { StateStore } from "#host-agent/state/state-store.ts";

const FILE = "process.json";
const Saved = z.object({ process: z.int().nonnegative() });

/** Says of each report which one it is, and how far off the host's clock is, as it leaves. */
export interface SentReports {
  /** Counts this life of the agent, on the disk, before it reports anything. */
  load(): Promise<void>;
  /** Sends a report under its number: one that is sent again is another one. */
  report: ControlPlane["report"];
}

export function createSentReports(ports: {
  store: StateStore;
  controlPlane: ControlPlane;
  planeTime: PlaneTime;
}): SentReports {
  const { store, controlPlane, planeTime } = ports;
  let process: number | null = null;
  let seq = 0;
  return {
    async load() {
      const last = (await loadSaved(store, FILE, Saved))?.process ?? 0;
      await save(store, FILE, { process: last + 1 });
      process = last + 1;
    },
    report(report, signal) {
      if (process === null) throw new Error("nothing is reported before this life is counted");
      seq += 1;
      const offset = planeTime.offsetSeconds();
      const more = offset === null ? {} : { clockOffsetSeconds: offset };
      return controlPlane.report({ ...report, serial: { process, seq }, ...more }, signal);
    },
  };
}

import { z } from "zod";
import type { ControlPlane } from "./control-plane.ts";
import type { PlaneTime } from "./plane-time.ts";
import { loadSaved, save } from "#host-agent/state/saved.ts";
import type { StateStore } from "#host-agent/state/state-store.ts";

const FILE = "process.json";
const Saved = z.object({ process: z.int().nonnegative() });

/** Says of each report which one it is, and how far off the host's clock is, as it leaves. */
export interface SentReports {
  /** Reads how many lives the agent has had. Throws `CorruptState`. */
  load(): Promise<void>;
  /**
   * Sends a report under its number: one that is sent again is another one. Before the first, this life is counted on the disk;
   * throws when it cannot be (a full disk), and the next report tries again.
   */
  report: ControlPlane["report"];
}

export function createSentReports(ports: {
  store: StateStore;
  controlPlane: ControlPlane;
  planeTime: PlaneTime;
}): SentReports {
  const { store, controlPlane, planeTime } = ports;
  let livesBefore: number | null = null;
  let counting: Promise<number> | null = null;
  let seq = 0;

  async function count(): Promise<number> {
    if (livesBefore === null) throw new Error("nothing is reported before the state is read");
    const process = livesBefore + 1;
    await save(store, FILE, { process });
    return process;
  }
  /** Which life of the agent this is. */
  function counted(): Promise<number> {
    counting ??= count().catch((error: unknown) => {
      counting = null;
      throw error;
    });
    return counting;
  }

  return {
    async load() {
      livesBefore = (await loadSaved(store, FILE, Saved))?.process ?? 0;
    },
    async report(report, signal) {
      const process = await counted();
      seq += 1;
      const offset = planeTime.offsetSeconds();
      const more = offset === null ? {} : { clockOffsetSeconds: offset };
      return controlPlane.report({ ...report, serial: { process, seq }, ...more }, signal);
    },
  };
}

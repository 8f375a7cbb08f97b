import type { LiveEnd } from "#host-agent/drivers/move-calls.ts";

/**
 * What came of a live move. `moved`: the guest is the destination's. `rolled_back`: it is the source's, which may have to resume or
 * start it. `going_on`: the hypervisors are not through; look again. `unclear`: two may run, or nobody knows which copy is newer:
 * nothing is started, and people look.
 */
export type LiveVerdict = "moved" | "rolled_back" | "going_on" | "unclear";

/**
 * By what both ends show, the source's first, and never by what a call answered (Nova's rule, nova/virt/libvirt/guest and
 * `_live_migration_monitor`). It rests on how libvirt moves a guest: the destination has a definition only once the guest was handed
 * over, it is running there only after that, and the source's process ends only after it was seen running.
 */
const VERDICTS = {
  running: {
    none: "rolled_back",
    // Defined there, and off: it was handed over and did not start, and the source has resumed it.
    off: "rolled_back",
    paused: "going_on",
    running: "unclear",
  },
  paused: {
    none: "rolled_back",
    // It may have run there before it ended.
    off: "unclear",
    // Switching over, or failed in the middle of that.
    paused: "going_on",
    // Handed over, and not cleaned up.
    running: "moved",
  },
  off: {
    // The source's process ended before the guest was handed over.
    none: "rolled_back",
    // Moved and shut down since, or rolled back and shut down since.
    off: "unclear",
    // The source's process ended, and the destination has yet to find out, or to start it.
    paused: "going_on",
    running: "moved",
  },
  none: { none: "unclear", off: "unclear", paused: "unclear", running: "moved" },
} as const satisfies Record<LiveEnd, Record<LiveEnd, LiveVerdict>>;

export const judgeLive = (source: LiveEnd, destination: LiveEnd): LiveVerdict =>
  VERDICTS[source][destination];

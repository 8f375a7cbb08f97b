import type { LiveEnd } from "#host-agent/drivers/move-calls.ts";

/**
 * What came of a live move. `moved`: the guest runs at the destination. `handed_over`: it is the destination's, which is to let it run.
 * `rolled_back`: it is the source's, which may have to resume or start it. `going_on`: the hypervisors are not through; look again.
 * `unclear`: two may run, or nobody knows which copy is newer: nothing is started, and people look.
 */
export type LiveVerdict = "moved" | "handed_over" | "rolled_back" | "going_on" | "unclear";

/** What the source shows, against `none`, `off`, `moving`, `paused` and `running` at the destination. */
type Row = Readonly<Record<Exclude<LiveEnd, "left" | "unknown">, LiveVerdict>>;

/** Whose guest never left: what has come to the other end is a part of it, or older. There it runs only once it was taken. */
const STAYED: Row = {
  none: "rolled_back",
  off: "rolled_back",
  moving: "rolled_back",
  paused: "rolled_back",
  running: "moved",
};

/**
 * By what both ends show, and never by what a call answered (Nova's rule, nova/virt/libvirt/guest and `_live_migration_monitor`). It
 * rests on how the hypervisors move a guest: the destination has it whole (`off`, `paused`) only once it was handed over; the source's says
 * `left` only after that; and where a guest arrives standing still, it runs there only because the source's agent saw `left` and said so.
 */
const VERDICTS = {
  // Two run: neither is stopped by us.
  running: { ...STAYED, running: "unclear" },
  paused: STAYED,
  off: STAYED,
  moving: {
    none: "going_on",
    off: "going_on",
    moving: "going_on",
    paused: "going_on",
    running: "going_on",
  },
  left: {
    // It had it, and has lost it.
    none: "unclear",
    off: "handed_over",
    moving: "going_on",
    paused: "handed_over",
    running: "moved",
  },
  // Its host or its hypervisor began anew. Without a whole guest at the other end none was handed over.
  unknown: {
    none: "rolled_back",
    off: "unclear",
    moving: "going_on",
    paused: "unclear",
    running: "moved",
  },
  none: {
    none: "unclear",
    off: "unclear",
    moving: "unclear",
    paused: "unclear",
    running: "moved",
  },
} as const satisfies Record<LiveEnd, Row>;

export const judgeLive = (source: LiveEnd, destination: LiveEnd): LiveVerdict =>
  VERDICTS[source][destination === "left" || destination === "unknown" ? "off" : destination];

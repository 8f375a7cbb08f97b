import { v7 } from "uuid";
import type { DiskOfMove, Move } from "#core/moves/move.ts";
import { AT } from "./builders.ts";

export const A_DISK: DiskOfMove = {
  format: "qcow2",
  virtualBytes: 20n * 2n ** 30n,
  exportBytes: 1000n,
  base: null,
};

/** A cold one that has just begun, at `AT`. */
export const aMove = (over: Partial<Move> = {}): Move => ({
  id: v7(),
  vmId: v7(),
  actionId: v7(),
  sourceHostId: "source",
  destinationHostId: "destination",
  method: "cold",
  step: "prepare",
  outcome: null,
  sourceEpoch: 4,
  epoch: 7,
  generation: null,
  disk: null,
  isDestinationReady: false,
  sentSha256: null,
  receivedSha256: null,
  hasLeft: false,
  hasArrived: false,
  copiedBytes: 0n,
  failure: null,
  createdAt: AT,
  preparedAt: null,
  copiedAt: null,
  stepAt: AT,
  heardAt: AT,
  stoppedAt: null,
  releasedAt: null,
  takenOverAt: null,
  turnedBackAt: null,
  heldAt: null,
  pauseMs: null,
  endedAt: null,
  ...over,
});

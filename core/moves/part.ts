import type { DesiredPower, Presence } from "#core/vms/vm.ts";
import type { Move, MoveRole } from "./move.ts";

/** What a host is told of a VM that moves from or to it; null: nothing of it is the host's. */
export type PartOfMove = Readonly<{
  role: MoveRole;
  ownerEpoch: number;
  /** null, both: as is wanted of the VM. */
  presence: Presence | null;
  power: DesiredPower | null;
  /** The move itself is named to the host, which has something to do for it beyond the VM's state. */
  isNamed: boolean;
}>;

/**
 * A host's part, by the step alone. Whose the VM is, is told by presence and power: never may both start it, at whatever steps the two
 * read theirs (invariant 17; the test walks them all). While its disk is on the way, and until it is released or held, neither may.
 */
export function partOf(move: Move, hostId: string): PartOfMove | null {
  const role = move.sourceHostId === hostId ? "source" : "destination";
  return role === "source" ? ofSource(move) : ofDestination(move);
}

function ofSource({ step, method, sourceEpoch: ownerEpoch }: Move): PartOfMove | null {
  const its = { role: "source", ownerEpoch } as const;
  const off = { ...its, presence: "present", power: "off", isNamed: true } as const;
  switch (step) {
    case "prepare":
      return { ...its, presence: "present", power: null, isNamed: true };
    case "copy":
    case "hold":
      return method === "live" ? { ...off, power: null } : off;
    case "release":
    case "take_over":
      return off;
    case "clean":
      return { ...its, presence: "absent", power: "off", isNamed: true };
    case "drop":
      return { ...its, presence: null, power: null, isNamed: false };
    case "ended":
      return null;
  }
}

function ofDestination({ step, epoch: ownerEpoch }: Move): PartOfMove | null {
  const its = { role: "destination", ownerEpoch } as const;
  switch (step) {
    case "prepare":
    case "copy":
    case "release":
    case "hold":
      return { ...its, presence: "present", power: "off", isNamed: true };
    case "take_over":
    case "clean":
      return { ...its, presence: null, power: null, isNamed: false };
    case "drop":
      return { ...its, presence: "absent", power: "off", isNamed: true };
    case "ended":
      return null;
  }
}

/** The agent's own machinery for VMs leaves it alone: it is in the hands of the move. */
export const isInMovesHands = ({
  role,
  step,
  method,
}: Readonly<{ role: MoveRole } & Pick<Move, "step" | "method">>): boolean =>
  role === "destination"
    ? step !== "drop"
    : method === "live"
      ? step === "copy" || step === "hold" || step === "take_over"
      : step === "release" || step === "take_over" || step === "hold";

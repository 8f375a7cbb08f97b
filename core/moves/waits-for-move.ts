import type { WaitsFor } from "#core/vms/waits-for.ts";
import type { Move, MoveRole, MoveStep } from "./move.ts";

/** A host at one end, for staff. */
export type EndOfMove = Readonly<{ name: string; isSilent: boolean }>;

/** Whose word a step waits for, and which. `copy` and `prepare` wait for both ends, one after the other. */
const WORD = {
  release: ["source", "is to mark its copy so that it cannot start it any more, and to say so"],
  take_over: ["destination", "is to show the VM in the power that is wanted of it"],
  clean: ["source", "is to put its copy into its trash; the VM is free again already"],
  hold: ["source", "is to say that the VM is its own still, and to take its mark away"],
  drop: ["destination", "is to remove what it has of the VM; the VM is free again already"],
} as const satisfies Partial<Record<MoveStep, readonly [MoveRole, string]>>;

const LEAVES = [
  "source",
  "is to say that its hypervisor has handed the guest over, and that it has marked its copy",
] as const;
const ARRIVES = ["destination", "is to say that the guest has come, and runs there"] as const;

function wordOf(move: Move): readonly [MoveRole, string] | null {
  const { step, disk, method, sentSha256, hasLeft } = move;
  switch (step) {
    case "prepare":
      return disk === null
        ? ["source", "is to say what the VM's disk is made of"]
        : ["destination", "is to say that it is ready to receive it"];
    case "copy":
      if (method === "live") return hasLeft ? ARRIVES : LEAVES;
      return sentSha256 === null
        ? ["source", "is to shut the VM down, and to send its disk whole"]
        : ["destination", "is to say the checksum of what it received and took"];
    case "ended":
      return null;
    case "hold":
      return hasLeft ? ARRIVES : WORD.hold;
    case "release":
    case "take_over":
    case "clean":
    case "drop":
      return WORD[step];
  }
}

/** What a move waits for, in words: which host's word. null: it has ended. */
export function waitsForOfMove(
  move: Move,
  ends: Readonly<Record<MoveRole, EndOfMove>>,
): WaitsFor | null {
  const word = wordOf(move);
  if (word === null) return null;
  const [role, what] = word;
  const { name, isSilent } = ends[role];
  const detail = `${name}, its ${role}, ${what}`;
  return isSilent
    ? { code: "host_silent", detail: `${detail}; it was not heard of for five minutes or longer` }
    : { code: role === "source" ? "move_source" : "move_destination", detail };
}

import type { DriverCapabilities } from "#core/contracts/agent/report.ts";
import { REPAIR } from "#core/contracts/agent/protocol.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import { needsInitialPassword } from "./initial-password.ts";
import { REPAIRS, type OsFamily } from "./vm.ts";
import { notUnderstood } from "./words.ts";

/** What staff can do about a VM that its host has lost. */
export const REPAIR_WAYS = [...REPAIRS, "give_up"] as const;
export type RepairWay = (typeof REPAIR_WAYS)[number];

/** What each of them comes to, for whoever is about to do it. */
const EFFECTS: Readonly<Record<RepairWay, readonly string[]>> = {
  adopt_disk: [
    "the host defines the VM again on the disk that lies there, if its tag, owner epoch, size and image are the VM's",
    "nothing on the disk is changed; the VM starts if it is to run",
  ],
  restore_trash: [
    "the host takes the VM's disk out of its trash, if it lies there still, and defines the VM again on it",
    "the disk is as it was when it went there; the VM starts if it is to run",
  ],
  recreate: [
    "the host makes the VM anew from its image: what was on its disk is not on the new one",
    "what is left of the old disk lies in the host's trash for its days",
    "addresses, size and price stay",
  ],
  give_up: [
    "the VM is deleted, with what is left of its disk going to the host's trash",
    "its order is complete, and its subscription is cancelled at the provider",
    "what was paid for the time since it was last seen goes back to where it came from, if it is not credit already",
    "its address is free for others after a day",
  ],
};

/**
 * Whether a lost VM can be brought back in this way, and what that comes to. An agent that does not know the word `repair`
 * is asked for nothing (docs/adr/0013, 0037).
 */
export function planRepair(
  vm: Readonly<{ lostAt: Date | null; os: OsFamily; rootPassword: boolean }>,
  how: RepairWay,
  can: DriverCapabilities | null,
  understands: readonly string[] | null,
): Result<readonly string[], Refusal<"vm_not_lost" | "repair_unavailable">> {
  if (vm.lostAt === null)
    return refuse("vm_not_lost", "its host does not say that this VM is not there");
  if (how === "give_up") return ok(EFFECTS[how]);
  if (can?.adoptDisk === undefined || notUnderstood([REPAIR], understands).length > 0)
    return refuse("repair_unavailable", "its host's agent is too old for it: upgrade it first");
  if (how === "adopt_disk" && !can.adoptDisk)
    return refuse("repair_unavailable", "its host's hypervisor cannot adopt a disk");
  if (how === "restore_trash" && can.restoreTrash !== true)
    return refuse(
      "repair_unavailable",
      can.restoreTrash === false
        ? "its host's hypervisor cannot bring a disk back from its trash"
        : "its host's agent is too old for it: upgrade it first",
    );
  if (how !== "recreate" || !needsInitialPassword(vm)) return ok(EFFECTS[how]);
  if (vm.os !== "windows" && can.rootPassword !== true)
    return refuse("repair_unavailable", "its host cannot give it a first password");
  return ok([...EFFECTS[how], "its customer can take its first password, once, when it is whole"]);
}

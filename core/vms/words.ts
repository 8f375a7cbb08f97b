import {
  IMAGE_HARDWARE,
  REPAIR,
  RESTORE_TRASH,
  ROOT_PASSWORD,
} from "#core/contracts/agent/protocol.ts";
import { EFFECT_OF_ACTION, type ActionType } from "./action.ts";
import { asksForHardware, type ImageHardware } from "./image-hardware.ts";
import type { OsFamily, Presence, Repair } from "./vm.ts";

/*
 * The words that an agent must understand (`DesiredVm.needs`), from one list: a VM is placed where its agent understands them,
 * named to it with them, and no action is begun that its agent would refuse for one (docs/adr/0037).
 */

export type WordyVm = Readonly<{
  presence: Presence;
  os: OsFamily;
  /** Its order asks for a password of root's. */
  rootPassword: boolean;
  /** Its host has shown it, whole. */
  isMade: boolean;
  hardware: ImageHardware;
  repair: Repair | null;
}>;

/** Whether the host gives the guest's root a password: only while the VM is made, or made anew, and only where it is to be. */
export const givesRootPassword = (
  vm: Pick<WordyVm, "presence" | "os" | "rootPassword" | "isMade" | "repair">,
): boolean =>
  vm.rootPassword &&
  vm.os === "linux" &&
  (!vm.isMade || vm.repair === "recreate") &&
  vm.presence === "present";

/** What of a VM no agent may pass over. One that is to go needs nothing: whatever it was made with, every agent removes it. */
export const wordsOf = (vm: WordyVm): readonly string[] =>
  vm.presence === "absent"
    ? []
    : [
        ...(givesRootPassword(vm) ? [ROOT_PASSWORD] : []),
        // For as long as it lives: a resize defines the machine anew.
        ...(asksForHardware(vm.hardware) ? [IMAGE_HARDWARE] : []),
        ...(vm.repair === null ? [] : [REPAIR]),
        ...(vm.repair === "restore_trash" ? [RESTORE_TRASH] : []),
      ];

/** What an agent must understand to do the action on the VM: what it would be named with while that is under way. */
export const wordsOfAction = (type: ActionType, vm: WordyVm): readonly string[] => {
  const effect = EFFECT_OF_ACTION[type];
  if (effect.kind === "absent") return [];
  return wordsOf(effect.kind === "repair" ? { ...vm, repair: effect.repair } : vm);
};

/** Those of the words that an agent does not understand. null: it has not said yet what it does, and what it can counts. */
export const notUnderstood = (
  words: readonly string[],
  understands: readonly string[] | null,
): readonly string[] =>
  understands === null ? [] : words.filter((word) => !understands.includes(word));

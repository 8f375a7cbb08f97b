import { IMAGE_HARDWARE, REPAIR, ROOT_PASSWORD } from "#core/contracts/agent/protocol.ts";
import type { ActionType } from "./action.ts";
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

/** Whether the host gives the guest's root a password: only while the VM may be made, and only where it is to be. */
export const givesRootPassword = (
  vm: Pick<WordyVm, "presence" | "os" | "rootPassword" | "isMade">,
): boolean => vm.rootPassword && vm.os === "linux" && !vm.isMade && vm.presence === "present";

/** What of a VM no agent may pass over. One that is to go needs nothing: whatever it was made with, every agent removes it. */
export const wordsOf = (vm: WordyVm): readonly string[] =>
  vm.presence === "absent"
    ? []
    : [
        ...(givesRootPassword(vm) ? [ROOT_PASSWORD] : []),
        // For as long as it lives: a resize defines the machine anew.
        ...(asksForHardware(vm.hardware) ? [IMAGE_HARDWARE] : []),
        ...(vm.repair === null ? [] : [REPAIR]),
      ];

/** What each action asks of an agent beside what its VM needs anyway; a new one says here what it needs. */
const WORDS_OF_ACTION = {
  create: [],
  start: [],
  shutdown: [],
  stop: [],
  reboot: [],
  reset: [],
  delete: [],
  adopt_disk: [REPAIR],
  recreate: [REPAIR],
} as const satisfies Record<ActionType, readonly string[]>;

/** What an agent must understand to do the action on the VM. */
export const wordsOfAction = (type: ActionType, vm: WordyVm): readonly string[] =>
  type === "delete" ? [] : [...new Set([...WORDS_OF_ACTION[type], ...wordsOf(vm)])];

/** Those of the words that an agent does not understand. null: it has not said yet what it does, and what it can counts. */
export const notUnderstood = (
  words: readonly string[],
  understands: readonly string[] | null,
): readonly string[] =>
  understands === null ? [] : words.filter((word) => !understands.includes(word));

import { describe, expect, test } from "vitest";
import {
  IMAGE_HARDWARE,
  MOVE,
  REPAIR,
  RESTORE_TRASH,
  ROOT_PASSWORD,
  UNDERSTOOD,
} from "#core/contracts/agent/protocol.ts";
import { ACTION_TYPES, type ActionType } from "./action.ts";
import { PLAIN_HARDWARE } from "./image-hardware.ts";
import { givesRootPassword, notUnderstood, wordsOf, wordsOfAction, type WordyVm } from "./words.ts";

/* 5 item 2: what an agent must understand of a VM, and of an action on it. */

const PLAIN: WordyVm = {
  presence: "present",
  os: "linux",
  rootPassword: false,
  isMade: true,
  hardware: PLAIN_HARDWARE,
  repair: null,
};
const ASKING = { ...PLAIN, rootPassword: true, isMade: false };
const UEFI = { ...PLAIN, hardware: { ...PLAIN_HARDWARE, firmware: "uefi" } } as const;

describe("a VM", () => {
  test.each<[string, WordyVm, readonly string[]]>([
    ["that asks for nothing", PLAIN, []],
    ["whose root gets a password", ASKING, [ROOT_PASSWORD]],
    ["whose root got one", { ...ASKING, isMade: true }, []],
    ["of Windows, which always gets one", { ...ASKING, os: "windows" }, []],
    ["whose image asks for UEFI", UEFI, [IMAGE_HARDWARE]],
    ["that is brought back", { ...PLAIN, repair: "recreate" }, [REPAIR]],
    [
      "of all of it",
      { ...UEFI, ...ASKING, hardware: UEFI.hardware, repair: "restore_trash" },
      // A move is named by its own row, and not by what the VM is.
      UNDERSTOOD.filter((word) => word !== MOVE),
    ],
  ])("%s needs its words", (_, vm, words) => {
    expect(wordsOf(vm)).toEqual(words);
    expect(givesRootPassword(vm)).toBe(words.includes(ROOT_PASSWORD));
  });

  test("that is to go needs none: every agent removes it, whatever it was made with", () => {
    const vm: WordyVm = { ...UEFI, rootPassword: true, isMade: false, repair: "recreate" };
    expect(wordsOf({ ...vm, presence: "absent" })).toEqual([]);
    expect(givesRootPassword({ ...vm, presence: "absent" })).toBe(false);
  });
});

describe("an action", () => {
  test("that makes a VM anew gives its root a password again", () => {
    const made: WordyVm = { ...ASKING, isMade: true };
    expect(wordsOfAction("recreate", made)).toEqual([ROOT_PASSWORD, REPAIR]);
    expect(wordsOfAction("adopt_disk", made)).toEqual([REPAIR]);
  });

  test.each(ACTION_TYPES)("%s needs what its VM needs, and a repair its own word", (type) => {
    const words: Partial<Record<ActionType, readonly string[]>> = {
      adopt_disk: [REPAIR],
      restore_trash: [REPAIR, RESTORE_TRASH],
      recreate: [REPAIR],
    };
    expect(wordsOfAction(type, PLAIN)).toEqual(words[type] ?? []);
    expect(wordsOfAction(type, UEFI).includes(IMAGE_HARDWARE)).toBe(type !== "delete");
  });
});

test("what an agent has not said yet is not held against it", () => {
  expect(notUnderstood([REPAIR, IMAGE_HARDWARE], [REPAIR])).toEqual([IMAGE_HARDWARE]);
  expect(notUnderstood([REPAIR], [])).toEqual([REPAIR]);
  expect(notUnderstood([REPAIR], null)).toEqual([]);
});

import { describe, expect, test } from "vitest";
import {
  IMAGE_HARDWARE,
  REPAIR,
  ROOT_PASSWORD,
  UNDERSTOOD,
} from "#core/contracts/agent/protocol.ts";
import { ACTION_TYPES } from "./action.ts";
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
      { ...UEFI, ...ASKING, hardware: UEFI.hardware, repair: "adopt_disk" },
      UNDERSTOOD,
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
  test.each(ACTION_TYPES)("%s needs what its VM needs, and a repair its own word", (type) => {
    const isRepair = type === "adopt_disk" || type === "recreate";
    expect(wordsOfAction(type, PLAIN)).toEqual(isRepair ? [REPAIR] : []);
    expect(wordsOfAction(type, UEFI).includes(IMAGE_HARDWARE)).toBe(type !== "delete");
  });
});

test("what an agent has not said yet is not held against it", () => {
  expect(notUnderstood([REPAIR, IMAGE_HARDWARE], [REPAIR])).toEqual([IMAGE_HARDWARE]);
  expect(notUnderstood([REPAIR], [])).toEqual([REPAIR]);
  expect(notUnderstood([REPAIR], null)).toEqual([]);
});

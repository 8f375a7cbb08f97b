import { describe, expect, test } from "vitest";
import { ALL_CAPABILITIES, AT } from "#test/builders.ts";
import { LIMITS } from "#core/hosts/limits.ts";
import type { Checked } from "#core/moves/preflight.ts";
import { judgeElsewhere, judgeMigration, wantsOtherHost } from "./judge-migration.ts";
import { isOfItsHost, movedAndResized, whyNoMove } from "./move-and-resize.ts";
import type { ResizeState } from "./resize.ts";

/* 6b 5: what its own host stands against, and another may not. */

const SIZE = { vcpus: 2, memoryMib: 2048, diskGib: 40 } as const;
const LIMITED = { bandwidthMbit: 1000, diskIops: null } as const;
const means = { capabilities: ALL_CAPABILITIES, limits: LIMITS.kvm };
const free = { vcpus: 8, memoryMib: 512, diskGib: 200, vms: 1 };

const aState = (over: Partial<ResizeState> = {}): ResizeState => ({
  vmId: "vm-1",
  payer: "staff",
  bought: { planId: "small", planVersion: 1, price: null, machine: { ...SIZE, ...LIMITED } },
  planDiskGib: 40,
  downgrade: "renewal",
  isPriceKept: false,
  isFrozen: false,
  isSuspended: false,
  isToEnd: false,
  isDelivered: true,
  isLost: false,
  running: null,
  seen: { size: SIZE, limits: LIMITED, hotVcpus: 16 },
  power: "running",
  host: { id: "home", state: "active", means: { ...means, imageMinMemoryMib: 512 }, free },
  image: { minMemoryMib: 512, minDiskGib: 5 },
  ...over,
});
const asked = {
  target: {
    planId: "large",
    version: 2,
    available: true,
    size: { vcpus: 4, memoryMib: 4096, diskGib: 40 },
    ...LIMITED,
    prices: [],
  },
  when: "now",
  price: "new",
} as const;
const NOTHING = { vcpus: 0, memoryMib: 0, diskGib: 0 };
const judge = (state: ResizeState) => judgeMigration(state, asked, null, NOTHING, AT);

describe("another host is looked for", () => {
  test("where nothing but its own host stands against it, or what passes", () => {
    expect(isOfItsHost(["no_room"])).toBe(true);
    expect(isOfItsHost(["limit_unsupported", "beyond_limits", "vm_locked"])).toBe(true);
    expect(isOfItsHost(["no_room", "disk_shrinks"])).toBe(false);
    expect(isOfItsHost(["vm_locked"])).toBe(false);
    expect(isOfItsHost([])).toBe(false);
  });

  test("for what it becomes, of a VM whose host has no room, and of none that can be changed where it is", () => {
    expect(wantsOtherHost(judge(aState()))).toMatchObject({ vcpus: 4, memoryMib: 4096 });
    const roomy = aState();
    const host = { ...roomy.host, free: { ...free, memoryMib: 2048 } };
    expect(wantsOtherHost(judge(aState({ host })))).toBeNull();
    expect(wantsOtherHost(judge(aState({ isSuspended: true })))).toBeNull();
  });
});

describe("a VM that is judged where it would move", () => {
  const there = { id: "other", means, free: { ...free, memoryMib: 0 } };
  const machine = { ...asked.target.size, ...LIMITED };

  test("moves, and is down for two restarts and the copy of its disk, whatever it would be by itself", () => {
    const judged = judgeElsewhere(aState(), there, machine, asked, null, AT);
    expect(judged).toMatchObject({ toHostId: "other", refusals: [], ...movedAndResized(SIZE) });
    expect(judged.method).toBe("move");
    const { downSeconds } = movedAndResized({ ...SIZE, diskGib: 80 });
    expect(downSeconds - judged.downSeconds).toBe(
      Math.ceil((80 * 1024) / 50) - Math.ceil((40 * 1024) / 50),
    );
  });

  test("is refused by what that host cannot give either", () => {
    const capabilities = { ...ALL_CAPABILITIES, bandwidthLimit: false };
    const target = { ...asked.target, bandwidthMbit: 2000 };
    const lame = { ...there, means: { ...means, capabilities } };
    expect(
      judgeElsewhere(aState(), lame, machine, { ...asked, target }, null, AT).refusals,
    ).toEqual(["limit_unsupported"]);
  });
});

test("room that is held for a VM is its own, whatever else is free, and on a host that takes nothing more", () => {
  const { host } = aState();
  const held = { vcpus: 4, memoryMib: 4096, diskGib: 40 };
  const none = { vcpus: 0, memoryMib: 0, diskGib: 0, vms: 0 };
  expect(
    judge(aState({ host: { ...host, held, free: none, state: "cordoned" } })).refusals,
  ).toEqual([]);
  const less = { ...held, memoryMib: 3072 };
  expect(judge(aState({ host: { ...host, held: less, free: none } })).refusals).toEqual([
    "no_room",
  ]);
});

describe("what stands against a move", () => {
  const checked = (check: Checked["check"], ok: boolean): Checked => ({ check, ok, detail: "so" });

  test("passes where all of it does, and otherwise only what does not is told", () => {
    expect(whyNoMove([checked("room", true)])).toBeNull();
    expect(whyNoMove([checked("first_boot", false), checked("running_action", false)])).toEqual({
      passes: true,
      detail: "first_boot: so; running_action: so",
    });
    expect(whyNoMove([checked("first_boot", false), checked("image", false)])).toEqual({
      passes: false,
      detail: "image: so",
    });
  });
});

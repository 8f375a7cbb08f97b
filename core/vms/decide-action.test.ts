import { describe, expect, test } from "vitest";
import { AT, minutesAfter } from "#test/builders.ts";
import { ACTION_TIME_LIMIT_MS, ACTION_TYPES, isPlain } from "./action.ts";
import { actionIsDone, decideAction, whyActionFailed } from "./decide-action.ts";

type Vm = Parameters<typeof decideAction>[0];
const aVm = (over: Partial<Vm> = {}): Vm => ({
  presence: "present",
  power: "running",
  stopMode: "graceful",
  generation: 4,
  observedPower: "running",
  stopsAt: minutesAfter(60),
  lostAt: null,
  suspensions: [],
  deleteProtected: false,
  ...over,
});
const OFF = { power: "off", observedPower: "off" } as const;
const FIRM = { stopMode: "firm" } as const;

describe("asking for an action", () => {
  test.each([
    { type: "start", vm: OFF, desire: { power: "running", stopMode: "graceful", generation: 5 } },
    { type: "shutdown", vm: FIRM, desire: { power: "off", stopMode: "graceful", generation: 5 } },
    { type: "stop", vm: {}, desire: { power: "off", stopMode: "firm", generation: 5 } },
    { type: "delete", vm: FIRM, desire: { presence: "absent", stopMode: "firm", generation: 5 } },
    // Done once, so nothing is desired otherwise than before.
    { type: "reboot", vm: FIRM, desire: { stopMode: "firm" } },
    { type: "reset", vm: {}, desire: {} },
  ] as const)("$type desires $desire", ({ type, vm, desire }) => {
    const before = { presence: "present", power: "running", stopMode: "graceful", generation: 4 };
    expect(decideAction(aVm(vm), null, type, "owner", AT)).toEqual({
      ok: true,
      value: { ...before, ...desire },
    });
  });

  const types = ACTION_TYPES.filter(isPlain);
  test.each(types)("%s is refused while a delete runs, and of a VM that is to go", (type) => {
    expect(decideAction(aVm(), { type: "delete" }, type, "owner", AT)).toMatchObject({
      error: { code: "vm_locked" },
    });
    expect(decideAction(aVm({ presence: "absent" }), null, type, "owner", AT)).toMatchObject({
      error: { code: "vm_not_found" },
    });
  });

  const ends = types.filter((type) => type !== "delete");
  test.each([...ends, "resize" as const, "migrate" as const])(
    "while a %s runs all is refused but a delete, which takes over",
    (running) => {
      for (const type of ends)
        expect(decideAction(aVm(), { type: running }, type, "owner", AT)).toMatchObject({
          error: { code: "vm_locked" },
        });
      expect(decideAction(aVm(), { type: running }, "delete", "owner", AT)).toMatchObject({
        ok: true,
        value: { presence: "absent", generation: 5 },
      });
    },
  );

  const repairs = ["adopt_disk", "restore_trash", "recreate"] as const;
  test.each(repairs)("5.1: %s is for a VM that its host has lost, whatever its power", (type) => {
    expect(decideAction(aVm(), null, type, "owner", AT)).toMatchObject({
      error: { code: "vm_not_lost" },
    });
    expect(decideAction(aVm({ lostAt: AT, power: "off" }), null, type, "owner", AT)).toMatchObject({
      value: { presence: "present", power: "off", generation: 5 },
    });
  });

  const others = ends.filter((type) => !repairs.some((repair) => repair === type));
  test.each(others)(
    "5.1: of a VM that its host has lost, %s is refused; only a delete is not",
    (type) => {
      expect(decideAction(aVm({ lostAt: AT }), null, type, "owner", AT)).toMatchObject({
        error: { code: "vm_lost" },
      });
      expect(decideAction(aVm({ lostAt: AT }), null, "delete", "owner", AT)).toMatchObject({
        ok: true,
      });
    },
  );

  test.each([
    { name: "off", vm: OFF },
    { name: "on its way down", vm: { power: "off" } },
    { name: "not seen running", vm: { observedPower: "starting" } },
    { name: "unknown", vm: { observedPower: null } },
  ] as const)("reboot of a VM that is $name is refused", ({ vm }) => {
    expect(decideAction(aVm(vm), null, "reboot", "owner", AT)).toMatchObject({
      error: { code: "vm_not_running" },
    });
  });

  test("start is refused once the grace of its entitlement is over; stop and delete are not", () => {
    const renewing = aVm({ ...OFF, stopsAt: AT });
    expect(decideAction(renewing, null, "start", "owner", AT)).toMatchObject({ ok: true });
    const unpaid = aVm({ ...OFF, stopsAt: minutesAfter(-1) });
    expect(decideAction(unpaid, null, "start", "owner", AT)).toMatchObject({
      error: { code: "vm_suspended" },
    });
    expect(decideAction(unpaid, null, "stop", "owner", AT)).toMatchObject({ ok: true });
    expect(decideAction(unpaid, null, "delete", "owner", AT)).toMatchObject({ ok: true });
  });
});

test("an action that has not ended in a quarter of an hour is an error", () => {
  expect(ACTION_TIME_LIMIT_MS).toBe(900_000);
});

describe("an action is done", () => {
  const seen = {
    generation: 5,
    settled: true,
    power: "running",
    complete: true,
    guestReady: true,
  } as const;
  test.each([
    { type: "create", seen: {}, done: true },
    { type: "create", seen: { guestReady: false }, done: false },
    { type: "create", seen: { power: "off" }, done: false },
    { type: "start", seen: {}, done: true },
    { type: "start", seen: { settled: false }, done: false },
    { type: "start", seen: { power: "starting" }, done: false },
    { type: "shutdown", seen: { power: "off" }, done: true },
    { type: "shutdown", seen: { power: "stopping" }, done: false },
    { type: "stop", seen: { power: "off", settled: false }, done: false },
    { type: "delete", seen: { power: "gone" }, done: true },
    { type: "delete", seen: { power: "off" }, done: false },
    { type: "adopt_disk", seen: { power: "off", settled: false }, done: true },
    { type: "recreate", seen: { complete: false }, done: false },
    // The agent reports on these itself.
    { type: "reboot", seen: {}, done: false },
    { type: "reset", seen: {}, done: false },
  ] as const)("$type with $seen: $done", ({ type, seen: over, done }) => {
    expect(actionIsDone({ type, generation: 5 }, { ...seen, ...over })).toBe(done);
  });

  test.each(ACTION_TYPES)("never by what was seen before %s was asked for", (type) => {
    const old = { generation: 4, settled: true, complete: true, guestReady: true };
    expect(actionIsDone({ type, generation: 5 }, { ...old, power: "running" })).toBe(false);
    expect(actionIsDone({ type, generation: 5 }, { ...old, power: "gone" })).toBe(false);
  });
});

// 5.1
test.each([
  { type: "reboot", seen: { lost: true, code: "vm_missing" }, why: "vm_lost" },
  { type: "start", seen: { code: "unsupported" }, why: "host_refused" },
  { type: "start", seen: { code: "out_of_memory" }, why: null },
  // What begins with its order ends with it.
  { type: "create", seen: { lost: true, code: "unsupported" }, why: null },
  // A repair is of a VM that is lost: its own end is what its host says of it when it is asked for it.
  { type: "adopt_disk", seen: { lost: true, code: "vm_missing" }, why: "host_refused" },
  { type: "adopt_disk", seen: { lost: true, code: "vm_missing", generation: 4 }, why: null },
  { type: "recreate", seen: { lost: true, code: "image_missing" }, why: null },
  { type: "recreate", seen: { code: "unsupported" }, why: "host_refused" },
] as const)("$type, of which is seen $seen, fails as $why", ({ type, seen, why }) => {
  const said = { generation: 5, lost: false, ...seen };
  expect(whyActionFailed({ type, generation: 5 }, said)).toBe(why);
});

// 6a item 6
describe("a suspended VM", () => {
  const suspended = aVm({ suspensions: ["staff"] });
  test.each(["start", "reboot", "reset"] as const)("is not asked to %s, and says why", (type) => {
    for (const by of ["owner", "staff"] as const) {
      const refused = decideAction(suspended, null, type, by, AT);
      expect(refused).toMatchObject({ error: { code: "vm_suspended" } });
      expect(refused).toMatchObject({ error: { detail: expect.stringContaining("staff") } });
    }
  });

  test.each(["shutdown", "stop"] as const)("may be told to be off for good: %s", (type) => {
    expect(decideAction(suspended, null, type, "owner", AT)).toMatchObject({
      value: { power: "off" },
    });
  });

  test.each([
    ["staff", true],
    ["bandwidth", true],
    ["abuse", false],
    ["dispute", false],
  ] as const)("for %s is deleted by its owner: %s", (reason, may) => {
    const vm = aVm({ suspensions: [reason] });
    expect(decideAction(vm, null, "delete", "owner", AT).ok).toBe(may);
    expect(decideAction(vm, null, "delete", "staff", AT).ok).toBe(true);
  });
});

describe("a protected VM", () => {
  test.each(["delete", "recreate"] as const)("is not asked to be destroyed by %s", (type) => {
    const vm = aVm({ deleteProtected: true, lostAt: AT });
    for (const by of ["owner", "staff", "system"] as const)
      expect(decideAction(vm, null, type, by, AT)).toMatchObject({
        error: { code: "vm_protected" },
      });
  });
});

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  decideMigration,
  MIGRATION_COMMANDS,
  MIGRATION_MOVES,
  MIGRATION_STATES,
  MIGRATION_VM_MOVES,
  MIGRATION_VM_STATES,
  moveMigration,
  nextOfMigrationVm,
  ruledOf,
  turnBeforeRenewal,
  whyWorse,
  type MigrationState,
  type MigrationVmMove,
  type MigrationVmState,
} from "./plan-migration.ts";
import type { Bought, Quote } from "./quote.ts";

/* 6b 5: plan migrations. */

const reachable = <S extends string>(
  from: readonly S[],
  moves: Record<S, Partial<Record<string, S>>>,
): ReadonlySet<S> => {
  const found = new Set<S>(from);
  for (const state of found)
    for (const to of Object.values(moves[state])) if (to !== undefined) found.add(to);
  return found;
};

describe("the tables", () => {
  test("lead from a dry run to every state, and from what has ended to none but by a retry", () => {
    expect([...reachable<MigrationState>(["planning"], MIGRATION_MOVES)].sort()).toEqual(
      [...MIGRATION_STATES].sort(),
    );
    expect(MIGRATION_MOVES.stopped).toEqual({});
    expect(Object.keys(MIGRATION_MOVES.done)).toEqual(["retry"]);
  });

  test("lead a VM from its wait to every end, and out of none but what failed", () => {
    expect(
      [...reachable<MigrationVmState>(["waiting", "refused"], MIGRATION_VM_MOVES)].sort(),
    ).toEqual([...MIGRATION_VM_STATES].sort());
    for (const end of ["refused", "done", "drifted", "left_out"] as const)
      expect(MIGRATION_VM_MOVES[end]).toEqual({});
    expect(MIGRATION_VM_MOVES.failed).toEqual({ retry: "waiting" });
  });

  test("a command that is true already changes nothing, and one that no row has is refused", () => {
    const wrong = MIGRATION_STATES.flatMap((state) =>
      MIGRATION_COMMANDS.filter((command) => {
        const moved = moveMigration(state, command);
        const moves: Partial<Record<string, MigrationState>> = MIGRATION_MOVES[state];
        return moved.ok
          ? moved.value !== state && moved.value !== moves[command]
          : moves[command] !== undefined || moved.error.code !== "plan_migration_wrong_state";
      }),
    );
    expect(wrong).toEqual([]);
    expect(moveMigration("paused", "pause")).toEqual({ ok: true, value: "paused" });
    expect(moveMigration("stopped", "resume")).toMatchObject({ ok: false });
    expect(moveMigration("planning", "begin")).toMatchObject({ ok: false });
  });
});

/** What happens to a migration of some VMs: each step is one of these, of one of the VMs. */
const happens = fc.record({
  what: fc.constantFrom<MigrationVmMove | "decide" | "pause" | "resume">(
    "decide",
    "decide",
    "move",
    "arrive",
    "turn_back",
    "miss",
    "begin",
    "commit",
    "revert",
    "drift",
    "leave",
    "put_off",
    "retry",
    "pause",
    "resume",
  ),
  which: fc.nat(19),
});

test("at no time are more at once than may be, none begins after too many failures, and it ends with each VM's end", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 20 }),
      fc.integer({ min: 1, max: 6 }),
      fc.integer({ min: 1, max: 4 }),
      fc.array(happens, { maxLength: 120 }),
      (size, maxParallel, stopAfterFailures, events) => {
        const vms: MigrationVmState[] = Array.from({ length: size }, () => "waiting");
        let state = "running" as "running" | "paused" | "done";
        let failures = 0;
        const isBusy = (of: MigrationVmState) =>
          of === "judging" || of === "moving" || of === "arrived" || of === "running";
        const busy = () => vms.filter(isBusy).length;
        const faults: string[] = [];
        const decide = () => {
          if (state === "done") return;
          const before = state;
          const isAnyWaiting = vms.includes("waiting");
          const of = { state, maxParallel, stopAfterFailures, failures, busy: busy() };
          const decided = decideMigration({ ...of, isAnyWaiting });
          const mayTake = before === "running" && failures < stopAfterFailures;
          if (decided.take > 0 && !mayTake) faults.push(`takes while ${before} with ${failures}`);
          state = decided.state;
          if (state === "done" && vms.some((vm) => vm === "waiting" || isBusy(vm)))
            faults.push(`done with ${vms.join()}`);
          for (let n = 0; n < decided.take; n++) {
            const next = vms.indexOf("waiting");
            if (next >= 0) vms[next] = "judging";
          }
          if (busy() > maxParallel) faults.push(`${busy()} at once`);
        };
        const move = (n: number, by: MigrationVmMove) => {
          const from = vms[n];
          if (from === undefined) return;
          const moves: Partial<Record<MigrationVmMove, MigrationVmState>> =
            MIGRATION_VM_MOVES[from];
          const to = moves[by];
          if (to === undefined) return;
          vms[n] = to;
          if (by === "revert" || by === "turn_back") failures++;
          if (by === "retry") [state, failures] = ["running", 0];
        };
        for (const { what, which } of events) {
          if (what === "decide") decide();
          else if (what === "pause" && state === "running") state = "paused";
          else if (what === "resume" && state === "paused") [state, failures] = ["running", 0];
          else if (what !== "pause" && what !== "resume") move(which % size, what);
        }
        // Left alone, with staff who resume it, it comes to its end.
        for (let rounds = 0; rounds < 200 && state !== "done"; rounds++) {
          if (state === "paused") [state, failures] = ["running", 0];
          decide();
          for (let n = 0; n < size; n++) {
            move(n, "arrive");
            move(n, "begin");
            move(n, "commit");
          }
        }
        expect({ state, faults }).toEqual({ state: "done", faults: [] });
      },
    ),
  );
});

test("what has moved goes on to its change, and is not put off by what puts off a turn", () => {
  expect(MIGRATION_VM_MOVES.arrived.put_off).toBe("arrived");
  expect(Object.values(MIGRATION_VM_MOVES.moving)).not.toContain("waiting");
  expect(() => nextOfMigrationVm("waiting", "arrive")).toThrow("cannot arrive");
  expect(nextOfMigrationVm("judging", "move")).toBe("moving");
});

test("at its renewal what moves has its turn hours sooner, and both before the change begins by itself", () => {
  const renewal = new Date("2026-06-01T12:00:00Z");
  expect(turnBeforeRenewal(renewal, "restart")).toEqual(new Date("2026-06-01T08:00:00Z"));
  expect(turnBeforeRenewal(renewal, "move")).toEqual(new Date("2026-06-01T06:00:00Z"));
});

test("paused, it is done once nothing of it is left", () => {
  const paused = { state: "paused", maxParallel: 2, stopAfterFailures: 1, failures: 1 } as const;
  expect(decideMigration({ ...paused, busy: 1, isAnyWaiting: false }).state).toBe("paused");
  expect(decideMigration({ ...paused, busy: 0, isAnyWaiting: false }).state).toBe("done");
});

const usd = (minor: bigint) => ({ minor, currency: "usd" }) as const;
const bought = (planVersion: number, minor: bigint): Bought => ({
  planId: "large",
  planVersion,
  price: { interval: "month", amount: usd(minor) },
  machine: { vcpus: 2, memoryMib: 2048, diskGib: 40, bandwidthMbit: null, diskIops: null },
});
const offered = (over: Partial<Quote> & { minor?: bigint; version?: number } = {}) => ({
  method: "live" as const,
  downSeconds: 0,
  from: bought(1, 500n),
  to: bought(over.version ?? 7, over.minor ?? 900n),
  ...over,
});
const SHOWN = { method: "live", downSeconds: 0, difference: usd(400n), toVersion: 7 } as const;

describe("what is offered at its turn", () => {
  test("is no worse where it is as shown, or better", () => {
    expect(whyWorse(SHOWN, offered())).toBeNull();
    expect(whyWorse(SHOWN, offered({ minor: 899n }))).toBeNull();
    expect(whyWorse({ ...SHOWN, method: "restart", downSeconds: 150 }, offered())).toBeNull();
  });

  test.each([
    ["plan_version", offered({ version: 8 })],
    ["method", offered({ method: "restart", downSeconds: 150 })],
    ["price", offered({ minor: 901n })],
  ] as const)("is worse by its %s", (code, worse) => {
    expect(whyWorse(SHOWN, worse)).toMatch(new RegExp(`^${code}: `));
  });

  test("is worse where it asks for money and none was shown", () => {
    expect(whyWorse({ ...SHOWN, difference: null }, offered())).toMatch(/^price: /);
  });
});

test("a hash names the rules, and not the moment that a VM is in", () => {
  const shown = { vmId: "vm-1", method: "live", downSeconds: 0, difference: usd(1n) } as const;
  const rule = (...refusals: Parameters<typeof ruledOf>[0]["refusals"]) =>
    ruledOf({ ...shown, refusals });
  expect(rule("vm_locked", "invoice_open", "no_room")).toBe(rule());
  expect(rule("disk_shrinks")).not.toBe(rule());
  expect(rule("disk_shrinks", "image_needs_more")).toBe(rule("image_needs_more", "disk_shrinks"));
  expect(ruledOf({ ...shown, method: "restart", refusals: [] })).not.toBe(rule());
});

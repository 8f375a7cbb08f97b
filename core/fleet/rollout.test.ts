import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { AT, minutesAfter } from "#test/builders.ts";
import {
  decideRollout,
  moveRollout,
  ROLLOUT_MOVES,
  ROLLOUT_STATES,
  UPGRADE_TIME_LIMIT_MS,
  type RolloutHost,
} from "./rollout.ts";

/* 5 item 3: staff set the wanted version and a pace; the agents follow, so many at a time. */

let hosts = 0;
const aHost = (over: Partial<RolloutHost> = {}): RolloutHost => ({
  hostId: `host-${String(hosts++).padStart(4, "0")}`,
  state: "active",
  agentVersion: "1.0.0",
  lastSeenAt: AT,
  toldAt: null,
  failure: null,
  ...over,
});
type Rollout = Parameters<typeof decideRollout>[0];
const aRollout = (over: Partial<Rollout> = {}): Rollout => ({
  state: "running",
  version: "1.1.0",
  atATime: 2,
  stopAfterFailed: 3,
  failed: 0,
  ...over,
});
const overdue = new Date(+AT - UPGRADE_TIME_LIMIT_MS);

describe("a rollout", () => {
  test("tells so many at a time, and the next ones as those before them have come to the version", () => {
    const [a, b, c] = [aHost(), aHost(), aHost()];
    expect(decideRollout(aRollout(), [a, b, c], AT)).toEqual({
      state: "running",
      ended: [],
      tell: [a.hostId, b.hostId],
    });
    const told = { ...a, toldAt: minutesAfter(-3) };
    const come = { ...b, toldAt: minutesAfter(-3), agentVersion: "1.1.0" };
    expect(decideRollout(aRollout(), [told, come, c], AT)).toEqual({
      state: "running",
      ended: [{ hostId: b.hostId, outcome: "upgraded", detail: "" }],
      tell: [c.hostId],
    });
    expect(decideRollout(aRollout({ atATime: 1 }), [told, c], AT).tell).toEqual([]);
  });

  test.each<[string, Partial<RolloutHost>]>([
    ["silent for more than five minutes", { lastSeenAt: minutesAfter(-6) }],
    ["never heard of", { lastSeenAt: null }],
    ["not enrolled", { state: "enrolling" }],
  ])("tells no host that is %s, and goes on with the others", (_, over) => {
    const [silent, heard] = [aHost(over), aHost({ state: "draining" })];
    expect(decideRollout(aRollout({ atATime: 1 }), [silent, heard], AT)).toEqual({
      state: "running",
      ended: [],
      tell: [heard.hostId],
    });
  });

  test("counts a host as failed that says so, and one that does not come in time; neither keeps others waiting", () => {
    const saying = aHost({ toldAt: minutesAfter(-1), failure: "the signature is wrong" });
    const late = aHost({ toldAt: overdue, lastSeenAt: minutesAfter(-60) });
    const inTime = aHost({ toldAt: new Date(+overdue + 1) });
    const next = aHost();
    const step = decideRollout(aRollout(), [saying, late, inTime, next], AT);
    expect(step).toMatchObject({
      state: "running",
      ended: [
        { hostId: saying.hostId, outcome: "failed", detail: "the signature is wrong" },
        { hostId: late.hostId, outcome: "failed" },
      ],
      tell: [next.hostId],
    });
    expect(step.ended[1]?.detail).toContain("1.0.0");
  });

  test("stops by itself when too many have failed, whoever is left", () => {
    const failing = aHost({ toldAt: minutesAfter(-1), failure: "no" });
    const rollout = aRollout({ failed: 2 });
    expect(decideRollout(rollout, [failing, aHost()], AT)).toMatchObject({
      state: "paused",
      tell: [],
    });
    expect(decideRollout(aRollout({ failed: 1 }), [failing, aHost()], AT).state).toBe("running");
  });

  test("tells nobody while it is paused, and hears all the same who has come", () => {
    const come = aHost({ toldAt: minutesAfter(-3), agentVersion: "1.1.0" });
    expect(decideRollout(aRollout({ state: "paused" }), [come, aHost()], AT)).toMatchObject({
      state: "paused",
      ended: [{ outcome: "upgraded" }],
      tell: [],
    });
  });

  test("is done when every host has come, failed or left, also one that nobody told", () => {
    const there = aHost({ agentVersion: "1.1.0" });
    const gone = aHost({ state: "retired" });
    const step = decideRollout(aRollout(), [there, gone], AT);
    expect(step).toMatchObject({
      state: "done",
      ended: [{ outcome: "upgraded" }, { outcome: "left_out" }],
    });
    expect(decideRollout(aRollout(), [], AT).state).toBe("done");
  });

  test("never has more at it than its pace, whatever hosts do", () => {
    const anyHost = fc.record({
      state: fc.constantFrom("active" as const, "draining" as const, "retired" as const),
      agentVersion: fc.constantFrom("1.0.0", "1.1.0", null),
      lastSeenAt: fc.constantFrom(AT, minutesAfter(-60), null),
      toldAt: fc.constantFrom(null, minutesAfter(-1), overdue),
      failure: fc.constantFrom(null, "no"),
    });
    fc.assert(
      fc.property(
        fc.array(anyHost, { maxLength: 12 }),
        fc.integer({ min: 1, max: 4 }),
        (all, atATime) => {
          const members = all.map((over) => aHost(over));
          const step = decideRollout(aRollout({ atATime, stopAfterFailed: 99 }), members, AT);
          const ended = new Set(step.ended.map(({ hostId }) => hostId));
          const upgrading = members.filter((m) => m.toldAt !== null && !ended.has(m.hostId));
          expect(step.tell.length).toBeLessThanOrEqual(Math.max(0, atATime - upgrading.length));
          for (const hostId of step.tell) {
            const told = members.find((m) => m.hostId === hostId);
            expect(told).toMatchObject({ toldAt: null, lastSeenAt: AT });
            expect(ended.has(hostId)).toBe(false);
          }
          expect(step.state === "done").toBe(ended.size === members.length);
        },
      ),
    );
  });
});

describe("what staff ask of a rollout", () => {
  test("comes to what the table says, and a second time to the same", () => {
    expect(moveRollout("running", "pause")).toEqual({ ok: true, value: "paused" });
    expect(moveRollout("paused", "pause")).toEqual({ ok: true, value: "paused" });
    expect(moveRollout("paused", "resume")).toEqual({ ok: true, value: "running" });
    expect(moveRollout("running", "cancel")).toEqual({ ok: true, value: "cancelled" });
    for (const command of ["pause", "resume", "cancel"] as const)
      expect(moveRollout("done", command)).toMatchObject({
        error: { code: "rollout_wrong_state" },
      });
  });

  test("reaches every state from the first", () => {
    const reached = new Set<string>(["running"]);
    for (const state of reached)
      for (const to of Object.values(
        ROLLOUT_MOVES[ROLLOUT_STATES.find((each) => each === state) ?? "done"],
      ))
        reached.add(to);
    expect([...reached].sort()).toEqual([...ROLLOUT_STATES].sort());
  });
});

import { describe, expect, test } from "vitest";
import { compareVersions, decideWanted, judgeTrial, TRIAL_MS, type Attempt } from "./decide.ts";

describe("12.3: whether a new release stays", () => {
  const [yes, no] = [true, false];
  test.each([
    // passDone, reached, reachedBefore, at the end of the trial, before it
    [yes, yes, yes, "keep", "keep"],
    [yes, yes, no, "keep", "keep"],
    [yes, no, yes, "not_reached", "wait"],
    [yes, no, no, "keep", "wait"],
    [no, yes, yes, "no_pass", "wait"],
    [no, yes, no, "no_pass", "wait"],
    [no, no, yes, "no_pass", "wait"],
    [no, no, no, "no_pass", "wait"],
  ])("pass %s, reached %s, before %s: %s", (passDone, reached, reachedBefore, late, early) => {
    const trial = { passDone, reached, reachedBefore };
    expect(judgeTrial({ ...trial, elapsedMs: TRIAL_MS })).toBe(late);
    expect(judgeTrial({ ...trial, elapsedMs: TRIAL_MS - 1 })).toBe(early);
  });
});

test("12.3: versions are compared as numbers", () => {
  const sorted = ["0.9.10", "0.10.0", "0.9.9", "1.0.0"].toSorted(compareVersions);
  expect(sorted).toEqual(["0.9.9", "0.9.10", "0.10.0", "1.0.0"]);
  expect(compareVersions("1.2.3", "1.2.3")).toBe(0);
});

describe("12.3: the version that staff want", () => {
  const HOUR = 3_600_000;
  const wanted = { version: "0.3.0", manifestUrl: "https://r.example/0.3.0.json" };
  const base = {
    own: "0.2.0",
    wanted,
    oldest: null,
    takenBack: null,
    attempt: null,
    now: 9 * HOUR,
  };
  const attempt = (failure: Attempt["failure"], over: Partial<Attempt> = {}): Attempt => ({
    ...wanted,
    tries: 1,
    lastAt: base.now,
    failure,
    ...over,
  });
  const does = (over: Partial<Parameters<typeof decideWanted>[0]>) =>
    decideWanted({ ...base, ...over }).do;

  test("is followed when it differs, up and down, and else nothing is done", () => {
    expect(does({})).toBe("upgrade");
    expect(does({ own: "0.4.0" })).toBe("upgrade");
    expect(does({ own: "0.3.0" })).toBe("nothing");
    expect(does({ wanted: null })).toBe("nothing");
  });

  test("is told and not followed below the oldest that may run", () => {
    expect(does({ oldest: "0.3.1" })).toBe("tell");
    expect(does({ oldest: "0.3.0" })).toBe("upgrade");
  });

  test("is not tried again when it was taken back, until staff want another, or another file of it", () => {
    const takenBack = { version: "0.3.0", why: "crashed" };
    expect(does({ takenBack, attempt: attempt(null) })).toBe("tell");
    // Put in place by hand, and taken back.
    expect(does({ takenBack })).toBe("tell");
    const another = attempt(null, { manifestUrl: "https://r.example/0.3.0-again.json" });
    expect(does({ takenBack, attempt: another })).toBe("upgrade");
    expect(does({ takenBack: { version: "0.2.9", why: "hung" }, attempt: attempt(null) })).toBe(
      "upgrade",
    );
  });

  test("is tried again after an hour, two and so on, when what failed may pass, and else not", () => {
    const mayPass = { detail: "no answer", mayPass: true };
    const rests = (tries: number, hours: number) =>
      does({ attempt: attempt(mayPass, { tries, lastAt: base.now - hours * HOUR }) });
    expect([rests(1, 0.9), rests(1, 1)]).toEqual(["tell", "upgrade"]);
    expect([rests(2, 1.9), rests(2, 2)]).toEqual(["tell", "upgrade"]);
    expect([rests(50, 23), rests(50, 24)]).toEqual(["tell", "upgrade"]);
    const final = { detail: "not signed", mayPass: false };
    expect(does({ attempt: attempt(final, { lastAt: 0 }) })).toBe("tell");
    expect(does({ attempt: attempt(final, { version: "0.2.9" }) })).toBe("upgrade");
  });
});

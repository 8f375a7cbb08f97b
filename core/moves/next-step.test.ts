import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { AT, minutesAfter } from "#test/builders.ts";
import { A_DISK, aMove } from "#test/move-builders.ts";
import {
  HAS_MOVED,
  MOVE_METHODS,
  MOVE_ROLES,
  MOVE_STEPS,
  nextMoveStep,
  type Move,
  type MoveStep,
} from "./move.ts";
import { decideMove, learn, STEP_WITHIN_MS, type SeenOfMove, type Word } from "./next-step.ts";

/* 6b item 3: what a move learns of a word, and what it does next. */

const SEEN: SeenOfMove = { isVmToGo: false, isVmLost: false, isAsWanted: false, isOff: false };
const [SHA, OTHER] = ["ab".repeat(32), "cd".repeat(32)];
const source = (word: Partial<Word> = {}): Word => ({ role: "source", done: null, ...word });
const destination = (word: Partial<Word> = {}): Word => ({
  role: "destination",
  done: null,
  ...word,
});
const ready = { disk: A_DISK, isDestinationReady: true } as const;
const failed = { failure: { code: "stopped", detail: "stopped by staff" } } as const;

describe("what is new in a word", () => {
  type Row = [string, Partial<Move>, Word, object];
  test.each<Row>([
    [
      "the disk, once its source has looked",
      {},
      source({ done: "ready", disk: A_DISK }),
      { disk: A_DISK },
    ],
    ["no disk of a source that is not done", {}, source({ disk: A_DISK }), {}],
    ["no disk of a destination", {}, destination({ done: "ready", disk: A_DISK }), {}],
    [
      "no other disk afterwards",
      { disk: { ...A_DISK, exportBytes: 7n } },
      source({ done: "ready", disk: A_DISK }),
      {},
    ],
    [
      "that the destination is ready for that disk",
      { disk: A_DISK },
      destination({ done: "ready" }),
      { isDestinationReady: true },
    ],
    ["nothing of a destination that knows of no disk", {}, destination({ done: "ready" }), {}],
    ["how much is there", { step: "copy" }, source({ bytes: 5n }), { copiedBytes: 5n }],
    ["nothing of fewer bytes", { step: "copy", copiedBytes: 9n }, source({ bytes: 5n }), {}],
    ["no bytes by the destination's word", { step: "copy" }, destination({ bytes: 5n }), {}],
    [
      "what was sent",
      { step: "copy" },
      source({ done: "copied", sha256: SHA }),
      { sentSha256: SHA },
    ],
    ["no checksum of what is not sent whole", { step: "copy" }, source({ sha256: SHA }), {}],
    [
      "no checksum of a live move's source",
      { step: "copy", method: "live" },
      source({ done: "copied", sha256: SHA }),
      {},
    ],
    [
      "what was received",
      { step: "copy" },
      destination({ done: "copied", sha256: SHA }),
      { receivedSha256: SHA },
    ],
    [
      "the pause of a live move, once",
      { step: "copy", method: "live" },
      source({ pauseMs: 31 }),
      { pauseMs: 31 },
    ],
    ["no other pause", { step: "copy", method: "live", pauseMs: 31 }, source({ pauseMs: 99 }), {}],
    [
      "that a live move's source has let go of it, also when it was given up",
      { step: "hold", method: "live" },
      source({ done: "released", pauseMs: 31 }),
      { hasLeft: true, pauseMs: 31 },
    ],
    [
      "that a live move's guest has arrived",
      { step: "copy", method: "live" },
      destination({ done: "arrived" }),
      { hasArrived: true },
    ],
    [
      "of neither by the other end's word",
      { step: "copy", method: "live" },
      destination({ done: "released" }),
      {},
    ],
    ["and by none", { step: "copy", method: "live" }, source({ done: "arrived" }), {}],
    ["of a cold move none of it", { step: "copy" }, destination({ done: "arrived" }), {}],
  ])("is %s", (_, move, word, learned) => {
    expect(learn(aMove(move), word)).toEqual(learned);
  });

  test.each(MOVE_STEPS.filter((step) => step !== "prepare" && step !== "copy"))(
    "is nothing at %s",
    (step) => {
      const whole = { done: "copied", disk: A_DISK, sha256: SHA, bytes: 5n, pauseMs: 31 } as const;
      for (const word of [source(whole), destination(whole)])
        expect(learn(aMove({ step }), word)).toEqual({});
    },
  );
});

describe("what is done next", () => {
  const waits = (until: Date | null) => ({ kind: "wait", until });
  const goes = (by: string) => ({ kind: "go", by });
  const back = (code: string, detail: unknown = expect.any(String)) => ({
    kind: "turn_back",
    failure: { code, detail },
  });
  const due = (step: keyof typeof STEP_WITHIN_MS) => new Date(+AT + STEP_WITHIN_MS[step]);
  const live = { method: "live" } as const;
  const gone = { ...live, hasLeft: true, hasArrived: true } as const;
  type Row = [string, Partial<Move>, Word | null, object, Partial<SeenOfMove>?];

  test.each<Row>([
    ["prepare waits for its time", {}, null, waits(due("prepare"))],
    ["prepare waits for both", { disk: A_DISK }, source(), waits(due("prepare"))],
    ["prepare is done with both ready", ready, null, goes("advance")],
    ["copy waits for both checksums", { step: "copy", sentSha256: SHA }, null, waits(due("copy"))],
    [
      "copy is done with two checksums alike",
      { step: "copy", sentSha256: SHA, receivedSha256: SHA },
      null,
      goes("advance"),
    ],
    [
      "copy turns back with two that differ",
      { step: "copy", sentSha256: SHA, receivedSha256: OTHER },
      null,
      back("checksum_differs", `${SHA} was sent, ${OTHER} received`),
    ],
    ["release waits", { step: "release" }, null, waits(due("release"))],
    [
      "release is done by its source's word",
      { step: "release" },
      source({ done: "released" }),
      goes("advance"),
    ],
    [
      "release is not done by the other's",
      { step: "release" },
      destination({ done: "released" }),
      waits(due("release")),
    ],
    [
      "a live copy is done by both ends' words",
      { ...gone, step: "copy" },
      null,
      goes("switch_over"),
    ],
    [
      "not by its source's alone",
      { ...live, step: "copy", hasLeft: true },
      null,
      waits(due("copy")),
    ],
    [
      "nor by its destination's",
      { ...live, step: "copy", hasArrived: true },
      null,
      waits(due("copy")),
    ],
    [
      "so it is when it was given up meanwhile",
      { ...gone, ...failed, step: "hold" },
      null,
      goes("switch_over"),
    ],
    [
      "one that was given up is not held once its source has let go of it",
      { ...live, ...failed, step: "hold", hasLeft: true },
      source({ done: "held" }),
      waits(null),
    ],
    [
      "it is held, whatever its destination says, as long as its source has not",
      { ...live, ...failed, step: "hold", hasArrived: true },
      source({ done: "held" }),
      goes("advance"),
    ],
    [
      "a live copy is done also when its VM is to go",
      { ...gone, step: "copy" },
      null,
      goes("switch_over"),
      { isVmToGo: true },
    ],
    ["a cold copy is not", { step: "copy" }, source({ done: "released" }), waits(due("copy"))],
    [
      "nor is a cold one that goes back",
      { ...failed, step: "hold" },
      source({ done: "released" }),
      waits(null),
    ],
    ["take_over waits, however long", { step: "take_over" }, null, waits(null)],
    [
      "take_over ends with the VM as it is wanted",
      { step: "take_over" },
      null,
      goes("advance"),
      { isAsWanted: true },
    ],
    [
      "take_over ends for a VM that is to go",
      { step: "take_over" },
      null,
      goes("advance"),
      { isVmToGo: true },
    ],
    [
      "take_over does not end by a word, nor go back",
      { step: "take_over" },
      destination({ done: "copied", refused: "out_of_disk: no" }),
      waits(null),
    ],
    [
      "clean ends when the source's is gone",
      { step: "clean" },
      source({ done: "gone" }),
      goes("advance"),
    ],
    ["clean waits for no other's", { step: "clean" }, destination({ done: "gone" }), waits(null)],
    [
      "hold ends by its source's word",
      { ...failed, step: "hold" },
      source({ done: "held" }),
      goes("advance"),
    ],
    [
      "hold waits for no other's",
      { ...failed, step: "hold" },
      destination({ done: "held" }),
      waits(null),
    ],
    [
      "drop ends when the destination's is gone",
      { ...failed, step: "drop" },
      destination({ done: "gone" }),
      goes("advance"),
    ],
    [
      "drop waits for no other's",
      { ...failed, step: "drop" },
      source({ done: "gone" }),
      waits(null),
    ],
    ["what has ended stays", { step: "ended" }, source({ done: "released" }), waits(null)],
  ])("%s", (_, move, word, decision, seen = {}) => {
    expect(decideMove(aMove(move), { ...SEEN, ...seen }, word, AT)).toEqual(decision);
  });

  describe.each(["prepare", "copy", "release"] as const)("%s turns back", (step) => {
    const sent = { sentSha256: SHA, receivedSha256: SHA };
    const move = aMove({ step, ...(step === "prepare" ? ready : sent) });
    test.each<[string, Partial<SeenOfMove>, Word | null, object]>([
      ["for a VM that is to go", { isVmToGo: true }, null, back("vm_deleted")],
      ["for one that is lost", { isVmLost: true }, null, back("vm_lost")],
      [
        "for a source that refuses for good",
        {},
        source({ refused: "unsupported: no" }),
        back("source_refused", "unsupported: no"),
      ],
      [
        "for a destination that does",
        {},
        destination({ refused: "out_of_disk: no" }),
        back("destination_refused", "out_of_disk: no"),
      ],
    ])("%s, though all else was done", (_, seen, word, decision) => {
      expect(decideMove(move, { ...SEEN, ...seen }, word, AT)).toEqual(decision);
    });

    test("when its time is over, and not a moment before", () => {
      const open = aMove({ step });
      const at = (ms: number) => decideMove(open, SEEN, null, new Date(+AT + ms));
      expect(at(STEP_WITHIN_MS[step] - 1)).toEqual(waits(due(step)));
      const code = { prepare: "prepared", copy: "copied", release: "released" }[step];
      expect(at(STEP_WITHIN_MS[step])).toEqual(back(`not_${code}_in_time`));
    });
  });

  test("a copy has its time from when it was last heard to go on", () => {
    const move = aMove({ step: "copy", heardAt: minutesAfter(60) });
    expect(decideMove(move, SEEN, null, minutesAfter(74))).toEqual(waits(minutesAfter(75)));
    expect(decideMove(move, SEEN, null, minutesAfter(75))).toEqual(back("not_copied_in_time"));
  });
});

/* What two hosts may say, in any order and as often as they like, of any step. */
const words: fc.Arbitrary<Word> = fc.record({
  role: fc.constantFrom(...MOVE_ROLES),
  done: fc.constantFrom(null, "ready", "copied", "arrived", "released", "held", "gone"),
  isAtWork: fc.boolean(),
  disk: fc.constantFrom(undefined, A_DISK),
  sha256: fc.constantFrom(undefined, SHA, OTHER),
  bytes: fc.constantFrom(undefined, 5n, 900n),
  pauseMs: fc.constantFrom(undefined, 31),
  refused: fc.constantFrom(undefined, undefined, undefined, "unsupported: no"),
});
const seens: fc.Arbitrary<SeenOfMove> = fc.record({
  isVmToGo: fc.constant(false),
  isVmLost: fc.constant(false),
  isAsWanted: fc.boolean(),
  isOff: fc.boolean(),
});
const moves = fc
  .record({
    method: fc.constantFrom(...MOVE_METHODS),
    step: fc.constantFrom(...MOVE_STEPS),
    disk: fc.constantFrom(null, A_DISK),
    isDestinationReady: fc.boolean(),
    sentSha256: fc.constantFrom(null, SHA),
    receivedSha256: fc.constantFrom(null, SHA, OTHER),
  })
  .map(aMove);

test("a word of one end never says the other's part", () => {
  const own = {
    source: ["disk", "copiedBytes", "sentSha256", "hasLeft", "pauseMs"],
    destination: ["isDestinationReady", "receivedSha256", "hasArrived"],
  };
  fc.assert(
    fc.property(moves, words, (move, word) => {
      expect(own[word.role]).toEqual(expect.arrayContaining(Object.keys(learn(move, word))));
    }),
  );
});

/** Whose word each step goes by beyond what is known without it. */
const GOES_BY: Readonly<Partial<Record<MoveStep, Word["role"]>>> = {
  copy: "source",
  release: "source",
  clean: "source",
  hold: "source",
  drop: "destination",
};

test("a word of one end never moves what goes by the other's, but back", () => {
  fc.assert(
    fc.property(moves, seens, words, (move, seen, word) => {
      if (GOES_BY[move.step] === word.role) return;
      const said = decideMove(move, seen, word, AT);
      const otherwise = decideMove(move, seen, null, AT);
      const back = nextMoveStep(move.step, "turn_back") === "hold" ? said : otherwise;
      expect(said).toEqual(said.kind === "turn_back" ? back : otherwise);
    }),
  );
});

/** As the shell follows: it learns, and then takes steps, of which the word is of the first alone. */
function follow(move: Move, seen: SeenOfMove, word: Word | null, now: Date): Move {
  let next: Move = { ...move, ...(word && learn(move, word)) };
  for (let said = word; ; said = null) {
    const decision = decideMove(next, seen, said, now);
    if (decision.kind === "wait") return next;
    const step = nextMoveStep(next.step, decision.kind === "go" ? decision.by : "turn_back");
    if (step === undefined) throw new Error(`no way from ${next.step}`);
    const failure = decision.kind === "turn_back" ? decision.failure : next.failure;
    next = { ...next, step, failure, stepAt: now, heardAt: now };
  }
}

test("no order of words makes the VM its destination's but by the source's word that it released it, and live by the other's that it has come", () => {
  const said = fc.record({ word: fc.option(words), seen: seens, minutes: fc.nat(4) });
  let moved = 0;
  const check = (
    method: Move["method"],
    all: readonly { word: Word | null; seen: SeenOfMove; minutes: number }[],
  ) => {
    let move = aMove({ method });
    let now = AT;
    const wrong: object[] = [];
    /** What each end has said of a step that it may say it of. */
    const heard = new Set<string>();
    for (const { word, seen, minutes } of all) {
      now = minutesAfter(minutes, now);
      const next = follow(move, seen, word, now);
      const from = method === "live" ? ["copy", "hold"] : ["release"];
      if (word !== null && from.includes(move.step)) heard.add(`${word.role} ${word.done}`);
      // A step or more at once, but never back to the source.
      const wasMoved = HAS_MOVED.has(move.step);
      const isMoved = HAS_MOVED.has(next.step);
      if (wasMoved && !isMoved && next.step !== "ended")
        wrong.push({ from: move.step, to: next.step });
      if (isMoved && !wasMoved) {
        moved++;
        const isSaid =
          heard.has("source released") && (method === "cold" || heard.has("destination arrived"));
        if (!isSaid || !from.includes(move.step)) wrong.push({ from: move.step, word });
      }
      move = next;
    }
    expect(wrong).toEqual([]);
  };
  fc.assert(
    fc.property(
      fc.constantFrom(...MOVE_METHODS),
      fc.array(said, { minLength: 8, maxLength: 60 }),
      check,
    ),
    { numRuns: 300 },
  );
  // Else nothing of the above was looked at.
  expect(moved).toBeGreaterThan(5);
});

test("whatever was said before, both ends' honest words bring a move to its end", () => {
  const honest: readonly Word[] = [
    source({ done: "ready", disk: A_DISK }),
    destination({ done: "ready" }),
    source({ done: "copied", sha256: SHA }),
    destination({ done: "copied", sha256: SHA }),
    destination({ done: "arrived" }),
    source({ done: "released" }),
    source({ done: "held" }),
    source({ done: "gone" }),
    destination({ done: "gone" }),
  ];
  fc.assert(
    fc.property(fc.constantFrom(...MOVE_METHODS), fc.array(words), (method, before) => {
      const asWanted = { ...SEEN, isAsWanted: true };
      let move = aMove({ method });
      for (const word of before) move = follow(move, SEEN, word, AT);
      for (let round = 0; round < 3; round++)
        for (const word of honest) move = follow(move, asWanted, word, AT);
      expect(move.step).toBe("ended");
    }),
  );
});

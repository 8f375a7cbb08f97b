import { describe, expect, test } from "vitest";
import { aSample, AT, minutesAfter } from "#test/builders.ts";
import { takeSamples, type Meter } from "./take-samples.ts";

const sample = aSample({ seq: 4 });
const at = (minutes: number) => minutesAfter(minutes).toISOString();
/** Stored of it: its boot's numbers 0 to 4, and of when. */
const aMeter = (over: Partial<Meter> = {}): Meter => ({
  vmId: sample.vmId,
  vm: {
    vcpus: 1,
    memoryMib: 1024,
    diskGib: 20,
    bandwidthMbit: 1000,
    createdAt: minutesAfter(-60),
    deletedAt: null,
    ownedFrom: null,
    ownedUntil: null,
  },
  measured: [[+minutesAfter(-6), +AT]],
  spare: null,
  boots: new Map([[sample.bootEpoch, { seqs: [[0, 5]], endsAt: AT }]]),
  ...over,
});
const take = (meter: Meter, ...samples: (typeof sample)[]) =>
  takeSamples(samples, new Map([[meter.vmId, meter]]), minutesAfter(30));

describe("of a batch", () => {
  test("a sample whose number and time are stored is a duplicate", () => {
    expect(take(aMeter(), sample)).toEqual({
      samples: [],
      meters: [],
      receipt: { stored: 0, duplicates: 1, refused: [] },
    });
  });

  test("a stored number with a time that is not tells the agent where to go on", () => {
    const anew = { ...sample, from: at(10), to: at(11) };
    expect(take(aMeter(), anew).receipt.refused).toEqual([
      { index: 0, code: "sequence_reused", detail: `${at(10)} to ${at(11)}`, nextSeq: 5 },
    ]);
    // A part of the time is not all of it.
    const longer = { ...sample, to: at(1) };
    expect(take(aMeter(), longer).receipt.refused).toMatchObject([{ code: "sequence_reused" }]);
  });

  test("a new number with a time of which something is stored is refused", () => {
    const claims = { ...sample, seq: 5 };
    expect(take(aMeter(), claims).receipt.refused).toMatchObject([{ code: "overlaps" }]);
    const otherBoot = { ...sample, bootEpoch: "boot-2" };
    expect(take(aMeter(), otherBoot).receipt.refused).toMatchObject([{ code: "overlaps" }]);
  });

  test("one that comes late for a gap is stored, and fills it", () => {
    const meter = aMeter({
      measured: [
        [+minutesAfter(-6), +minutesAfter(-1)],
        [+AT, +minutesAfter(1)],
      ],
      boots: new Map([
        [
          sample.bootEpoch,
          {
            seqs: [
              [0, 4],
              [5, 6],
            ],
            endsAt: minutesAfter(1),
          },
        ],
      ]),
    });
    const taken = take(meter, sample);
    expect(taken.receipt.stored).toBe(1);
    expect(taken.meters).toMatchObject([
      {
        measured: [[+minutesAfter(-6), +minutesAfter(1)]],
        boots: new Map([[sample.bootEpoch, { seqs: [[0, 6]], endsAt: minutesAfter(1) }]]),
      },
    ]);
  });

  test("each is judged after those before it, and a VM of another host has no meter", () => {
    const next = { ...sample, seq: 5, from: at(0), to: at(1) };
    const strange = aSample();
    const taken = take(aMeter(), next, next, strange, { ...next, seq: 6, from: at(1), to: at(2) });
    expect(taken.samples.map((s) => s.seq)).toEqual([5, 6]);
    expect(taken.receipt).toMatchObject({
      stored: 2,
      duplicates: 1,
      refused: [{ index: 2, code: "vm_not_here" }],
    });
    expect(taken.meters).toHaveLength(1);
  });
});

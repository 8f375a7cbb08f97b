import { describe, expect, it } from "vitest";
import { z } from "zod";
import { readAnswer } from "./read-answer.ts";

const Page = z.object({
  items: z.array(
    z.object({
      id: z.string(),
      status: z.enum(["running", "off"]),
      steps: z.array(z.enum(["a", "b"])),
    }),
  ),
  done: z.literal(true),
});
const page = (over: object = {}) => ({
  items: [{ id: "1", status: "running", steps: ["a"] }],
  done: true,
  ...over,
});

describe("an answer from a newer server (6a item 7)", () => {
  it("may have fields that are not known", () => {
    const raw = {
      ...page(),
      more: 1,
      items: [{ id: "1", status: "off", steps: [], price: { minor: "5" } }],
    };
    expect(readAnswer(Page, raw)).toEqual({
      ok: true,
      value: { items: [{ id: "1", status: "off", steps: [] }], done: true },
    });
  });

  it("may have words that are not known: they are shown as they are", () => {
    const raw = page({
      items: [
        { id: "1", status: "hibernating", steps: ["a", "c"] },
        { id: "2", status: "off", steps: ["d"] },
      ],
    });
    const copy = structuredClone(raw);
    expect(readAnswer(Page, raw)).toEqual({ ok: true, value: raw });
    expect(raw).toEqual(copy);
  });
});

it.each([
  ["no object", null, /^the whole: /],
  [
    "a number for a word",
    page({ items: [{ id: "1", status: 7, steps: [] }] }),
    /^items\.0\.status: /,
  ],
  ["a field that is missing", page({ items: [{ status: "off", steps: [] }] }), /^items\.0\.id: /],
  ["a word for what is always true", page({ done: "yes" }), /^done: /],
  [
    "a new word beside nonsense",
    page({ items: [{ id: 1, status: "hibernating", steps: [] }] }),
    /^items\.0\.id: /,
  ],
])("nonsense is refused by its first place: %s", (_, raw, why) => {
  expect(readAnswer(Page, raw)).toMatchObject({ ok: false, why: expect.stringMatching(why) });
});

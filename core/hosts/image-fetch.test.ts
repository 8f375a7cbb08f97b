import { describe, expect, test } from "vitest";
import { foundInFetches, hostImageState } from "./image-fetch.ts";

const [WANTED, OTHER] = ["a".repeat(64), "b".repeat(64)];
const lies = (sha256: string | null, changed = false) => ({ sha256, changed });

// 12.7
describe("an image on a host", () => {
  test.each([
    ["waiting", null, null],
    ["waiting", null, "waiting"],
    ["fetching", null, "fetching"],
    ["failed", null, "failed"],
    ["fetched", null, "held"],
    ["fetched", lies(null), null],
    ["held", lies(WANTED), null],
    ["held", lies(WANTED), "failed"],
    ["other_file", lies(OTHER), "held"],
    ["other_file", lies(WANTED, true), "held"],
  ] as const)("is %s when %j lies there and its agent says %j", (state, held, fetch) => {
    expect(hostImageState({ wanted: WANTED, held, fetch })).toBe(state);
  });
});

test("what failed is amiss while it is tried again too, and over when it is held", () => {
  const found = foundInFetches([
    { file: "a", state: "failed", why: "no_room: full" },
    { file: "b", state: "fetching", why: "stalled: silent" },
    { file: "c", state: "fetching", why: null },
    { file: "d", state: "held", why: null },
  ]);
  const kind = "image_fetch_failed";
  expect(found).toEqual({
    told: [
      { kind, subject: "a", vmId: null, detail: "no_room: full" },
      { kind, subject: "b", vmId: null, detail: "stalled: silent" },
    ],
    over: [{ kind, subject: "d" }],
  });
});

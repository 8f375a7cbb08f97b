import { expect, test } from "vitest";
import { anOrder, AN_SSH_KEY, AT, minutesAfter } from "#test/builders.ts";
import { judgeAgainstOpen } from "./open-order.ts";

const OTHER_KEY = `${AN_SSH_KEY}-2`;
const open = anOrder({ sshKeys: [AN_SSH_KEY, OTHER_KEY] });
const alike = { ...open, trial: false };

test("an order for the same is that order, in whichever order its keys come", () => {
  expect(judgeAgainstOpen([open], alike, AT)).toEqual({ kind: "same", order: open });
  expect(judgeAgainstOpen([open], { ...alike, currency: null }, AT)).toEqual({
    kind: "same",
    order: open,
  });
  const turned = { ...alike, sshKeys: [OTHER_KEY, AN_SSH_KEY] };
  expect(judgeAgainstOpen([open], turned, AT)).toEqual({ kind: "same", order: open });
});

test.each([
  ["image", { imageId: "another" }],
  ["location", { locationId: "another" }],
  ["user-data", { userData: "#cloud-config\n" }],
  ["way in", { rootPassword: true }],
  ["keys", { sshKeys: [AN_SSH_KEY] }],
  ["interval", { billingInterval: "year" }],
  ["currency", { currency: "jpy" }],
  ["beginning, with a trial", { trial: true }],
] as const)("another %s for the same plan and host name is to be asked about", (_, over) => {
  expect(judgeAgainstOpen([open], { ...alike, ...over }, AT)).toEqual({
    kind: "open",
    order: open,
  });
});

test.each([
  ["another plan", open, { planId: "another" }],
  ["another host name", open, { hostname: "web-2.example.com" }],
  ["one that is paid", anOrder({ ...open, state: "paid" }), {}],
  ["one that has expired", anOrder({ ...open, state: "expired" }), {}],
  ["one whose hold is just over", anOrder({ ...open, expiresAt: AT }), {}],
])("an order is new beside %s", (_, known, over) => {
  expect(judgeAgainstOpen([known], { ...alike, ...over }, AT)).toEqual({ kind: "new" });
});

test("of several that are open the same one counts before a newer one, and the newest of others", () => {
  const older = anOrder({ ...open, id: "older" });
  const newer = anOrder({ ...open, id: "newer", imageId: "another", createdAt: minutesAfter(1) });
  expect(judgeAgainstOpen([older, newer], alike, AT)).toMatchObject({ order: { id: "older" } });
  const third = { ...alike, imageId: "a third" };
  expect(judgeAgainstOpen([older, newer], third, AT)).toMatchObject({
    kind: "open",
    order: { id: "newer" },
  });
});

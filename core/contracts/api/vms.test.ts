import { expect, test } from "vitest";
import { ChangeVm, RequestAction } from "./vms.ts";

test.each([
  ["the shop", "the shop"],
  ["  the shop  ", "the shop"],
  ["l".repeat(100), "l".repeat(100)],
  [null, null],
])("a VM may be called %j", (label, is) => {
  expect(ChangeVm.parse({ label })).toEqual({ label: is });
});

test.each([
  { label: "" },
  { label: "l".repeat(101) },
  { label: "two\nlines" },
  { deleteProtected: null },
  { label: "the shop", power: "off" },
])("a VM may not be changed by %j", (change) => {
  expect(ChangeVm.safeParse(change).success).toBe(false);
});

test.each(["start", "shutdown", "stop", "reboot", "reset"])("a VM may be asked to %s", (type) => {
  expect(RequestAction.parse({ type })).toEqual({ type });
});

// Those two come of an order and of its end.
test.each([{ type: "create" }, { type: "delete" }, {}, { type: "stop", force: true }])(
  "a VM may not be asked for %j",
  (request) => {
    expect(RequestAction.safeParse(request).success).toBe(false);
  },
);

import { expect, test } from "vitest";
import { compareFindings, MOST_OPEN_FINDINGS, type Found } from "./finding.ts";

const found = (over: Partial<Found> = {}): Found => ({
  kind: "stranger",
  subject: "vm-1",
  vmId: "vm-1",
  detail: "epoch 3",
  ...over,
});

test("what is told and not open begins, once however often it is told", () => {
  const told = [found(), found({ detail: "epoch 4" }), found({ kind: "clock_off" })];
  expect(compareFindings([], told, [])).toEqual({
    begun: [found({ detail: "epoch 4" }), found({ kind: "clock_off" })],
    goOn: [],
    ended: [],
  });
});

test("what is open and told again goes on with the newest words, and is not over though it is said to be", () => {
  const open = { kind: "stranger", subject: "vm-1" };
  expect(compareFindings([open], [found({ detail: "new" })], [open])).toEqual({
    begun: [],
    goOn: [{ open, detail: "new" }],
    ended: [],
  });
});

test("what is over ends where it is open; what nobody mentions stays as it is", () => {
  const open = { kind: "vm_lost", subject: "vm-1" };
  const other = { kind: "vm_lost", subject: "vm-2" };
  const over = [open, { kind: "disk_layer_missing", subject: "vm-1" }];
  expect(compareFindings([open, other], [], over)).toEqual({ begun: [], goOn: [], ended: [open] });
});

test("a host fills no table with what it makes up, and its lost VMs are told all the same", () => {
  const open = Array.from({ length: MOST_OPEN_FINDINGS - 1 }, (_, n) =>
    found({ subject: `s${n}` }),
  );
  const told = [found({ subject: "a" }), found({ subject: "b" }), found({ kind: "vm_lost" })];
  expect(compareFindings(open, told, []).begun).toEqual([
    found({ kind: "vm_lost" }),
    found({ subject: "a" }),
  ]);
});

import { expect, test } from "vitest";
import type { DesiredMove } from "#core/contracts/agent/moves.ts";
import { bytesToTake } from "./step-ports.ts";

test("a disk that comes takes its file, and where that is converted a second one as large", () => {
  const disk = { format: "vhdx", virtualBytes: "900", exportBytes: "1000", base: null } as const;
  const move: DesiredMove = {
    id: "6f9619ff-8b86-4d01-b42d-00cf4fc964ff",
    role: "destination",
    step: "prepare",
    method: "cold",
    epoch: 7,
    format: "vhdx",
    address: { host: "192.0.2.7", port: 16_555 },
    key: Buffer.alloc(32).toString("base64url"),
    mbitPerSecond: null,
    disk,
  };
  expect(bytesToTake({ ownFormat: "vhdx" }, { move })).toBe(1000);
  expect(bytesToTake({ ownFormat: "qcow2" }, { move })).toBe(2000);
  expect(bytesToTake({ ownFormat: "qcow2" }, { move: { ...move, disk: null } })).toBe(0);
});

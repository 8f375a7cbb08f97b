import { describe, expect, test } from "vitest";
import { createJsonLog } from "./json-log.ts";

describe("4b B7: a line of the agent's log", () => {
  const at = new Date("2026-11-29T10:00:00.000Z");
  const logged = (fields: Record<string, unknown>) => {
    const lines: string[] = [];
    const log = createJsonLog((line) => lines.push(line), {
      now: () => at,
      sleep: async () => undefined,
    });
    log.error("vm_step", fields);
    expect(lines).toHaveLength(1);
    return lines[0] ?? "";
  };

  test("is what was said, where that is short", () => {
    expect(JSON.parse(logged({ vm_id: "a", ms: 7, list: [1, null] }))).toEqual({
      at: at.toISOString(),
      level: "error",
      event: "vm_step",
      vm_id: "a",
      ms: 7,
      list: [1, null],
    });
  });

  test.each([
    ["a text", { detail: "x".repeat(9_000) }],
    [
      "many texts",
      Object.fromEntries(Array.from({ length: 50 }, (_, n) => [n, "y".repeat(1_900)])),
    ],
    ["a list", { vms: Array.from({ length: 2_000 }, (_, n) => `vm-${n}`) }],
    ["text that grows when it is written", { detail: "\u0000".repeat(2_000) }],
  ])("is short and whole JSON with %s that has no bound", (_, fields) => {
    const line = logged(fields);
    expect(line.length).toBeLessThanOrEqual(8_001 + 1_000);
    expect(JSON.parse(line)).toMatchObject({ event: "vm_step", at: at.toISOString() });
  });
});

test("item 4: at the level `error` only errors are written, from the moment that it is set", () => {
  const lines: string[] = [];
  let least: "info" | "error" = "info";
  const clock = { now: () => new Date(0), sleep: async () => undefined };
  const log = createJsonLog(
    (line) => lines.push(line),
    clock,
    () => least,
  );
  log.info("one", {});
  least = "error";
  log.info("two", {});
  log.error("three", {});
  expect(lines.map((line) => JSON.parse(line).event)).toEqual(["one", "three"]);
});

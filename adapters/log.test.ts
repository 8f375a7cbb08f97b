import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { z } from "zod";
import { createLog } from "./log.ts";

const Line = z.looseObject({ level: z.string(), message: z.string(), service: z.string() });

let lines: string[];
beforeEach(() => {
  lines = [];
  // Powertools writes to a console of its own unless it is told that this is development.
  vi.stubEnv("POWERTOOLS_DEV", "true");
  for (const method of ["info", "error"] as const)
    vi.spyOn(console, method).mockImplementation((text: string) => void lines.push(text));
});
afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
});

const written = () => lines.map((line) => Line.parse(JSON.parse(line)));

describe("a line of the log", () => {
  it("has its event, its level, its service and its fields", () => {
    const log = createLog("berth-api");
    log.info("order.placed", { order_id: "o-1", duration_ms: 12 });
    log.error("sweep.failed", { failed: 2 });
    expect(written()).toMatchObject([
      {
        level: "INFO",
        message: "order.placed",
        service: "berth-api",
        order_id: "o-1",
        duration_ms: 12,
      },
      { level: "ERROR", message: "sweep.failed", service: "berth-api", failed: 2 },
    ]);
  });

  it("has an error by its name, message and stack, and drops what is none", () => {
    const log = createLog("berth");
    log.error("broken", { error: new RangeError("too far") });
    log.error("odd", { error: "a text" });
    const [broken, odd] = written();
    expect(broken?.["error"]).toMatchObject({
      name: "RangeError",
      message: "too far",
    });
    expect(JSON.stringify(broken)).toContain("log.test.ts");
    expect(odd).not.toHaveProperty("error");
  });
});

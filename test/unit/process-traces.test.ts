import { afterEach, expect, test, vi } from "vitest";
import { processTraces } from "#test/harness/process-traces.ts";

const undo: (() => unknown)[] = [];
afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  vi.unstubAllGlobals();
  vi.useRealTimers();
  for (const each of undo.splice(0)) each();
});

test.each<[string, () => unknown]>([
  ["a variable of the environment", () => vi.stubEnv("BERTH_LEFT_BEHIND", "1")],
  ["another value of one", () => vi.stubEnv("PATH", "/nowhere")],
  [
    "other rights of new files",
    () => {
      const mask = process.umask(0o007);
      undo.push(() => process.umask(mask));
    },
  ],
  [
    "a listener of a signal",
    () => {
      const listener = () => undefined;
      process.on("SIGTERM", listener);
      undo.push(() => process.off("SIGTERM", listener));
    },
  ],
  ["a clock that stands", () => vi.useFakeTimers()],
  ["chance that is none", () => vi.spyOn(Math, "random").mockReturnValue(0.5)],
  ["another network", () => vi.stubGlobal("fetch", async () => new Response())],
  ["an output that is swallowed", () => vi.spyOn(console, "log").mockReturnValue()],
])("a file of tests is seen to leave %s", (_, leave) => {
  const before = processTraces();
  expect(processTraces()).toEqual(before);
  leave();
  expect(processTraces()).not.toEqual(before);
});

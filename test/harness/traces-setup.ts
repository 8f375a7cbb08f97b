import { deepStrictEqual } from "node:assert/strict";
import { afterAll } from "vitest";
import { processTraces } from "./process-traces.ts";

/** Before each file of tests that shares its process with others: it must leave what they go by as it was (ADR 0041). */
const before = processTraces();
/** `@hono/node-server` puts its own in their place when a file first listens; the next one begins with Node's. */
const { Request, Response } = globalThis;
// The first hook that is registered is the last that runs.
afterAll(() => {
  Object.assign(globalThis, { Request, Response });
  deepStrictEqual(processTraces(), before);
});

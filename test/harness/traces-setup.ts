import { afterAll, expect } from "vitest";

/*
 * Before each file of tests that shares its process with others: what they go by must be left as it was. Modules of ours
 * keep no state between calls, so what could be left is the process' own.
 */

/** Set by a package when it is loaded: AWS' Powertools tells the SDK who uses it. */
const BY_PACKAGES: ReadonlySet<string> = new Set(["AWS_SDK_UA_APP_ID"]);
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** Functions are equal to themselves only. */
const functionsOf = (owner: object, names: readonly string[]) =>
  names.map((name): unknown => Reflect.get(owner, name));

const seen = () => ({
  env: Object.fromEntries(Object.entries(process.env).filter(([name]) => !BY_PACKAGES.has(name))),
  folder: process.cwd(),
  mask: process.umask(),
  listeners: SIGNALS.map((signal) => process.listenerCount(signal)),
  clock: [
    ...functionsOf(globalThis, ["Date", "setTimeout", "setInterval", "setImmediate"]),
    ...functionsOf(Date, ["now"]),
    ...functionsOf(performance, ["now"]),
  ],
  chance: [
    ...functionsOf(Math, ["random"]),
    ...functionsOf(crypto, ["randomUUID", "getRandomValues"]),
  ],
  net: functionsOf(globalThis, ["fetch", "Request", "Response", "Headers"]),
  output: [
    ...functionsOf(console, ["log", "info", "warn", "error"]),
    ...functionsOf(process.stdout, ["write"]),
    ...functionsOf(process.stderr, ["write"]),
  ],
});

const before = seen();
/** `@hono/node-server` puts its own in their place when a file first listens; the next one begins with Node's. */
const { Request, Response } = globalThis;
// The first hook that is registered is the last that runs.
afterAll(() => {
  Object.assign(globalThis, { Request, Response });
  expect(seen(), "what this file leaves to the next one").toEqual(before);
});

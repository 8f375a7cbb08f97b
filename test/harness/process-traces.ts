const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
/** Set by a package when it is loaded: AWS' Powertools tells the SDK who uses it. */
const BY_PACKAGES: ReadonlySet<string> = new Set(["AWS_SDK_UA_APP_ID"]);

/** Functions are equal to themselves only. */
const functionsOf = (owner: object, names: readonly string[]) =>
  names.map((name): unknown => Reflect.get(owner, name));

/** What files of tests that share a process go by, to be compared with how the last one left it (ADR 0041). */
export const processTraces = () => ({
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

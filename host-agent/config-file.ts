import { readFile } from "node:fs/promises";
import { isMap, isScalar, LineCounter, parseDocument, type Document } from "yaml";
import { z } from "zod";
import { apiFault } from "#host-agent/channel/plain-http.ts";
import { DRIVER_NAMES, optionIssues } from "./drivers/open-driver.ts";
import { LOG_LEVELS } from "./json-log.ts";
import { servingAddress } from "./images/serving-address.ts";
import { listenAddress } from "./serve-metrics.ts";

const name = z.string().min(1);
/** One to each: those who fetch let go of a host that brings less than half of it (`fetch-image.ts`). */
const LEAST_MBIT = 10;
const MOST_HOSTS_AT_ONCE = 10;
const MOST_MOVES_AT_ONCE = 10;

/** Where other hosts reach this one. */
const servedAt = z
  .string()
  .refine(
    (value) => servingAddress(value) !== null,
    "it is ADDRESS:PORT, with an address of this host that others reach (no name, not 0.0.0.0, not 127.0.0.1)",
  );
const mbitPerSecond = z.int().min(LEAST_MBIT).max(100_000);

/** `/etc/berth/agent.yaml`, as `docs/agent.md` tells it. The command line and the environment win over it. */
export const AgentConfig = z.strictObject({
  api: z
    .string()
    .superRefine((value, ctx) => {
      const fault = apiFault(value);
      if (fault !== null) ctx.addIssue({ code: "custom", message: fault });
    })
    .exactOptional(),
  stateDir: name.exactOptional(),
  driver: z.enum(DRIVER_NAMES).exactOptional(),
  driverConfig: name.exactOptional(),
  driverOptions: z.record(z.string(), z.unknown()).exactOptional(),
  joinTokenFile: name.exactOptional(),
  logLevel: z.enum(LOG_LEVELS).exactOptional(),
  destroysPerHour: z.int().nonnegative().exactOptional(),
  concurrency: z.int().positive().exactOptional(),
  trashHours: z.int().nonnegative().exactOptional(),
  metricsListen: z
    .union([z.string(), z.int().transform(String)])
    .refine((value) => listenAddress(value) !== null, "it is a port, or HOST:PORT")
    .exactOptional(),
  serveImages: z
    .strictObject({
      listen: servedAt,
      mbitPerSecond: mbitPerSecond.exactOptional(),
      hostsAtOnce: z.int().min(1).max(MOST_HOSTS_AT_ONCE).exactOptional(),
    })
    .exactOptional(),
  moves: z
    .strictObject({
      listen: servedAt,
      mbitPerSecond: mbitPerSecond.exactOptional(),
      atOnce: z.int().min(1).max(MOST_MOVES_AT_ONCE).exactOptional(),
    })
    .exactOptional(),
});
export type AgentConfig = z.infer<typeof AgentConfig>;

export type ConfigFile = Readonly<{
  path: string;
  /** What it says; nothing where it is not there or has a fault. */
  values: AgentConfig;
  /** One line each, with the file's path and the line: `/etc/berth/agent.yaml:3: concurrency: …`. */
  faults: readonly string[];
  isThere: boolean;
}>;

export const DEFAULT_CONFIG =
  process.platform === "win32" ? "C:\\ProgramData\\Berth\\agent.yaml" : "/etc/berth/agent.yaml";

/** Reads it. One that was asked for (`must`) and is not there is a fault; the default one may be missing. */
export async function readConfigFile(path: string, must: boolean): Promise<ConfigFile> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    const isMissing = error instanceof Error && "code" in error && error.code === "ENOENT";
    const faults = isMissing && !must ? [] : [`${path}: cannot be read: ${String(error)}`];
    return { path, values: {}, faults, isThere: !isMissing };
  }
  return { path, isThere: true, ...parseConfig(path, text) };
}

export function parseConfig(
  path: string,
  text: string,
): { values: AgentConfig; faults: readonly string[] } {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const at = (offset: number) => `${path}:${lines.linePos(offset).line}`;
  const unreadable = [...document.errors, ...document.warnings];
  if (unreadable.length > 0)
    return {
      values: {},
      faults: unreadable.map(({ pos, message }) => `${at(pos[0])}: ${message}`),
    };
  let found: unknown;
  try {
    // A file of comments alone says nothing, which is no fault.
    found = document.toJS() ?? {};
  } catch (error) {
    return { values: {}, faults: [`${path}: ${String(error)}`] };
  }
  const checked = AgentConfig.safeParse(found);
  const issues: readonly z.core.$ZodIssue[] = checked.success
    ? issuesOfDriver(checked.data, document)
    : checked.error.issues;
  const faults = issues.flatMap((issue) =>
    placesOf(issue).map(
      ({ keys, message }) =>
        `${at(offsetOf(document, keys))}: ${keys.join(".") || "file"}: ${message}`,
    ),
  );
  return checked.success && faults.length === 0
    ? { values: checked.data, faults }
    : { values: {}, faults };
}

/** What the file says of its driver. What it leaves out may come from elsewhere (`driverConfig`, the command line). */
function issuesOfDriver(
  { driver, driverOptions }: AgentConfig,
  document: Document,
): readonly z.core.$ZodIssue[] {
  if (driver === undefined || driverOptions === undefined) return [];
  return optionIssues(driver, driverOptions)
    .map((issue) => ({ ...issue, path: ["driverOptions", ...issue.path] }))
    .filter(({ path }) => document.hasIn(path));
}

/** A key that is not known is told where it stands, and not where its object begins. */
function placesOf(issue: z.core.$ZodIssue): { keys: PropertyKey[]; message: string }[] {
  if (issue.code === "unrecognized_keys")
    return issue.keys.map((key) => ({
      keys: [...issue.path, key],
      message: "there is no such key",
    }));
  return [{ keys: issue.path, message: issue.message }];
}

/** Where the last of these keys stands; what is not there, where the nearest that is does. */
function offsetOf(document: Document, keys: readonly PropertyKey[]): number {
  for (let length = keys.length; length > 0; length--) {
    const parent = document.getIn(keys.slice(0, length - 1), true);
    const last = keys[length - 1];
    const map = length === 1 ? document.contents : parent;
    if (!isMap(map)) continue;
    const pair = map.items.find(({ key }) => isScalar(key) && key.value === last);
    if (pair !== undefined && isScalar(pair.key)) return pair.key.range?.[0] ?? 0;
  }
  return 0;
}

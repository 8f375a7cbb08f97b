import { isDeepStrictEqual } from "node:util";
import type { AgentOptions } from "./cli.ts";

/** What takes effect while the agent runs. */
const LIVE = ["destroysPerHour", "concurrency", "trashHours"] as const;

/**
 * What a config file that was read again changes: `changed` takes effect at once, and `needsRestart` differs from what the
 * agent was started with (`started`), by the names that the file has for them.
 */
export function compareOptions(
  held: AgentOptions,
  started: AgentOptions,
  next: AgentOptions,
): { changed: string[]; needsRestart: string[] } {
  const changed: string[] = LIVE.filter((name) => held.settings[name] !== next.settings[name]);
  if (held.logLevel !== next.logLevel) changed.push("logLevel");
  const fixed = ({ apiUrl, stateDir, driver, driverConfigFile, ...more }: AgentOptions) => ({
    api: apiUrl,
    stateDir,
    driver,
    driverConfig: driverConfigFile,
    // The images folder, the network and what else the driver was opened with.
    driverOptions: { ...more.fileOptions, ...more.driverOptions },
    metricsListen: more.metricsListen,
    serveImages: more.serveImages,
    moves: more.moves,
  });
  const [before, after] = [fixed(started), fixed(next)];
  const names = [
    "api",
    "stateDir",
    "driver",
    "driverConfig",
    "driverOptions",
    "metricsListen",
    "serveImages",
    "moves",
  ] as const;
  return {
    changed,
    needsRestart: names.filter((name) => !isDeepStrictEqual(before[name], after[name])),
  };
}

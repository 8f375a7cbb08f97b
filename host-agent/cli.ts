import { parseArgs } from "node:util";
import { apiFault } from "./channel/plain-http.ts";
import { DEFAULT_CONFIG, type AgentConfig, type ConfigFile } from "./config-file.ts";
import { DEFAULT_SERVING, type ServeImages } from "./images/serve-images.ts";
import { servingAddress } from "./images/serving-address.ts";
import { DEFAULT_MOVING } from "./moves/movers.ts";
import { listenAddress, type ListenAddress } from "./serve-metrics.ts";
import { DRIVER_NAMES, type DriverName } from "./drivers/open-driver.ts";
import type { LogLevel } from "./json-log.ts";

export const USAGE = `berth-agent: runs the VMs of this host as Berth's control plane says

  berth-agent run      [options]   work until told to stop; enrols first when --join-token-file is given
  berth-agent enroll   [options]   make this host's key and enrol it, then end
  berth-agent status   [options]   what the agent that runs here last did
  berth-agent doctor   [options]   look for what is wrong with this host, and say how to mend it
  berth-agent selftest [options] --image NAME
                                   try the driver on this host with one tiny VM, and clean up
  berth-agent upgrade  [options] --to FILE|URL
                                   put the release of a signed manifest in place, and start it
  berth-agent rollback             go back to the release before
  berth-agent uninstall            end the service; says what stays. VMs are left as they are
  berth-agent --help | --version

options (each may also come from the environment variable in brackets, or from the config file)
  --config FILE           the config file (${DEFAULT_CONFIG}, where it is there)   [BERTH_AGENT_CONFIG]
  --api URL               the control plane                         [BERTH_AGENT_API]
                          https only; plain http for this machine's own addresses (127.0.0.1, [::1], localhost)
  --state-dir DIR         the agent's own files                     [BERTH_AGENT_STATE_DIR]
  --driver NAME           ${DRIVER_NAMES.join(" | ")}                 [BERTH_AGENT_DRIVER]
  --driver-config FILE    the driver's options, as JSON             [BERTH_AGENT_DRIVER_CONFIG]
  --driver-option K=V     one of them, over the file's; repeatable; V is JSON, or else text
  --image NAME            selftest: the file name of a Linux image, without its ending
  --to FILE|URL           upgrade: the signed manifest; the release's file lies beside it
  --packaged DIR          upgrade: in its place, a release that the system's package brought, unpacked
  --allow-downgrade       upgrade: also to an older release than what runs, or than what may run here
  --join-token-file FILE  holds the single-use token to enrol with  [BERTH_AGENT_JOIN_TOKEN_FILE]
  --destroys-per-hour N   more are refused (20)
  --concurrency N         steps under way at once (8)
  --metrics-listen ADDR   serve Prometheus' metrics there             [BERTH_AGENT_METRICS_LISTEN]
                          9109 or 127.0.0.1:9109 for this machine only; off when left out
  --json                  status, doctor: as JSON
  --fix                   doctor: mend what is harmless (missing folders, rights), and say what was mended

exit codes: 0 done, 1 bug or outage, 2 wrong use, 3 not enrolled or key revoked, 4 state file corrupt, 5 already running,
            6 another release is in place: start it
            doctor: 1 something is wrong; status: 1 no agent runs; upgrade: 1 nothing was changed
`;

export type Command =
  | { name: "help" }
  | { name: "version" }
  | { name: "status"; json: boolean; stateDir: string }
  | { name: "upgrade"; stateDir: string; to: string; allowDowngrade: boolean }
  | { name: "upgrade"; stateDir: string; packaged: string }
  | { name: "rollback" }
  | { name: "uninstall"; stateDir: string | null; config: string }
  | DoctorOptions
  | ({ name: "selftest"; image: string } & DriverChoice)
  | ({ name: "run" | "enroll" } & AgentOptions);

export type DriverChoice = {
  driver: DriverName;
  /** Of the config file. */
  fileOptions: Readonly<Record<string, unknown>>;
  driverConfigFile: string | null;
  /** Over what the files say. */
  driverOptions: Readonly<Record<string, unknown>>;
};

/** What is not set, or set wrongly, is what a doctor is for: null. */
export type DoctorOptions = {
  name: "doctor";
  json: boolean;
  fix: boolean;
  apiUrl: string | null;
  stateDir: string | null;
  driver: DriverChoice | null;
  config: ConfigFile;
};

export type AgentOptions = DriverChoice & {
  apiUrl: string;
  stateDir: string;
  joinTokenFile: string | null;
  logLevel: LogLevel;
  /** null: metrics are not served. */
  metricsListen: ListenAddress | null;
  /** null: no other host may fetch images from this one. */
  serveImages: ServeImages | null;
  /** null: no VM of another host comes to this one. */
  moves: MoveOptions | null;
  settings: { destroysPerHour?: number; concurrency?: number; trashHours?: number };
};

/** How VMs of other hosts come to this one, and how those that leave it are sent. */
export type MoveOptions = Readonly<{
  address: string;
  port: number;
  /** Of each disk that is sent; null: not limited. */
  mbitPerSecond: number | null;
  atOnce: number;
}>;

/** The command line cannot be understood. The message says why, in one line. */
export class UsageError extends Error {
  override name = "UsageError";
}

/** Which config file is to be read, and whether somebody named it. Throws `UsageError`. */
export function configFileOf(
  args: readonly string[],
  env: NodeJS.ProcessEnv,
): { path: string; must: boolean } {
  const named = parse(args).values.config ?? env["BERTH_AGENT_CONFIG"];
  return named ? { path: named, must: true } : { path: DEFAULT_CONFIG, must: false };
}

const NO_FILE: ConfigFile = { path: DEFAULT_CONFIG, values: {}, faults: [], isThere: false };

/** Throws `UsageError`. */
export function parseCommand(
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  config: ConfigFile = NO_FILE,
): Command {
  const { values, positionals } = parse(args);
  const file = config.values;
  if (values.version) return { name: "version" };
  if (values.help || positionals[0] === "help") return { name: "help" };
  const [name, ...more] = positionals;
  const known = NAMES.find((other) => other === name);
  if (known === undefined)
    throw new UsageError(
      name === undefined ? `say ${NAMES.join(", ")}` : `unknown command: ${name}`,
    );
  if (more.length > 0) throw new UsageError(`one command at a time, not also: ${more.join(" ")}`);
  // A doctor tells of a bad file among the rest.
  if (known !== "doctor" && config.faults.length > 0)
    throw new UsageError(config.faults.join("\n"));

  const given = (flag: string | undefined, variable: string, ofFile: string | undefined) =>
    (flag ?? env[variable] ?? ofFile) || null;
  const must = (value: string | null, option: string, variable: string) => {
    if (value === null) throw new UsageError(`--${option} is needed (or ${variable})`);
    return value;
  };
  const apiUrl = given(values.api, "BERTH_AGENT_API", file.api);
  const stateDir = given(values["state-dir"], "BERTH_AGENT_STATE_DIR", file.stateDir);
  const driver = given(values.driver, "BERTH_AGENT_DRIVER", file.driver);
  const chooseDriver = (chosen: string): DriverChoice => {
    const known = DRIVER_NAMES.find((other) => other === chosen);
    if (known === undefined)
      throw new UsageError(`--driver is one of ${DRIVER_NAMES.join(", ")}, not ${chosen}`);
    return {
      driver: known,
      fileOptions: file.driverOptions ?? {},
      driverConfigFile: given(
        values["driver-config"],
        "BERTH_AGENT_DRIVER_CONFIG",
        file.driverConfig,
      ),
      driverOptions: Object.fromEntries((values["driver-option"] ?? []).map(keyAndValue)),
    };
  };
  const json = values.json ?? false;
  const fix = values.fix ?? false;
  if (known === "doctor") {
    const chosen = driver === null ? null : chooseDriver(driver);
    return { name: known, json, fix, apiUrl, stateDir, driver: chosen, config };
  }
  if (fix) throw new UsageError("--fix is the doctor's alone");
  const { to, packaged, "allow-downgrade": allowDowngrade = false } = values;
  if (known !== "upgrade" && (to ?? packaged ?? (allowDowngrade || null)) !== null)
    throw new UsageError("--to, --packaged and --allow-downgrade are for upgrade");
  if (known === "rollback") return { name: known };
  if (known === "uninstall") return { name: known, stateDir, config: config.path };
  if (known === "upgrade") {
    const of = { name: known, stateDir: must(stateDir, "state-dir", "BERTH_AGENT_STATE_DIR") };
    if (packaged !== undefined && to === undefined) return { ...of, packaged };
    if (to === undefined || packaged !== undefined)
      throw new UsageError("--to is needed for an upgrade");
    return { ...of, to, allowDowngrade };
  }
  if (known === "status")
    return { name: known, json, stateDir: must(stateDir, "state-dir", "BERTH_AGENT_STATE_DIR") };
  if (json) throw new UsageError("--json is for status and doctor");
  const mustDriver = () => chooseDriver(must(driver, "driver", "BERTH_AGENT_DRIVER"));
  if (known === "selftest") {
    if (values.image === undefined) throw new UsageError("--image is needed for a self-test");
    return { name: known, image: values.image, ...mustDriver() };
  }
  const api = must(apiUrl, "api", "BERTH_AGENT_API");
  const fault = apiFault(api);
  if (fault !== null) throw new UsageError(`--api ${fault}`);
  const chosen = mustDriver();
  const joinTokenFile = given(
    values["join-token-file"],
    "BERTH_AGENT_JOIN_TOKEN_FILE",
    file.joinTokenFile,
  );
  if (known === "enroll" && joinTokenFile === null)
    throw new UsageError("--join-token-file is needed to enrol");
  const destroysPerHour =
    count(values["destroys-per-hour"], "destroys-per-hour", 0) ?? file.destroysPerHour;
  const concurrency = count(values.concurrency, "concurrency", 1) ?? file.concurrency;
  const { trashHours } = file;
  const listen = given(values["metrics-listen"], "BERTH_AGENT_METRICS_LISTEN", file.metricsListen);
  const metricsListen = listen === null ? null : listenAddress(listen);
  if (listen !== null && metricsListen === null)
    throw new UsageError(`--metrics-listen is a port, or HOST:PORT, not ${listen}`);
  return {
    name: known,
    apiUrl: api,
    stateDir: must(stateDir, "state-dir", "BERTH_AGENT_STATE_DIR"),
    ...chosen,
    joinTokenFile,
    logLevel: file.logLevel ?? "info",
    metricsListen,
    serveImages: servingOf(file),
    moves: movingOf(file),
    settings: {
      ...(destroysPerHour === undefined ? {} : { destroysPerHour }),
      ...(concurrency === undefined ? {} : { concurrency }),
      ...(trashHours === undefined ? {} : { trashHours }),
    },
  };
}

/** The config file has checked its address. */
function servingOf({ serveImages }: AgentConfig): ServeImages | null {
  const at = serveImages ? servingAddress(serveImages.listen) : null;
  if (serveImages === undefined || at === null) return null;
  const { mbitPerSecond, hostsAtOnce } = { ...DEFAULT_SERVING, ...serveImages };
  return { ...at, mbitPerSecond, hostsAtOnce };
}

/** Its address, too. */
function movingOf({ moves }: AgentConfig): MoveOptions | null {
  const at = moves ? servingAddress(moves.listen) : null;
  if (moves === undefined || at === null) return null;
  const { mbitPerSecond, atOnce } = { ...DEFAULT_MOVING, ...moves };
  return { ...at, mbitPerSecond, atOnce };
}

const NAMES = [
  "run",
  "enroll",
  "status",
  "doctor",
  "selftest",
  "upgrade",
  "rollback",
  "uninstall",
] as const;

function parse(args: readonly string[]) {
  const text = { type: "string" } as const;
  const flag = { type: "boolean" } as const;
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        help: { ...flag, short: "h" },
        version: flag,
        json: flag,
        fix: flag,
        config: text,
        api: text,
        "state-dir": text,
        driver: text,
        "driver-config": text,
        "driver-option": { ...text, multiple: true },
        image: text,
        to: text,
        packaged: text,
        "allow-downgrade": flag,
        "join-token-file": text,
        "destroys-per-hour": text,
        concurrency: text,
        "metrics-listen": text,
      },
    });
  } catch (cause) {
    throw new UsageError(cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

function count(value: string | undefined, option: string, least: number): number | null {
  if (value === undefined) return null;
  const number = Number(value);
  if (!/^\d+$/.test(value) || number < least)
    throw new UsageError(`--${option} is a whole number from ${least} on, not ${value}`);
  return number;
}

function keyAndValue(option: string): [string, unknown] {
  const at = option.indexOf("=");
  if (at < 1) throw new UsageError(`--driver-option is KEY=VALUE, not ${option}`);
  const value = option.slice(at + 1);
  try {
    return [option.slice(0, at), JSON.parse(value)];
  } catch {
    return [option.slice(0, at), value];
  }
}

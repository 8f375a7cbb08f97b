import { parseArgs } from "node:util";
import { isPlainToRemote } from "./channel/plain-http.ts";
import { listenAddress, type ListenAddress } from "./serve-metrics.ts";
import { DRIVER_NAMES, type DriverName } from "./drivers/open-driver.ts";

export const USAGE = `berth-agent: runs the VMs of this host as Berth's control plane says

  berth-agent run      [options]   work until told to stop; enrols first when --join-token-file is given
  berth-agent enroll   [options]   make this host's key and enrol it, then end
  berth-agent selftest --driver hyperv --driver-config FILE --image NAME
                                   try the driver on this host with one tiny VM, and clean up
  berth-agent --help | --version

options (each may also come from the environment variable in brackets)
  --api URL               the control plane                         [BERTH_AGENT_API]
                          https only; plain http for this machine's own addresses (127.0.0.1, [::1], localhost)
  --state-dir DIR         the agent's own files                     [BERTH_AGENT_STATE_DIR]
  --driver NAME           ${DRIVER_NAMES.join(" | ")}                 [BERTH_AGENT_DRIVER]
  --driver-config FILE    the driver's options, as JSON             [BERTH_AGENT_DRIVER_CONFIG]
  --driver-option K=V     one of them, over the file's; repeatable; V is JSON, or else text
  --image NAME            selftest: the file name of a Linux image, without its ending
  --join-token-file FILE  holds the single-use token to enrol with  [BERTH_AGENT_JOIN_TOKEN_FILE]
  --destroys-per-hour N   more are refused (20)
  --concurrency N         steps under way at once (8)
  --metrics-listen ADDR   serve Prometheus' metrics there             [BERTH_AGENT_METRICS_LISTEN]
                          9109 or 127.0.0.1:9109 for this machine only; off when left out

exit codes: 0 done, 1 bug or outage, 2 wrong use, 3 not enrolled or key revoked, 4 state file corrupt, 5 already running
`;

export type Command =
  | { name: "help" }
  | { name: "version" }
  | ({ name: "selftest"; image: string } & DriverChoice)
  | ({ name: "run" | "enroll" } & AgentOptions);

export type DriverChoice = {
  driver: DriverName;
  driverConfigFile: string | null;
  /** Over what the file says. */
  driverOptions: Readonly<Record<string, unknown>>;
};

export type AgentOptions = DriverChoice & {
  apiUrl: string;
  stateDir: string;
  joinTokenFile: string | null;
  /** null: metrics are not served. */
  metricsListen: ListenAddress | null;
  settings: { destroysPerHour?: number; concurrency?: number };
};

/** The command line cannot be understood. The message says why, in one line. */
export class UsageError extends Error {
  override name = "UsageError";
}

/** Throws `UsageError`. */
export function parseCommand(args: readonly string[], env: NodeJS.ProcessEnv): Command {
  const { values, positionals } = parse(args);
  if (values.version) return { name: "version" };
  if (values.help || positionals[0] === "help") return { name: "help" };
  const [name, ...more] = positionals;
  if (name !== "run" && name !== "enroll" && name !== "selftest")
    throw new UsageError(
      name === undefined ? "say run, enroll or selftest" : `unknown command: ${name}`,
    );
  if (more.length > 0) throw new UsageError(`one command at a time, not also: ${more.join(" ")}`);

  const given = (flag: string | undefined, variable: string) => flag ?? env[variable] ?? null;
  const must = (flag: string | undefined, option: string, variable: string) => {
    const value = given(flag, variable);
    if (value === null || value === "")
      throw new UsageError(`--${option} is needed (or ${variable})`);
    return value;
  };
  const chooseDriver = (): DriverChoice => {
    const driver = must(values.driver, "driver", "BERTH_AGENT_DRIVER");
    const known = DRIVER_NAMES.find((other) => other === driver);
    if (known === undefined)
      throw new UsageError(`--driver is one of ${DRIVER_NAMES.join(", ")}, not ${driver}`);
    return {
      driver: known,
      driverConfigFile: given(values["driver-config"], "BERTH_AGENT_DRIVER_CONFIG"),
      driverOptions: Object.fromEntries((values["driver-option"] ?? []).map(keyAndValue)),
    };
  };
  if (name === "selftest") {
    if (values.image === undefined) throw new UsageError("--image is needed for a self-test");
    return { name, image: values.image, ...chooseDriver() };
  }
  const apiUrl = must(values.api, "api", "BERTH_AGENT_API");
  const url = URL.parse(apiUrl);
  if (url === null || !/^https?:$/.test(url.protocol))
    throw new UsageError(`--api is not an http(s) URL: ${apiUrl}`);
  if (isPlainToRemote(url))
    throw new UsageError(
      `--api is plain http to another machine, which anybody between could read and change: use https (${apiUrl})`,
    );
  const chosen = chooseDriver();
  const joinTokenFile = given(values["join-token-file"], "BERTH_AGENT_JOIN_TOKEN_FILE");
  if (name === "enroll" && joinTokenFile === null)
    throw new UsageError("--join-token-file is needed to enrol");
  const destroysPerHour = count(values["destroys-per-hour"], "destroys-per-hour", 0);
  const concurrency = count(values.concurrency, "concurrency", 1);
  const listen = given(values["metrics-listen"], "BERTH_AGENT_METRICS_LISTEN");
  const metricsListen = listen === null ? null : listenAddress(listen);
  if (listen !== null && metricsListen === null)
    throw new UsageError(`--metrics-listen is a port, or HOST:PORT, not ${listen}`);
  return {
    name,
    apiUrl,
    stateDir: must(values["state-dir"], "state-dir", "BERTH_AGENT_STATE_DIR"),
    ...chosen,
    joinTokenFile,
    metricsListen,
    settings: {
      ...(destroysPerHour === null ? {} : { destroysPerHour }),
      ...(concurrency === null ? {} : { concurrency }),
    },
  };
}

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
        api: text,
        "state-dir": text,
        driver: text,
        "driver-config": text,
        "driver-option": { ...text, multiple: true },
        image: text,
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

import { readFile } from "node:fs/promises";
import packageJson from "../package.json" with { type: "json" };
import type { Clock } from "#core/ports.ts";
import { createMetricsRegistry } from "#core/metrics-registry.ts";
import { createAgent } from "./agent.ts";
import { parseCommand, USAGE, UsageError, type AgentOptions, type DriverChoice } from "./cli.ts";
import {
  ControlPlaneError,
  createHttpControlPlane,
  IdentityRevoked,
} from "#host-agent/channel/control-plane.ts";
import { createSqsDoorbell } from "#host-agent/channel/doorbell.ts";
import { DriverError, type VmDriver } from "./drivers/driver.ts";
import { DriverOptionsError, openDriver, runSelftest } from "./drivers/open-driver.ts";
import {
  createSigner,
  enroll,
  loadIdentity,
  type EnrolledIdentity,
} from "#host-agent/channel/identity.ts";
import { createPlaneTime } from "#host-agent/channel/plane-time.ts";
import { CorruptState } from "#host-agent/state/saved.ts";
import { AlreadyRunning, holdAlone } from "#host-agent/state/single-instance.ts";
import { fileStore, type StateStore } from "#host-agent/state/state-store.ts";
import { createJsonLog } from "./json-log.ts";
import { AGENT_METRICS } from "./metrics.ts";
import { serveOwnMetrics } from "./serve-metrics.ts";
import { systemClock as clock, systemIds as ids, systemRandom, systemUptimeMs } from "./system.ts";

const log = createJsonLog((line) => process.stdout.write(line), clock);
const agentVersion = packageJson.version;
const planeTime = createPlaneTime({ clock, uptimeMs: systemUptimeMs, log });
/** What a driver dates is emptied by date: a host's clock that somebody sets must not make a week of it. */
const driverClock: Clock = { now: () => planeTime.now(), sleep: clock.sleep };

/** This host has no key that the control plane knows. */
class NotEnrolled extends Error {
  override name = "NotEnrolled";
}

/** By what was thrown, the exit code; anything else is a bug or an outage. */
const EXIT_CODES: readonly (readonly [abstract new (...args: never[]) => Error, number])[] = [
  [UsageError, 2],
  [DriverOptionsError, 2],
  [NotEnrolled, 3],
  [IdentityRevoked, 3],
  [CorruptState, 4],
  [AlreadyRunning, 5],
  [ControlPlaneError, 1],
  [DriverError, 1],
];

async function main(args: readonly string[]): Promise<void> {
  const command = parseCommand(args, process.env);
  if (command.name === "help") process.stdout.write(USAGE);
  else if (command.name === "version") process.stdout.write(`${agentVersion}\n`);
  else if (command.name === "selftest") await tryDriver(command);
  else {
    const letGo = await holdAlone(command.stateDir);
    const driver = await openDriver(command.driver, await driverOptions(command), {
      clock: driverClock,
      ids,
      log,
      agentVersion,
    });
    try {
      const store = fileStore(command.stateDir, { durable: true });
      const identity = await identify(command, store, driver, command.name === "enroll");
      if (command.name === "run") await run(command, store, driver, identity);
    } finally {
      await driver.close();
      letGo();
    }
  }
}

/** One line a step; exit code 1 when one was not as it must be. */
async function tryDriver(command: DriverChoice & { image: string }): Promise<void> {
  const ports = { clock, ids, log, agentVersion };
  const options = await driverOptions(command);
  const told = untilTold(() =>
    process.stderr.write("berth-agent: ending, and cleaning up first\n"),
  );
  const steps = await runSelftest(command.driver, options, command.image, ports, told);
  for (const { step, ok, ms, detail } of steps)
    process.stdout.write(`${ok ? "ok  " : "FAIL"}  ${step} (${ms} ms): ${detail}\n`);
  if (steps.some((step) => !step.ok)) process.exitCode = 1;
}

/** The host's identity; enrols when it has none and a token is given, or when that was asked for. */
async function identify(
  options: AgentOptions,
  store: StateStore,
  driver: VmDriver,
  anew: boolean,
): Promise<EnrolledIdentity> {
  const known = await loadIdentity(store);
  if (known !== null && !anew) return known;
  if (options.joinTokenFile === null)
    throw new NotEnrolled("this host is not enrolled: give --join-token-file");
  const joinToken = (await readOption("--join-token-file", options.joinTokenFile)).trim();
  const { apiUrl } = options;
  const controlPlane = createHttpControlPlane({ apiUrl, fetch, clock, sign: null });
  const facts = await driver.facts();
  const identity = await enroll(store, controlPlane, { joinToken, facts }).catch(
    (cause: unknown) => {
      // The token may be wrong, used or too old; anything but a refusal is an outage.
      if (!(cause instanceof ControlPlaneError) || cause.status === null) throw cause;
      throw new NotEnrolled(`enrolment was refused: ${cause.message}`, { cause });
    },
  );
  const { hostId, identityEpoch } = identity.enrolled;
  log.info("enrolled", { host_id: hostId, identity_epoch: identityEpoch });
  return identity;
}

async function run(
  options: AgentOptions,
  store: StateStore,
  driver: VmDriver,
  identity: EnrolledIdentity,
): Promise<void> {
  const { hostId } = identity.enrolled;
  const signingClock = { now: () => planeTime.signingNow(), sleep: clock.sleep };
  const sign = await createSigner(identity, { clock: signingClock, ids });
  const metrics = createMetricsRegistry(AGENT_METRICS);
  const agent = createAgent({
    hostId,
    driver,
    metrics,
    controlPlane: createHttpControlPlane({
      apiUrl: options.apiUrl,
      fetch,
      clock,
      sign,
      heard: (date) => planeTime.heard(date),
    }),
    planeTime,
    doorbell: (session) => createSqsDoorbell({ hostId, session, clock, log }),
    store,
    clock,
    random: systemRandom,
    log,
    settings: options.settings,
  });
  const told = untilTold((signal) => log.info("agent_stopping", { host_id: hostId, signal }));
  log.info("agent_started", { host_id: hostId, driver: options.driver, version: agentVersion });
  const served = await serveOwnMetrics(options, { metrics, agent, agentVersion, log });
  try {
    await agent.run(told);
  } finally {
    await served?.close();
  }
  log.info("agent_stopped", { host_id: hostId });
}

/** Aborted when the process is told to stop. Told the same again, it ends at once. */
function untilTold(heard: (signal: NodeJS.Signals) => void): AbortSignal {
  const stopping = new AbortController();
  const stop = (signal: NodeJS.Signals) => {
    heard(signal);
    stopping.abort(new Error(`told to stop (${signal})`));
  };
  process.once("SIGTERM", stop);
  process.once("SIGINT", stop);
  return stopping.signal;
}

async function driverOptions(options: DriverChoice): Promise<unknown> {
  const file = options.driverConfigFile;
  if (file === null) return options.driverOptions;
  const text = await readOption("--driver-config", file);
  try {
    return { ...JSON.parse(text), ...options.driverOptions };
  } catch (cause) {
    throw new UsageError(`--driver-config ${file} is not JSON`, { cause });
  }
}

async function readOption(option: string, file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (cause) {
    throw new UsageError(`${option} cannot be read: ${file}`, { cause });
  }
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  const known = EXIT_CODES.find(([kind]) => error instanceof kind);
  const text = error instanceof Error ? error.message : String(error);
  // What is not foreseen is shown whole, for whoever must find it.
  process.stderr.write(`berth-agent: ${known || !(error instanceof Error) ? text : error.stack}\n`);
  process.exitCode = known?.[1] ?? 1;
}

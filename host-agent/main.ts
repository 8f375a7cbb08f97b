import packageJson from "../package.json" with { type: "json" };
import type { Clock } from "#core/ports.ts";
import { createMetricsRegistry } from "#core/metrics-registry.ts";
import { createAgent, type Agent } from "./agent.ts";
import {
  configFileOf,
  parseCommand,
  USAGE,
  UsageError,
  type AgentOptions,
  type Command,
  type DoctorOptions,
  type DriverChoice,
} from "./cli.ts";
import { compareOptions } from "./compare-options.ts";
import { readConfigFile } from "./config-file.ts";
import { checksAsText, examine } from "./doctor/doctor.ts";
import { readAgentStatus, statusAsText } from "./doctor/status.ts";
import { readDriverOptions, readOption } from "./read-driver-options.ts";
import {
  ControlPlaneError,
  createHttpControlPlane,
  IdentityRevoked,
  type ControlPlane,
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
import { createMoveChannel } from "#host-agent/moves/move-channel.ts";
import { createPlaneTime } from "#host-agent/channel/plane-time.ts";
import { CorruptState } from "#host-agent/state/saved.ts";
import { AlreadyRunning, holdAlone } from "#host-agent/state/single-instance.ts";
import { createInstallation, type Installation } from "#host-agent/state/installation.ts";
import { fileStore, type StateStore } from "#host-agent/state/state-store.ts";
import { createStatusNotes, type StatusNotes } from "#host-agent/state/status-notes.ts";
import {
  homeOfLauncher,
  obtainAlone,
  PLATFORM,
  restartService,
  rollBackByHand,
  takePackaged,
  uninstall,
  upgradeByHand,
} from "#host-agent/upgrade/by-hand.ts";
import { createFollowWanted } from "#host-agent/upgrade/follow-wanted.ts";
import { UpgradeError } from "#host-agent/upgrade/upgrade-error.ts";
import { watchTrial } from "#host-agent/upgrade/watch-trial.ts";
import { createJsonLog, type LogLevel } from "./json-log.ts";
import { AGENT_METRICS } from "./metrics.ts";
import { serveOwnMetrics } from "./serve-metrics.ts";
import { systemClock as clock, systemIds as ids, systemRandom, systemUptimeMs } from "./system.ts";

let logLevel: LogLevel = "info";
const log = createJsonLog(
  (line) => process.stdout.write(line),
  clock,
  () => logLevel,
);
const agentVersion = packageJson.version;
const planeTime = createPlaneTime({ clock, uptimeMs: systemUptimeMs, log });
/** What a driver dates is emptied by date: a host's clock that somebody sets must not make a week of it. */
const driverClock: Clock = { now: () => planeTime.now(), sleep: clock.sleep };

/** Where the launcher keeps releases; null when it did not start this process. */
const home = homeOfLauncher(process.env);
const say = (line: string) => void process.stdout.write(`${line}\n`);
const byHand = { home, own: agentVersion, say, restartService };

/** Another release is in place, and this process ended for it. */
const START_ANEW = 6;

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
  [UpgradeError, 1],
  [DriverError, 1],
];

/** The command line, over the environment, over the config file. */
async function readCommand(args: readonly string[]): Promise<Command> {
  const { path, must } = configFileOf(args, process.env);
  return parseCommand(args, process.env, await readConfigFile(path, must));
}

async function main(args: readonly string[]): Promise<void> {
  const command = await readCommand(args);
  if (command.name === "help") process.stdout.write(USAGE);
  else if (command.name === "version") process.stdout.write(`${agentVersion}\n`);
  else if (command.name === "selftest") await tryDriver(command);
  else if (command.name === "status") await tellStatus(command);
  else if (command.name === "doctor") await tellChecks(command);
  else if (command.name === "upgrade")
    await ("packaged" in command
      ? takePackaged(command, { ...byHand, clock })
      : upgradeByHand(command, { ...byHand, clock, fetch }));
  else if (command.name === "rollback") await rollBackByHand(byHand);
  else if (command.name === "uninstall") await uninstall(command, say);
  else {
    logLevel = command.logLevel;
    const letGo = await holdAlone(command.stateDir);
    // Known when the host is enrolled; the driver asks anew each time.
    let installation: Installation | null = null;
    const driver = await openDriver(command.driver, await readDriverOptions(command), {
      clock: driverClock,
      ids,
      log,
      agentVersion,
      installation: () => installation?.current() ?? null,
    });
    try {
      const store = fileStore(command.stateDir, { durable: true });
      const identity = await identify(command, store, driver, command.name === "enroll");
      installation = await installationOf(identity, store);
      if (command.name === "run")
        await run(command, { store, driver, installation }, identity, args);
    } finally {
      await driver.close();
      letGo();
    }
  }
}

async function tellStatus({ stateDir, json }: { stateDir: string; json: boolean }): Promise<void> {
  const status = await readAgentStatus(stateDir, clock);
  process.stdout.write(json ? `${JSON.stringify(status)}\n` : statusAsText(stateDir, status));
  if (!status.running) process.exitCode = 1;
}

async function tellChecks(options: DoctorOptions): Promise<void> {
  const nodeVersion = process.versions.node;
  const checks = await examine(options, { clock, ids, agentVersion, nodeVersion, root: "/" });
  process.stdout.write(options.json ? `${JSON.stringify({ checks })}\n` : checksAsText(checks));
  if (checks.some((check) => !check.ok)) process.exitCode = 1;
}

/** One line a step; exit code 1 when one was not as it must be. */
async function tryDriver(command: DriverChoice & { image: string }): Promise<void> {
  const ports = { clock, ids, log, agentVersion };
  const options = await readDriverOptions(command);
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

/** Of the host as it is enrolled now; what an enrolment told is kept at once. */
async function installationOf(
  { enrolled }: EnrolledIdentity,
  store: StateStore,
): Promise<Installation> {
  const installation = createInstallation({ hostId: enrolled.hostId, store, log });
  await installation.load();
  await installation.told(enrolled.installation);
  return installation;
}

async function run(
  options: AgentOptions,
  parts: { store: StateStore; driver: VmDriver; installation: Installation },
  identity: EnrolledIdentity,
  args: readonly string[],
): Promise<void> {
  const { store, driver, installation } = parts;
  const { hostId } = identity.enrolled;
  // Not flushed to the disk: a power cut may take it, and nobody goes by it.
  const notes = createStatusNotes(fileStore(options.stateDir, { durable: false }), clock, {
    pid: process.pid,
    version: agentVersion,
    driver: options.driver,
    api: options.apiUrl,
    hostId,
  });
  const signingClock = { now: () => planeTime.signingNow(), sleep: clock.sleep };
  const sign = await createSigner(identity, { clock: signingClock, ids });
  const controlPlane = createHttpControlPlane({
    apiUrl: options.apiUrl,
    fetch,
    clock,
    sign,
    heard: (date) => planeTime.heard(date),
  });
  const metrics = createMetricsRegistry(AGENT_METRICS);
  const told = untilTold((signal) => log.info("agent_stopping", { host_id: hostId, signal }));
  const ending = new AbortController();
  const restart = (why: string) => {
    log.info("agent_restarting", { host_id: hostId, why });
    process.exitCode = START_ANEW;
    ending.abort(new Error(why));
  };
  const signal = AbortSignal.any([told, ending.signal]);
  const agent = createAgent({
    hostId,
    driver,
    metrics,
    controlPlane: noting(controlPlane, notes),
    planeTime,
    followWanted: createFollowWanted({
      own: agentVersion,
      home,
      store,
      clock,
      log,
      obtain: ({ manifestUrl: from, version, key, oldest }, signal) =>
        obtainAlone(
          home,
          { from, version, key, oldest, platform: PLATFORM },
          { clock, fetch, signal },
        ),
      restart,
    }),
    doorbell: (session) => createSqsDoorbell({ hostId, session, clock, log }),
    store,
    installation,
    clock,
    random: systemRandom,
    log,
    settings: options.settings,
    serveImages: options.serveImages ?? undefined,
    moves: {
      channel: createMoveChannel({ listen: options.moves, clock, log }),
      ...(options.moves && {
        mbitPerSecond: options.moves.mbitPerSecond,
        atOnce: options.moves.atOnce,
      }),
    },
  });
  const reloading = reloadOnHangUp(args, options, agent);
  await notes.started();
  log.info("agent_started", { host_id: hostId, driver: options.driver, version: agentVersion });
  const served = await serveOwnMetrics(options, { metrics, agent, agentVersion, log });
  try {
    const progress = () => agent.progress();
    const uptimeMs = systemUptimeMs;
    const own = agentVersion;
    const judged =
      home &&
      watchTrial({ home, own, progress, clock, uptimeMs, log, signal, restart }).catch(
        // The launcher judges it then.
        (error: unknown) => log.error("trial_not_judged", { error: String(error) }),
      );
    await agent.run(signal);
    await judged;
  } finally {
    await served?.close();
    reloading.stop();
  }
  log.info("agent_stopped", { host_id: hostId });
}

/** The same control plane; what became of reports is written down for `berth-agent status`. */
const noting = (controlPlane: ControlPlane, notes: StatusNotes): ControlPlane => ({
  ...controlPlane,
  async report(report, signal) {
    try {
      await controlPlane.report(report, signal);
    } catch (error) {
      await notes.failed(error);
      throw error;
    }
    await notes.acknowledged(report);
  },
});

/**
 * SIGHUP reads the config file again. Log level and limits change at once; what needs a restart is named in the log, and a
 * file with a fault changes nothing.
 */
function reloadOnHangUp(args: readonly string[], first: AgentOptions, agent: Agent) {
  let held = first;
  const reload = async () => {
    try {
      const next = await readCommand(args);
      if (next.name !== "run") return;
      const { changed, needsRestart } = compareOptions(held, first, next);
      held = next;
      agent.change(next.settings);
      log.info("config_reloaded", { changed, needs_restart: needsRestart });
      // Last, or a level of errors alone would hide that it was read.
      logLevel = next.logLevel;
    } catch (error) {
      // What was read before holds on, whatever it was: a signal ends no agent.
      const text = error instanceof Error ? error.message : String(error);
      log.error("config_not_reloaded", { error: text });
    }
  };
  // One after the other, in the order of the signals.
  let turn = Promise.resolve();
  const hangUp = () => {
    turn = turn.then(reload);
  };
  // On Windows it says that the console was closed.
  if (process.platform !== "win32") process.on("SIGHUP", hangUp);
  return { stop: () => void process.off("SIGHUP", hangUp) };
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

try {
  await main(process.argv.slice(2));
} catch (error) {
  const known = EXIT_CODES.find(([kind]) => error instanceof kind);
  const text = error instanceof Error ? error.message : String(error);
  // What is not foreseen is shown whole, for whoever must find it.
  process.stderr.write(`berth-agent: ${known || !(error instanceof Error) ? text : error.stack}\n`);
  process.exitCode = known?.[1] ?? 1;
}

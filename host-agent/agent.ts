import type { AgentSession } from "#core/contracts/agent/channel.ts";
import type { Clock, Log } from "#core/ports.ts";
import { NO_METRICS } from "#core/metrics.ts";
import { createActionJournal } from "#host-agent/converge/actions.ts";
import type { ControlPlane, IdentityRevoked } from "#host-agent/channel/control-plane.ts";
import { createCountedControlPlane } from "#host-agent/channel/counted-control-plane.ts";
import { createDesiredState } from "#host-agent/converge/desired.ts";
import { createDestroyLimit } from "#host-agent/converge/destroy-limit.ts";
import { createMadeVms } from "#host-agent/converge/made-vms.ts";
import type { VmDriver } from "./drivers/driver.ts";
import { runLoop, type Chores } from "./loop.ts";
import type { AgentMetrics, Readings } from "./metrics.ts";
import { createImageKeeper, type ImageKeeper } from "#host-agent/images/image-keeper.ts";
import { createImageServer, type ServeImages } from "#host-agent/images/serve-images.ts";
import { createMeter } from "#host-agent/meter/meter.ts";
import { createObserver, type Observer } from "#host-agent/converge/observer.ts";
import { createMoveChannel } from "#host-agent/moves/move-channel.ts";
import { realMoveFolder } from "#host-agent/moves/move-files.ts";
import { createMovers, DEFAULT_MOVING, type MovePorts } from "#host-agent/moves/movers.ts";
import { createPassQueue } from "#host-agent/converge/pass-queue.ts";
import { createPlaneTime, type PlaneTime } from "#host-agent/channel/plane-time.ts";
import { createReporter } from "#host-agent/channel/reporter.ts";
import type { DoorbellSource } from "#host-agent/channel/rings.ts";
import { createSessionKeeper, type SessionKeeper } from "#host-agent/channel/session.ts";
import { createSentReports } from "#host-agent/channel/sent-reports.ts";
import { createSpool } from "#host-agent/meter/spool.ts";
import { createInstallation, type Installation } from "#host-agent/state/installation.ts";
import type { StateStore } from "#host-agent/state/state-store.ts";
import type { FollowWanted } from "#host-agent/upgrade/follow-wanted.ts";
import { createSync, type PassRequest } from "#host-agent/converge/sync.ts";
import { freeBytes } from "./images/free-bytes.ts";
import { createSlots } from "./time-limit.ts";

export type AgentPorts = {
  hostId: string;
  driver: VmDriver;
  controlPlane: ControlPlane;
  /** Made from the session keeper, as an SQS doorbell needs its credentials. */
  doorbell: (session: SessionKeeper) => DoorbellSource;
  store: StateStore;
  /** Left out: the agent has its own, and its driver knows none. */
  installation?: Installation;
  clock: Clock;
  /** The control plane's time as its answers tell it; left out: the host's own clock is trusted. */
  planeTime?: PlaneTime;
  /** By which images are fetched; left out: the runtime's own. */
  fetchImages?: typeof fetch;
  /** Where other hosts may fetch images from this one; left out: nowhere. */
  serveImages?: ServeImages | undefined;
  /** How VMs move from and to this host; what is left out is as for a host that takes none, and gives what it is told to. */
  moves?: Partial<MovePorts> | undefined;
  /** 0 to 1, to spread timers. */
  random: () => number;
  log: Log;
  /** Brings this host to the release that staff want; left out: releases are passed over. */
  followWanted?: FollowWanted;
  /** Where it counts what it does; nowhere when left out. */
  metrics?: AgentMetrics;
  settings?: Partial<AgentSettings>;
  /** The words that it understands, as it announces them; left out: all of this source's. */
  understands?: readonly string[];
};

export type AgentSettings = {
  /** Steps under way at once. */
  concurrency: number;
  destroysPerHour: number;
  /** How long a destroyed VM's disk lies in the trash. */
  trashHours: number;
  stepLimitSeconds: number;
};
/** What may change while the agent runs. */
export type ChangeableSettings = Omit<AgentSettings, "stepLimitSeconds">;
const DEFAULT_SETTINGS: AgentSettings = {
  concurrency: 8,
  destroysPerHour: 20,
  trashHours: 7 * 24,
  stepLimitSeconds: 300,
};

/** The agent of one host. Its parts take time, state and the outside through ports alone. */
export interface Agent extends Chores {
  /** Until `signal` is aborted; then ends quietly, with every step in work cut short. Throws `IdentityRevoked`, `CorruptState`. */
  run(signal: AbortSignal): Promise<void>;
  /** One pass: resolves when no VM has a step to do (some may wait for their guest) and what was found is reported. */
  pass(request?: Partial<PassRequest>): Promise<void>;
  /** In this life: a pass saw the hypervisor and handed out its work; the control plane took a report. */
  progress(): { passDone: boolean; reached: boolean };
  /** What its metrics show besides what it counts. From memory: asks nobody. */
  readings(): Readings;
  /** For the steps that begin from now on. What is left out becomes what it is by itself. */
  change(settings: Partial<ChangeableSettings>): void;
  /** Stops all work. The driver stays open: it is the caller's. */
  close(): void;
}

export function createAgent(ports: AgentPorts): Agent {
  const { hostId, driver, store, clock, log, metrics = NO_METRICS, understands } = ports;
  let acknowledgedAt = clock.now();
  const progress = { passDone: false, reached: false };
  const controlPlane = createCountedControlPlane(ports.controlPlane, metrics, () => {
    acknowledgedAt = clock.now();
    progress.reached = true;
  });
  const planeTime = ports.planeTime ?? createPlaneTime({ clock, log });
  // What is told to the control plane, or promised by it, is in its time.
  const planeClock: Clock = { now: () => planeTime.now(), sleep: clock.sleep };
  const settings = { ...DEFAULT_SETTINGS, ...ports.settings };
  const life = new AbortController();
  const { signal } = life;
  let revoked: IdentityRevoked | null = null;
  const revoke = (error: IdentityRevoked) => {
    revoked ??= error;
    life.abort(error);
  };

  const reports = createSentReports({ store, controlPlane, planeTime });
  const desired = createDesiredState({ hostId, store, controlPlane, log, understands });
  const journal = createActionJournal(store);
  const made = createMadeVms({
    store,
    log,
    wanted: () => desired.current()?.vms ?? [],
  });
  const destroyLimit = createDestroyLimit({
    store,
    clock,
    perHour: () => settings.destroysPerHour,
  });
  const spool = createSpool(store, log);
  const reporter = createReporter({
    controlPlane: reports,
    desired,
    clock,
    log,
    signal,
    revoked: revoke,
  });
  const meter = createMeter({
    driver,
    desired,
    observer: (): Observer => observer,
    spool,
    controlPlane,
    clock: planeClock,
    log,
    signal,
  });
  const observer = createObserver({
    driver,
    clock: planeClock,
    signal,
    seen: (look) => meter.seen(look),
  });
  const stepLimitMs = settings.stepLimitSeconds * 1000;
  const movers = createMovers({
    channel: createMoveChannel({ listen: null, clock, log }),
    folder: realMoveFolder,
    ...DEFAULT_MOVING,
    ...ports.moves,
    driver,
    observer,
    reporter,
    store,
    clock,
    log,
    metrics,
    stepLimitMs,
    signal,
  });
  const sync = createSync({
    driver,
    movers,
    desired,
    observer,
    reporter,
    journal,
    made,
    destroyLimit,
    clock,
    planeNow: () => planeTime.now(),
    log,
    metrics,
    signal,
    slot: createSlots(() => settings.concurrency),
    stepLimitMs,
    initialPassword: (vmId, inner) => controlPlane.initialPassword(vmId, inner),
    beforePowerOff: async () => {
      try {
        await meter.sample();
      } catch (error) {
        // A VM must stop when it must, counted to its last byte or not.
        log.error("last_sample_failed", { error: String(error) });
      }
    },
  });
  const countPass = (outcome: "whole" | "partial" | "failed") => {
    if (!signal.aborted) metrics.count("berth_agent_passes_total", { outcome });
  };
  const passes = createPassQueue(async (request) => {
    try {
      const whole = await sync.pass(request);
      progress.passDone ||= observer.latest() !== null;
      countPass(whole ? "whole" : "partial");
      return whole;
    } catch (error) {
      countPass("failed");
      throw error;
    }
  }, revoke);
  const follow = async ({ releases }: AgentSession) => {
    try {
      reporter.findings((await ports.followWanted?.(releases, signal)) ?? []);
    } catch (error) {
      // It is told of a session again in a few minutes.
      if (!signal.aborted) log.error("follow_wanted_failed", { error: String(error) });
    }
  };
  const installation = ports.installation ?? createInstallation({ hostId, store, log });
  const session = createSessionKeeper({
    controlPlane,
    clock: planeClock,
    log,
    opened: async (answer) => {
      await installation.told(answer.installation);
      void follow(answer);
    },
  });

  const { imageFolder: folder } = driver;
  const imageServer =
    folder && ports.serveImages
      ? createImageServer({
          hostId,
          folder,
          options: ports.serveImages,
          filesOf: (sha256) => images?.filesOf(sha256) ?? [],
          clock,
          planeNow: () => planeTime.now(),
          log,
          signal,
        })
      : null;
  const images: ImageKeeper | null =
    folder &&
    createImageKeeper({
      folder,
      controlPlane,
      ...(imageServer && { serving: () => imageServer.serving() }),
      fetch: ports.fetchImages ?? fetch,
      freeBytes,
      clock,
      log,
      signal,
    });

  let loaded: Promise<void> | null = null;
  const ready = () => {
    loaded ??= Promise.all([
      installation.load(),
      desired.load(),
      journal.load(),
      made.load(),
      destroyLimit.load(),
      spool.load(),
      reports.load(),
    ]).then(() => undefined);
    return loaded;
  };

  const agent: Agent = {
    async run(outer) {
      const stop = () => life.abort(outer.reason);
      outer.addEventListener("abort", stop, { once: true });
      if (outer.aborted) stop();
      try {
        await ready();
        const doorbell = ports.doorbell(session);
        const { random } = ports;
        await runLoop({ agent, passes, doorbell, session, clock, random, log, signal });
        doorbell.close();
      } finally {
        life.abort();
        outer.removeEventListener("abort", stop);
      }
      if (revoked) throw revoked;
    },
    async pass(request = {}) {
      await ready();
      await passes.ask({ full: true, atLeast: null, ...request });
      await sync.idle();
      await reporter.flushed();
      if (revoked) throw revoked;
    },
    async sampleUsage() {
      await ready();
      return meter.sample();
    },
    async flushUsage() {
      await ready();
      return meter.flush();
    },
    emptyTrash: () =>
      driver.emptyTrash(
        new Date(planeTime.now().getTime() - settings.trashHours * 3_600_000),
        signal,
      ),
    images,
    async guardNetwork() {
      await ready();
      return sync.guard();
    },
    progress: () => ({ ...progress }),
    readings() {
      const secondsSince = (at: Date, now: Date) => Math.max(0, (+now - +at) / 1000);
      const oldest = spool.oldestAt();
      const look = observer.latest();
      const states = look && Map.groupBy(look.vms.values(), (vm) => vm.power);
      return {
        spoolSamples: spool.size(),
        spoolOldestAgeSeconds: oldest === null ? 0 : secondsSince(oldest, planeTime.now()),
        reportAgeSeconds: secondsSince(acknowledgedAt, clock.now()),
        guests: states && new Map([...states].map(([state, vms]) => [state, vms.length])),
        desiredGeneration: desired.current()?.generation ?? 0,
        clockOffsetSeconds: planeTime.offsetSeconds(),
      };
    },
    change: (next) => {
      const { stepLimitSeconds } = settings;
      Object.assign(settings, DEFAULT_SETTINGS, next, { stepLimitSeconds });
    },
    close: () => life.abort(),
  };
  return agent;
}

import path from "node:path";
import packageJson from "../package.json" with { type: "json" };
import type { Clock, IdSource, Log } from "#core/ports.ts";
import { createAgent, type Agent } from "#host-agent/agent.ts";
import { createHttpControlPlane } from "#host-agent/channel/control-plane.ts";
import { createSqsDoorbell } from "#host-agent/channel/doorbell.ts";
import type { VmDriver } from "#host-agent/drivers/driver.ts";
import type { DriverPorts } from "#host-agent/drivers/open-driver.ts";
import { CorruptState } from "#host-agent/state/saved.ts";
import { createSigner, enroll, loadIdentity } from "#host-agent/channel/identity.ts";
import { createMoveChannel } from "#host-agent/moves/move-channel.ts";
import { createInstallation, type Installation } from "#host-agent/state/installation.ts";
import { fileStore, type StateStore } from "#host-agent/state/state-store.ts";
import { systemClock, systemRandom } from "#host-agent/system.ts";

/** One host of the local stack. */
export type LocalHost = Readonly<{
  name: string;
  /** Opens its driver; whatever the driver keeps, it keeps in `folder`. */
  open: (folder: string, ports: DriverPorts) => Promise<VmDriver>;
  /** Real VMs would outlive the stack: ends those of this host, when its agent has stopped. */
  atStop?: (driver: VmDriver) => Promise<void>;
}>;

/** All hosts of the stack are this machine. */
const ANY_PORT_HERE = { address: "127.0.0.1", port: 0 } as const;

export type RunningAgent = Readonly<{
  name: string;
  hostId: string;
  agent: Agent;
  /** Looks at the host and tells all that it sees, as at each resync. One that has ended, or cannot, tells nothing. */
  tellAll: () => Promise<void>;
  stop: () => Promise<void>;
}>;

/**
 * Runs a host's real agent inside this process: the same parts that `berth-agent run` puts together, over real
 * HTTP and SQS, but on the stack's own clock, so that `/_local/clock` moves it too. Throws what its own files cannot be
 * read for (`CorruptState`), and what its first look fails with where that must be one (`DriverError`), before it runs.
 */
export async function startAgent(options: {
  host: LocalHost;
  folder: string;
  apiUrl: string;
  joinToken: () => Promise<string>;
  clock: Clock;
  ids: IdSource;
  log: Log;
  /** Where it takes VMs of other hosts; left out: at any port, another one at each start. */
  takesMovesAt?: Readonly<{ address: string; port: number }>;
  /**
   * Whoever starts a stack is told at once that a host of it cannot be seen. Otherwise it begins as `berth-agent run` does, which
   * may come up before its hypervisor: it looks again until it sees.
   */
  mustSee: boolean;
  /** The agent ended although nobody stopped it. */
  ended?: (error: unknown) => void;
}): Promise<RunningAgent> {
  const { host, clock, ids } = options;
  const log: Log = {
    info: (event, fields) => options.log.info(`agent.${event}`, { host: host.name, ...fields }),
    error: (event, fields) => options.log.error(`agent.${event}`, { host: host.name, ...fields }),
  };
  const store = fileStore(path.join(options.folder, "state"), { durable: false });
  let installation: Installation | null = null;
  const driver = await host.open(options.folder, {
    clock,
    ids,
    log,
    agentVersion: packageJson.version,
    installation: () => installation?.current() ?? null,
  });
  try {
    const identity = await enrolled(options, store, driver);
    const { hostId } = identity.enrolled;
    installation = createInstallation({ hostId, store, log });
    await installation.load();
    await installation.told(identity.enrolled.installation);
    return await startWith({ ...options, log, store, driver, identity, installation });
  } catch (error) {
    await driver.close();
    throw error;
  }
}

type Options = Parameters<typeof startAgent>[0];
type Identity = Awaited<ReturnType<typeof enroll>>;

/** The network takes real time: a clock that is moved on makes no answer late. What is signed has the stack's time. */
const networkOf = ({ apiUrl }: Options) => ({ apiUrl, fetch, clock: systemClock });

async function enrolled(options: Options, store: StateStore, driver: VmDriver): Promise<Identity> {
  const known = await loadIdentity(store);
  if (known !== null) return known;
  return await enroll(store, createHttpControlPlane({ ...networkOf(options), sign: null }), {
    joinToken: await options.joinToken(),
    facts: await driver.facts(),
  });
}

async function startWith(
  options: Options & {
    store: StateStore;
    driver: VmDriver;
    identity: Identity;
    installation: Installation;
  },
): Promise<RunningAgent> {
  const { host, clock, ids, log, store, driver, identity, installation } = options;
  const { hostId } = identity.enrolled;
  const agent = createAgent({
    hostId,
    driver,
    controlPlane: createHttpControlPlane({
      ...networkOf(options),
      sign: await createSigner(identity, { clock, ids }),
    }),
    doorbell: (session) => createSqsDoorbell({ hostId, session, clock, log }),
    store,
    installation,
    clock,
    moves: {
      channel: createMoveChannel({
        listen: options.takesMovesAt ?? ANY_PORT_HERE,
        clock: systemClock,
        log,
      }),
    },
    random: systemRandom,
    log,
  });
  if (options.mustSee) await driver.list();
  // It reads all of the agent's files first; that samples of before cannot be sent now, the agent itself sees to.
  await agent.flushUsage().catch((error: unknown) => {
    if (error instanceof CorruptState) throw error;
  });
  const stopping = new AbortController();
  const running = agent.run(stopping.signal).catch((error: unknown) => {
    log.error("ended", { error });
    options.ended?.(error);
  });
  return {
    name: host.name,
    hostId,
    agent,
    tellAll: () =>
      Promise.race([
        running,
        agent.pass().catch((error: unknown) => log.error("pass_failed", { error })),
      ]),
    stop: async () => {
      stopping.abort();
      await running;
      await host.atStop?.(driver);
      await driver.close();
    },
  };
}

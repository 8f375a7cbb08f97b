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
import { fileStore, type StateStore } from "#host-agent/state/state-store.ts";
import { systemClock, systemRandom } from "#host-agent/system.ts";

/** One host of the local stack. */
export type LocalHost = Readonly<{
  name: string;
  /** Opens its driver; whatever the driver keeps, it keeps in `folder`. */
  open: (folder: string, ports: DriverPorts) => Promise<VmDriver>;
  /** Real VMs would outlive the stack. Those that are powered off are brought back by its next start. */
  atStop?: "power_off" | "destroy";
}>;

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
 * HTTP and SQS, but on the stack's own clock, so that `/_local/clock` moves it too. Throws what its own files or its
 * driver's cannot be read for (`CorruptState`, `DriverError`), before it runs.
 */
export async function startAgent(options: {
  host: LocalHost;
  folder: string;
  apiUrl: string;
  joinToken: () => Promise<string>;
  clock: Clock;
  ids: IdSource;
  log: Log;
  /** The agent ended although nobody stopped it. */
  ended?: (error: unknown) => void;
}): Promise<RunningAgent> {
  const { host, clock, ids } = options;
  const log: Log = {
    info: (event, fields) => options.log.info(`agent.${event}`, { host: host.name, ...fields }),
    error: (event, fields) => options.log.error(`agent.${event}`, { host: host.name, ...fields }),
  };
  const store = fileStore(path.join(options.folder, "state"), { durable: false });
  const driver = await host.open(options.folder, {
    clock,
    ids,
    log,
    agentVersion: packageJson.version,
  });
  try {
    return await startWith({ ...options, log, store, driver });
  } catch (error) {
    await driver.close();
    throw error;
  }
}

async function startWith(
  options: Parameters<typeof startAgent>[0] & { store: StateStore; driver: VmDriver },
): Promise<RunningAgent> {
  const { host, clock, ids, apiUrl, log, store, driver } = options;
  // The network takes real time: a clock that is moved on makes no answer late. What is signed has the stack's time.
  const network = { apiUrl, fetch, clock: systemClock };
  const known = await loadIdentity(store);
  const identity =
    known ??
    (await enroll(store, createHttpControlPlane({ ...network, sign: null }), {
      joinToken: await options.joinToken(),
      facts: await driver.facts(),
    }));
  const { hostId } = identity.enrolled;
  const agent = createAgent({
    hostId,
    driver,
    controlPlane: createHttpControlPlane({
      ...network,
      sign: await createSigner(identity, { clock, ids }),
    }),
    doorbell: (session) => createSqsDoorbell({ hostId, session, clock, log }),
    store,
    clock,
    random: systemRandom,
    log,
  });
  await driver.list();
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
      for (const vm of host.atStop === undefined ? [] : await driver.list())
        if (host.atStop === "destroy") await driver.destroy(vm);
        else if (vm.power !== "off") await driver.stop(vm, "firm");
      await driver.close();
    },
  };
}

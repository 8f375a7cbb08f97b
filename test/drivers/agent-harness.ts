import { createAgent, type Agent, type AgentSettings } from "#host-agent/agent.ts";
import type { AgentMetrics } from "#host-agent/metrics.ts";
import type { FollowWanted } from "#host-agent/upgrade/follow-wanted.ts";
import type { ControlPlane } from "#host-agent/channel/control-plane.ts";
import { NO_DELAYS } from "#host-agent/drivers/simulated/delays.ts";
import {
  createSimulatedDriver,
  type SimulatedOptions,
} from "#host-agent/drivers/simulated/driver.ts";
import { memoryWorld, type SimulatedWorld } from "#host-agent/drivers/simulated/world.ts";
import { createMemoryDoorbell } from "#host-agent/channel/rings.ts";
import { createInstallation } from "#host-agent/state/installation.ts";
import { memoryStore, type StateStore } from "#host-agent/state/state-store.ts";
import { randomIds } from "./builders.ts";
import { createFakeControlPlane, type FakeControlPlane } from "./fake-control-plane.ts";
import { createVirtualClock, type VirtualClock } from "./virtual-clock.ts";

/** One simulated host with its agent, all in one process on a clock of the test's own. */
export type TestHost = {
  plane: FakeControlPlane;
  clock: VirtualClock;
  world: SimulatedWorld;
  store: StateStore;
  doorbell: ReturnType<typeof createMemoryDoorbell>;
  agent: Agent;
  /** Events that were logged as errors. */
  errors: string[];
  /** The agent dies, and another begins on the same host and state. */
  restart(): Agent;
};

type Over = {
  /** Its disk, where it is not a plain one. */
  store?: StateStore;
  /** The hypervisor's own: another agent may be on it. */
  world?: SimulatedWorld;
  driver?: Partial<SimulatedOptions>;
  settings?: Partial<AgentSettings>;
  plane?: FakeControlPlane;
  metrics?: AgentMetrics;
  followWanted?: FollowWanted;
  /** Stands between the agent and its control plane. */
  wrap?: (plane: ControlPlane) => ControlPlane;
};

export function createTestHost(over: Over = {}): TestHost {
  const plane = over.plane ?? createFakeControlPlane();
  const clock = createVirtualClock();
  const world = over.world ?? memoryWorld();
  const store = over.store ?? memoryStore();
  const doorbell = createMemoryDoorbell();
  const errors: string[] = [];
  const log = { info: () => undefined, error: (event: string) => void errors.push(event) };
  const begin = () => {
    const installation = createInstallation({ hostId: plane.hostId, store, log });
    return createAgent({
      hostId: plane.hostId,
      installation,
      driver: createSimulatedDriver({
        installation: () => installation.current(),
        world,
        clock,
        ids: randomIds,
        delays: NO_DELAYS,
        ...over.driver,
      }),
      controlPlane: over.wrap?.(plane) ?? plane,
      doorbell: () => doorbell,
      store,
      clock,
      random: () => 0.5,
      log,
      ...(over.metrics ? { metrics: over.metrics } : {}),
      ...(over.followWanted ? { followWanted: over.followWanted } : {}),
      ...(over.settings ? { settings: over.settings } : {}),
    });
  };
  const host: TestHost = {
    plane,
    clock,
    world,
    store,
    doorbell,
    agent: begin(),
    errors,
    restart() {
      host.agent.close();
      host.agent = begin();
      return host.agent;
    },
  };
  return host;
}

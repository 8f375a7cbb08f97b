import { expect, test } from "vitest";
import type { DesiredVm } from "#core/contracts/agent/desired.ts";
import { createAgent } from "#host-agent/agent.ts";
import { NO_DELAYS } from "#host-agent/drivers/simulated/delays.ts";
import { createSimulatedDriver } from "#host-agent/drivers/simulated/driver.ts";
import { runAt } from "#host-agent/drivers/simulated/guest.ts";
import { memoryWorld } from "#host-agent/drivers/simulated/world.ts";
import { createMemoryDoorbell } from "#host-agent/channel/rings.ts";
import { memoryStore } from "#host-agent/state/state-store.ts";
import { aDesiredVm, randomIds } from "./builders.ts";
import { createFakeControlPlane } from "./fake-control-plane.ts";
import { dyingAfter, mortalControlPlane, mortalStore, type Step } from "./mortal.ts";
import { createVirtualClock } from "./virtual-clock.ts";

/** One host whose agents die and follow one another, on memory that outlives them. */
function createHost() {
  const plane = createFakeControlPlane();
  const clock = createVirtualClock();
  const world = memoryWorld();
  const store = memoryStore();
  /** How often the driver was let to make each change. */
  const done = new Map<string, number>();
  const agentWith = (step: Step) =>
    createAgent({
      hostId: plane.hostId,
      driver: createSimulatedDriver({
        world,
        clock,
        ids: randomIds,
        delays: NO_DELAYS,
        faults: async (point) => {
          const place = `${point.operation} ${point.step}`;
          await step(place);
          done.set(place, (done.get(place) ?? 0) + 1);
        },
      }),
      controlPlane: mortalControlPlane(plane, step),
      doorbell: createMemoryDoorbell,
      store: mortalStore(store, step),
      clock,
      random: () => 0.5,
      log: { info: () => undefined, error: () => undefined },
    });
  const host = {
    plane,
    world,
    clock,
    done,
    /** Runs a pass until the agent dies at its `lives`-th step. Returns whether it lived to the end. */
    async passUntil(lives: number): Promise<boolean> {
      const mortality = dyingAfter(lives);
      const agent = agentWith(mortality.step);
      const pass = agent.pass().then(() => "ended" as const);
      for (let turns = 0; turns < 1000; turns++) {
        const state = await Promise.race([
          pass,
          host.clock.advance(1).then(() => "works" as const),
        ]);
        if (state === "works" && !mortality.isDead()) continue;
        agent.close();
        return state === "ended";
      }
      throw new Error("neither dead nor done");
    },
  };
  return host;
}

type Chapter = {
  name: string;
  over: Partial<DesiredVm>;
  ends: string;
  /** Its guest runs on. */
  live?: true;
};
const ACTION = "0190f000-0000-7000-8000-00000000000a";
const limited = (bandwidthMbit: number, diskIops: number): Partial<DesiredVm> => ({
  nics: aDesiredVm().nics.map((nic) => ({ ...nic, bandwidthMbit })),
  diskIops,
});
const LARGER = { vcpus: 2, memoryMib: 128, diskGib: 2 };
/** Past what it was started with. */
const LARGEST = { vcpus: 8, memoryMib: 512, diskGib: 2 };
/** A whole life: each chapter is a change of desire, and how the VM must be after it. */
const LIFE: readonly Chapter[] = [
  { name: "create and start", over: {}, ends: "on 1/128/1" },
  { name: "reset", over: { pendingActions: [{ id: ACTION, type: "reset" }] }, ends: "on 1/128/1" },
  // 6a 2
  {
    name: "resize while it runs",
    over: { size: LARGER, ...limited(40, 700), pendingActions: [] },
    ends: "on 2/128/2 40/700",
    live: true,
  },
  {
    name: "resize behind a stop",
    over: { size: LARGEST, ...limited(80, 300) },
    ends: "on 8/512/2 80/300",
  },
  { name: "stop", over: { power: "off" }, ends: "off 8/512/2 80/300" },
  { name: "destroy", over: { presence: "absent" }, ends: "gone" },
];

async function howItIs(host: ReturnType<typeof createHost>, vmId: string): Promise<string> {
  const vm = await host.world.vm(vmId);
  if (vm === null) return "gone";
  const { vcpus, memoryMib, diskGib } = vm.size;
  const { bandwidthMbit = null, diskIops = null } = vm.limits ?? {};
  const limits = bandwidthMbit === null ? "" : ` ${bandwidthMbit}/${diskIops}`;
  const power = runAt(vm, host.clock.now().getTime()) ? "on" : "off";
  return `${power} ${vcpus}/${memoryMib}/${diskGib}${limits}`;
}

test.each(LIFE.map((chapter, at) => [chapter.name, at] as const))(
  "an agent that dies at any step of %s leaves a state from which the next one finishes",
  async (_name, at) => {
    let lives = 0;
    for (let lived = false; !lived; lives++) {
      const host = createHost();
      const vm = aDesiredVm();
      host.plane.want([vm]);
      for (const chapter of LIFE.slice(0, at)) {
        host.plane.change(vm.vmId, chapter.over);
        expect(await host.passUntil(Infinity)).toBe(true);
        await host.clock.advance(60_000);
      }
      const chapter = LIFE[at];
      if (!chapter) throw new Error("no such chapter");
      const before = (await host.world.vm(vm.vmId))?.disk?.serial;
      host.plane.change(vm.vmId, chapter.over);
      host.done.clear();
      lived = await host.passUntil(lives);
      // The second dies as well, a little later; the third lives.
      await host.passUntil(lives + 3);
      expect(await host.passUntil(Infinity)).toBe(true);
      expect(await howItIs(host, vm.vmId), `died at step ${lives + 1}`).toBe(chapter.ends);
      expect(host.plane.last(vm.vmId)).toMatchObject({ settled: true, error: null });
      const disks = [...(await host.world.vms()).map((v) => v.disk), ...(await host.world.trash())];
      expect(disks).toHaveLength(1);
      // Before the first chapter there was none to keep.
      expect(disks[0]?.serial).toBe(before ?? disks[0]?.serial);
      const repeated = ["create disk", "start power_on", "once done"].filter(
        (place) => (host.done.get(place) ?? 0) > 1,
      );
      expect(repeated).toEqual([]);
      const stops = [...host.done.keys()].filter((place) => place.startsWith("stop "));
      expect(chapter.live ? stops : []).toEqual([]);
    }
    // Each chapter is several steps; a story in which nothing could be cut would prove nothing.
    expect(lives).toBeGreaterThan(5);
  },
);

import { decodeJwt } from "jose";
import { describe, expect, test } from "vitest";
import { createAgent } from "#host-agent/agent.ts";
import { createHttpControlPlane } from "#host-agent/channel/control-plane.ts";
import { createSigner, enroll } from "#host-agent/channel/identity.ts";
import { createPlaneTime } from "#host-agent/channel/plane-time.ts";
import { createMemoryDoorbell } from "#host-agent/channel/rings.ts";
import { NO_DELAYS } from "#host-agent/drivers/simulated/delays.ts";
import { createSimulatedDriver } from "#host-agent/drivers/simulated/driver.ts";
import { memoryWorld } from "#host-agent/drivers/simulated/world.ts";
import { memoryStore } from "#host-agent/state/state-store.ts";
import { hostFacts } from "#test/builders.ts";
import { aDesiredVm, randomIds } from "#test/drivers/builders.ts";
import { createFakeControlPlane } from "#test/drivers/fake-control-plane.ts";
import { createVirtualClock } from "#test/drivers/virtual-clock.ts";

/* 4b B8: a host's clock is off, and nobody is stopped early or runs on for it. */

const quiet = { info: () => undefined, error: () => undefined };
const HOUR = 3_600_000;

/** A host whose clock is off from the control plane's by `offMs`; each answer of the control plane tells its time. */
function aHostOff(offMs: number) {
  const clock = createVirtualClock();
  const planeMs = () => clock.now().getTime() - offMs;
  const plane = createFakeControlPlane(0);
  const start = clock.now().getTime();
  const planeTime = createPlaneTime({
    clock,
    uptimeMs: () => clock.now().getTime() - start,
    log: quiet,
  });
  const heard = async <T>(answer: Promise<T>): Promise<T> => {
    const value = await answer;
    planeTime.heard(new Date(planeMs()));
    return value;
  };
  const agent = createAgent({
    hostId: plane.hostId,
    driver: createSimulatedDriver({
      world: memoryWorld(),
      clock: { now: () => planeTime.now(), sleep: clock.sleep },
      ids: randomIds,
      delays: NO_DELAYS,
    }),
    controlPlane: {
      ...plane,
      desired: (have, signal) => heard(plane.desired(have, signal)),
      report: (report, signal) => heard(plane.report(report, signal)),
    },
    planeTime,
    doorbell: () => createMemoryDoorbell(),
    store: memoryStore(),
    clock,
    random: () => 0.5,
    log: quiet,
  });
  return { plane, agent, planeMs };
}

test.each([
  { off: 240 * HOUR, leaseFor: HOUR, power: "running", what: "ahead stops nobody early" },
  { off: -240 * HOUR, leaseFor: -HOUR, power: "off", what: "behind lets nobody run on" },
])("a host's clock that is $what", async ({ off, leaseFor, power }) => {
  const { plane, agent, planeMs } = aHostOff(off);
  const vm = aDesiredVm({
    entitledUntil: new Date(planeMs() + 5 * HOUR).toISOString(),
    stopMode: "firm",
  });
  plane.want([vm]);
  await agent.pass();
  expect(plane.last(vm.vmId)?.observed?.power).toBe("running");
  plane.change(vm.vmId, { entitledUntil: new Date(planeMs() + leaseFor).toISOString() });
  await agent.pass();
  expect(plane.last(vm.vmId)?.observed?.power).toBe(power);
  // It says by how much, too.
  expect(plane.reports.at(-1)?.clockOffsetSeconds).toBe(off / 1000);
  agent.close();
});

test.each([240 * HOUR, -240 * HOUR])(
  "a clock that is off by %d ms empties no trash before its week is over",
  async (off) => {
    const { plane, agent } = aHostOff(off);
    const vm = aDesiredVm({ stopMode: "firm" });
    plane.want([vm]);
    await agent.pass();
    plane.change(vm.vmId, { presence: "absent", power: "off" });
    await agent.pass();
    expect(plane.last(vm.vmId)).toMatchObject({ observed: null });
    expect(await agent.emptyTrash()).toBe(0);
    agent.close();
  },
);

test("what an answer says the time is counts only when it came within the request's time", async () => {
  let now = Date.UTC(2026, 10, 29);
  const clock = { now: () => new Date(now), sleep: createVirtualClock().sleep };
  const heard: string[] = [];
  let tookMs = 0;
  const plane = createHttpControlPlane({
    apiUrl: "http://berth.test",
    clock,
    sign: null,
    timeLimitMs: 15_000,
    heard: (date) => heard.push(date.toISOString()),
    fetch: async () => {
      const headers = { date: clock.now().toUTCString() };
      // As a host is that was suspended while it waited: its time-out did not pass, its clock did.
      now += tookMs;
      return Response.json({ accepted: 0, ignored: 0 }, { headers });
    },
  });
  const report = () =>
    plane.report({ desiredGeneration: 1, vms: [], actions: [], strangers: [], facts: null });
  await report();
  tookMs = 3 * 24 * HOUR;
  await report();
  expect(heard).toHaveLength(1);
});

describe("a request that is refused for the clock", () => {
  async function aSigningAgent(options: { off: number; corrects: boolean }) {
    const clock = createVirtualClock();
    const planeS = () => Math.floor((clock.now().getTime() - options.off) / 1000);
    const asked: number[] = [];
    const planeTime = createPlaneTime({ clock, log: quiet });
    const identity = await enroll(memoryStore(), createFakeControlPlane(), {
      joinToken: "berth-join-for-the-clock",
      facts: hostFacts(),
    });
    const sign = await createSigner(identity, {
      clock: { now: () => planeTime.signingNow(), sleep: clock.sleep },
      ids: randomIds,
    });
    const plane = createHttpControlPlane({
      apiUrl: "http://berth.test",
      clock,
      sign,
      ...(options.corrects ? { heard: (date: Date) => planeTime.heard(date) } : {}),
      fetch: async (_, init) => {
        const token = new Headers(init?.headers).get("authorization")?.slice("Bearer ".length);
        const offset = Number(decodeJwt(token ?? "").iat) - planeS();
        asked.push(offset);
        const headers = { date: new Date(planeS() * 1000).toUTCString() };
        return Math.abs(offset) > 30
          ? Response.json(
              { code: "agent_clock_off", detail: `${offset} s` },
              { status: 401, headers },
            )
          : Response.json({ accepted: 0, ignored: 0 }, { headers });
      },
    });
    const report = () =>
      plane.report({ desiredGeneration: 1, vms: [], actions: [], strangers: [], facts: null });
    return { report, asked };
  }

  test.each([95_000, -95_000, 20 * HOUR])(
    "is signed anew by the answer's Date, by %d ms",
    async (off) => {
      const { report, asked } = await aSigningAgent({ off, corrects: true });
      await report();
      await report();
      expect(asked).toEqual([off / 1000, 0, 0]);
    },
  );

  test("is asked once more and no more where that does not help", async () => {
    const { report, asked } = await aSigningAgent({ off: 30 * HOUR, corrects: true });
    await expect(report()).rejects.toMatchObject({ status: 401, code: "agent_clock_off" });
    expect(asked).toEqual([108_000, 108_000]);
  });

  test("is not asked again by who learns nothing of it", async () => {
    const { report, asked } = await aSigningAgent({ off: 95_000, corrects: false });
    await expect(report()).rejects.toMatchObject({ code: "agent_clock_off" });
    expect(asked).toEqual([95]);
  });
});

import { describe, expect, test } from "vitest";
import type { UsageSample } from "#core/contracts/agent.ts";
import { ControlPlaneError } from "#host-agent/channel/control-plane.ts";
import { countersAt, runAt } from "#host-agent/drivers/simulated/guest.ts";
import { createTestHost, type TestHost } from "#test/drivers/agent-harness.ts";
import { aDesiredVm } from "#test/drivers/builders.ts";
import { unreachable } from "#test/drivers/fake-control-plane.ts";

const MINUTE = 60_000;

async function running(over: Parameters<typeof createTestHost>[0] = {}) {
  const host = createTestHost(over);
  const vm = aDesiredVm();
  host.plane.want([vm]);
  await host.agent.pass();
  return { host, vm };
}

const samplesOf = (host: TestHost): UsageSample[] =>
  [...host.plane.samples.values()].sort((a, b) => (a.from < b.from ? -1 : 1));
const sent = (samples: readonly UsageSample[]) =>
  samples.reduce((sum, sample) => sum + BigInt(sample.txBytes[0] ?? 0), 0n);

/** What the host itself counted since the VM's boot epoch began. */
async function counted(host: TestHost) {
  const now = host.clock.now().getTime();
  const [vm] = await host.world.vms();
  const run = vm && runAt(vm, now);
  return run ? (countersAt(vm, run, now).txBytes[0] ?? 0n) : 0n;
}

describe("the meter", () => {
  test("sends deltas that follow one another without a gap and add up to the counters", async () => {
    const { host } = await running();
    for (let n = 0; n < 3; n++) {
      await host.clock.advance(MINUTE);
      expect(await host.agent.sampleUsage()).toBe(1);
    }
    expect(await host.agent.flushUsage()).toBe(3);
    const samples = samplesOf(host);
    expect(samples.map((sample) => sample.seq)).toEqual([0, 1, 2]);
    expect(samples[1]?.from).toBe(samples[0]?.to);
    expect(samples[2]?.from).toBe(samples[1]?.to);
    expect(new Set(samples.map((sample) => sample.bootEpoch)).size).toBe(1);
    expect(sent(samples)).toBeGreaterThan(0n);
    expect(sent(samples)).toBe(await counted(host));
  });

  test("neither loses nor doubles a byte when the agent dies, whenever that is", async () => {
    const { host } = await running();
    const dieAt = async (step: () => Promise<unknown>) => {
      await host.clock.advance(MINUTE);
      await step();
      host.restart();
    };
    await dieAt(() => host.agent.sampleUsage());
    await dieAt(async () => undefined);
    await dieAt(async () => {
      await host.agent.sampleUsage();
      host.plane.loseUsageAnswer = true;
      await expect(host.agent.flushUsage()).rejects.toThrow("down for the test");
    });
    await dieAt(async () => {
      await host.agent.sampleUsage();
      await host.agent.flushUsage();
    });
    await host.agent.sampleUsage();
    await host.clock.advance(MINUTE);
    await host.agent.sampleUsage();
    await host.agent.flushUsage();
    const samples = samplesOf(host);
    expect(samples.map((sample) => sample.seq)).toEqual(samples.map((_, n) => n));
    for (const [n, sample] of samples.slice(1).entries()) expect(sample.from).toBe(samples[n]?.to);
    const last = Date.parse(samples.at(-1)?.to ?? "") - Date.parse(samples[0]?.from ?? "");
    expect(last).toBe(5 * MINUTE);
    expect(sent(samples)).toBe(await counted(host));
  });

  test("counts from a VM's start, also when the agent died before the first sample", async () => {
    const { host } = await running();
    host.restart();
    await host.clock.advance(60 * MINUTE);
    await host.agent.pass();
    await host.agent.sampleUsage();
    await host.agent.flushUsage();
    const [sample] = samplesOf(host);
    expect(Date.parse(sample?.to ?? "") - Date.parse(sample?.from ?? "")).toBe(60 * MINUTE);
    expect(sent(samplesOf(host))).toBe(await counted(host));
  });

  test("begins a new sequence with a new boot epoch, where the last one ended", async () => {
    const { host, vm } = await running();
    await host.clock.advance(MINUTE);
    host.plane.change(vm.vmId, { power: "off", stopMode: "firm" });
    await host.agent.pass();
    await host.clock.advance(MINUTE);
    host.plane.change(vm.vmId, { power: "running" });
    await host.agent.pass();
    await host.clock.advance(MINUTE);
    await host.agent.sampleUsage();
    await host.agent.flushUsage();
    const [first, second] = samplesOf(host);
    expect(samplesOf(host)).toHaveLength(2);
    // The first was taken when the VM was about to stop.
    expect(Number(first?.txBytes[0])).toBeGreaterThan(0);
    expect(Date.parse(first?.to ?? "") - Date.parse(first?.from ?? "")).toBe(MINUTE);
    expect([second?.seq, second?.from]).toEqual([0, first?.to]);
    expect(second?.bootEpoch).not.toBe(first?.bootEpoch);
    expect(second?.txBytes).toEqual(first?.txBytes);
  });

  test("goes on counting a VM that runs when its marks are lost, and counts nothing twice", async () => {
    const { host } = await running();
    const sampleOfAMinute = async () => {
      await host.clock.advance(MINUTE);
      await host.agent.sampleUsage();
      await host.agent.flushUsage();
    };
    for (let n = 0; n < 3; n++) await sampleOfAMinute();
    await host.store.remove("meter.json");
    host.restart();
    await host.agent.pass();
    // The first one counts from the boot on, under a number that is taken: it is refused.
    await sampleOfAMinute();
    expect(samplesOf(host).map((sample) => sample.seq)).toEqual([0, 1, 2]);
    const before = await counted(host);
    await sampleOfAMinute();
    const last = samplesOf(host).at(-1);
    expect(samplesOf(host).map((sample) => sample.seq)).toEqual([0, 1, 2, 3]);
    expect(BigInt(last?.txBytes[0] ?? 0)).toBe((await counted(host)) - before);
  });

  test("counts what a VM used until it was destroyed", async () => {
    const { host, vm } = await running();
    await host.clock.advance(MINUTE);
    host.plane.change(vm.vmId, { presence: "absent" });
    await host.agent.pass();
    expect(await host.agent.flushUsage()).toBe(1);
    expect(await host.agent.sampleUsage()).toBe(0);
  });

  test("bills nothing that is not desired here in the epoch of its tag", async () => {
    const { host, vm } = await running();
    await host.clock.advance(MINUTE);
    host.plane.change(vm.vmId, { ownerEpoch: 2 });
    await host.agent.pass();
    expect(await host.agent.sampleUsage()).toBe(0);
    host.plane.want([]);
    await host.agent.pass();
    expect(await host.agent.sampleUsage()).toBe(0);
  });

  test("keeps samples while the control plane is away, and sends them oldest first", async () => {
    const { host } = await running();
    host.plane.outage = unreachable();
    for (let n = 0; n < 5; n++) {
      await host.clock.advance(MINUTE);
      await host.agent.sampleUsage();
      await expect(host.agent.flushUsage()).rejects.toThrow("down for the test");
    }
    host.plane.outage = null;
    host.restart();
    expect(await host.agent.flushUsage()).toBe(5);
    expect([...host.plane.samples.values()].map((sample) => sample.seq)).toEqual([0, 1, 2, 3, 4]);
    expect(await host.store.list("spool")).toEqual([]);
  });

  test("puts aside a batch that is refused for good, and a page that cannot be read", async () => {
    const { host } = await running();
    const sample = async () => {
      await host.clock.advance(MINUTE);
      await host.agent.sampleUsage();
    };
    await sample();
    host.plane.outage = new ControlPlaneError(422, "invalid", "not understood");
    expect(await host.agent.flushUsage()).toBe(0);
    host.plane.outage = null;
    await sample();
    const [page] = await host.store.list("spool");
    await host.store.write(`spool/${page}`, '{"samples":[{"vmId');
    host.restart();
    await sample();
    expect(await host.agent.flushUsage()).toBe(1);
    expect(await host.store.list("spool-refused")).toHaveLength(2);
    // The page's marks went with it, so its bytes are in the sample after it.
    expect(sent(samplesOf(host))).toBeGreaterThan(0n);
  });
});

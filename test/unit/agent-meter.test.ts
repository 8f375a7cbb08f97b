import { describe, expect, test } from "vitest";
import type { DesiredMove } from "#core/contracts/agent/moves.ts";
import type { UsageSample } from "#core/contracts/agent/usage.ts";
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
  const [vm] = await host.world.vms();
  return countedOf(host, vm?.vmId ?? "");
}
async function countedOf(host: TestHost, vmId: string) {
  const now = host.clock.now().getTime();
  const vm = await host.world.vm(vmId);
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

  test("counts a VM that was named no longer, and is again, from where it had been counted", async () => {
    const { host, vm } = await running();
    await host.clock.advance(MINUTE);
    await host.agent.sampleUsage();
    await host.agent.flushUsage();
    const before = sent(samplesOf(host));
    host.plane.want([]);
    await host.agent.pass();
    await host.agent.flushUsage();
    host.plane.want([vm]);
    await host.agent.pass();
    await host.clock.advance(MINUTE);
    await host.agent.sampleUsage();
    await host.agent.flushUsage();
    expect(samplesOf(host).map((sample) => sample.seq)).toEqual([0, 1]);
    expect(sent(samplesOf(host))).toBe(2n * before);
  });

  test("counts a VM that moved away, and came again in another epoch, from when it came", async () => {
    const { host, vm } = await running();
    await host.clock.advance(MINUTE);
    await host.agent.sampleUsage();
    await host.agent.flushUsage();
    const left = await host.world.vm(vm.vmId);
    if (left?.run == null) throw new Error("it does not run");
    await host.clock.advance(MINUTE);
    const cameAt = host.clock.now();
    const run = { ...left.run, bootEpoch: "of-its-return", startedAt: cameAt.getTime() };
    await host.world.putVm({ ...left, ownerEpoch: vm.ownerEpoch + 2, run });
    host.plane.change(vm.vmId, { ownerEpoch: vm.ownerEpoch + 2 });
    await host.agent.pass();
    await host.clock.advance(MINUTE);
    await host.agent.sampleUsage();
    host.restart();
    await host.agent.pass();
    await host.clock.advance(MINUTE);
    await host.agent.sampleUsage();
    await host.agent.flushUsage();
    const since = samplesOf(host).filter(({ bootEpoch }) => bootEpoch === "of-its-return");
    expect(since.map(({ seq }) => seq)).toEqual([0, 1]);
    expect(Date.parse(since[0]?.from ?? "")).toBeGreaterThanOrEqual(cameAt.getTime());
    expect(sent(since)).toBe(await counted(host));
  });

  test("counts nobody who is moved here and runs already until that is taken over, and then all that the guest did here", async () => {
    const { host, vm } = await running();
    const here = await host.world.vm(vm.vmId);
    if (here?.run == null) throw new Error("it does not run");
    const arrivedAt = host.clock.now().getTime();
    const run = { ...here.run, bootEpoch: "of-its-arrival", startedAt: arrivedAt };
    await host.world.putVm({ ...here, ownerEpoch: 2, run });
    const move: DesiredMove = {
      id: "6f9619ff-8b86-4d01-b42d-00cf4fc964ff",
      role: "destination",
      step: "copy",
      method: "live",
      epoch: 2,
      format: "simulated",
      address: { host: "here", port: 1 },
      key: Buffer.alloc(32).toString("base64url"),
      mbitPerSecond: null,
      disk: null,
    };
    host.plane.change(vm.vmId, { ownerEpoch: 2, move, power: "off" });
    await host.agent.pass();
    await host.clock.advance(MINUTE);
    const before = await host.agent.sampleUsage();
    host.plane.change(vm.vmId, { ownerEpoch: 2, move: undefined, power: "running" });
    await host.agent.pass();
    const takenOverAt = host.clock.now().getTime();
    await host.clock.advance(MINUTE);
    await host.agent.sampleUsage();
    await host.agent.flushUsage();
    const since = samplesOf(host).filter(({ bootEpoch }) => bootEpoch === "of-its-arrival");
    expect(before).toBe(0);
    // Its source tells of the time before.
    expect(Date.parse(since[0]?.from ?? "")).toBeGreaterThanOrEqual(takenOverAt);
    expect(sent(since)).toBe(await counted(host));
  });

  test("forgets where it was with a VM that is no more, and is not named any more", async () => {
    const { host, vm } = await running();
    await host.clock.advance(MINUTE);
    host.plane.change(vm.vmId, { presence: "absent" });
    await host.agent.pass();
    await host.agent.flushUsage();
    host.plane.want([aDesiredVm()]);
    await host.agent.pass();
    await host.clock.advance(MINUTE);
    await host.agent.sampleUsage();
    await host.agent.flushUsage();
    expect(await host.store.read("meter.json")).not.toContain(vm.vmId);
  });

  test("has nothing to send before it has counted, and finds no fault with that", async () => {
    const { host } = await running();
    // The page that says from when on the VM is counted.
    expect(await host.store.list("spool")).toHaveLength(1);
    expect(await host.agent.flushUsage()).toBe(0);
    expect(await host.store.list("spool")).toEqual([]);
    expect(host.errors).toEqual([]);
  });

  test("writes nothing where nothing is counted, and counts nobody before it knows what is desired", async () => {
    const { host } = await running();
    host.plane.want([]);
    await host.agent.pass();
    await host.agent.flushUsage();
    await host.clock.advance(MINUTE);
    expect(await host.agent.sampleUsage()).toBe(0);
    expect(await host.store.list("spool")).toEqual([]);
    await host.store.remove("desired-2.json");
    host.restart();
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

  test("puts aside a page that cannot be read", async () => {
    const { host } = await running();
    const sample = async () => {
      await host.clock.advance(MINUTE);
      await host.agent.sampleUsage();
    };
    await sample();
    const page = (await host.store.list("spool")).at(-1);
    await host.store.write(`spool/${page}`, '{"samples":[{"vmId');
    host.restart();
    await sample();
    expect(await host.agent.flushUsage()).toBe(1);
    expect(await host.store.list("spool-refused")).toHaveLength(1);
    // The page's marks went with it, so its bytes are in the sample after it.
    expect(sent(samplesOf(host))).toBe(await counted(host));
  });
});

describe("usage that the control plane refuses as a whole", () => {
  /** A host with `vms` VMs, and a control plane that takes no batch in which there is a sample that is `bad`. */
  async function refusing(bad: (sample: UsageSample) => boolean, vms: number, status = 400) {
    const host = createTestHost();
    const wanted = Array.from({ length: vms }, () => aDesiredVm());
    host.plane.want(wanted);
    await host.agent.pass();
    const refusal = { bad, calls: 0, most: 0 };
    const take = host.plane.sendUsage.bind(host.plane);
    host.plane.sendUsage = async (batch, signal) => {
      refusal.calls += 1;
      refusal.most = Math.max(refusal.most, batch.samples.length);
      if (batch.samples.some((sample) => refusal.bad(sample)))
        throw new ControlPlaneError(status, "invalid_request", "not understood");
      return take(batch, signal);
    };
    const sample = async () => {
      await host.clock.advance(MINUTE);
      await host.agent.sampleUsage();
    };
    return { host, refusal, sample, vmIds: wanted.map((vm) => vm.vmId) };
  }

  test.each([400, 413, 422])(
    "with %i is halved until one sample stands alone: only that is put aside",
    async (status) => {
      const { host, refusal, sample, vmIds } = await refusing(() => false, 100, status);
      refusal.bad = ({ vmId, seq }) => vmId === vmIds[71] && seq === 1;
      for (let n = 0; n < 3; n++) await sample();
      expect(await host.agent.flushUsage()).toBe(299);
      expect(host.plane.samples.size).toBe(299);
      expect(await host.store.list("spool")).toEqual([]);
      expect(await host.store.list("spool-refused")).toHaveLength(1);
      expect(refusal.calls).toBeLessThan(25);
      expect(host.errors).toContain("usage_sample_not_taken");
    },
  );

  test("is asked about again after a start and after a day, and then counts", async () => {
    const { host, refusal, sample, vmIds } = await refusing(() => false, 2);
    refusal.bad = ({ vmId }) => vmId === vmIds[0];
    await sample();
    expect(await host.agent.flushUsage()).toBe(1);
    await sample();
    expect(await host.agent.flushUsage()).toBe(1);
    expect(await host.store.list("spool-refused")).toHaveLength(2);
    // Not within the day.
    refusal.bad = () => false;
    await host.agent.flushUsage();
    expect(host.plane.samples.size).toBe(2);
    await host.clock.advance(24 * 60 * MINUTE);
    await host.agent.flushUsage();
    expect(host.plane.samples.size).toBe(4);
    expect(await host.store.list("spool-refused")).toEqual([]);

    refusal.bad = ({ vmId }) => vmId === vmIds[1];
    await sample();
    await host.agent.flushUsage();
    refusal.bad = () => false;
    host.restart();
    await host.agent.flushUsage();
    expect(host.plane.samples.size).toBe(6);
    expect(sent(samplesOf(host))).toBe(
      (await Promise.all(vmIds.map((id) => countedOf(host, id)))).reduce((a, b) => a + b, 0n),
    );
  });

  test("when nothing at all is taken, all of it waits where it is", async () => {
    const { host, refusal, sample } = await refusing(() => true, 100);
    for (let n = 0; n < 3; n++) await sample();
    expect(await host.agent.flushUsage()).toBe(0);
    const first = refusal.calls;
    expect(first).toBeLessThanOrEqual(2 * (40 + 10) + 2);
    expect(await host.agent.flushUsage()).toBe(0);
    expect(refusal.calls - first).toBeLessThanOrEqual(2 * (10 + 10) + 2);
    expect(await host.store.list("spool-refused")).toEqual([]);
    expect(host.errors).toContain("usage_not_taken");
    refusal.bad = () => false;
    expect(await host.agent.flushUsage()).toBe(300);
  });

  test("with more bad samples than a flush may find: the rest waits for the next, and none is lost", async () => {
    const { host, refusal, sample, vmIds } = await refusing(() => false, 100);
    const bad = new Set(vmIds.filter((_, n) => n % 4 === 0));
    refusal.bad = ({ vmId }) => bad.has(vmId);
    for (let n = 0; n < 3; n++) await sample();
    await host.agent.flushUsage();
    expect(refusal.calls).toBeLessThanOrEqual(2 * 40 + 1);
    expect(await host.store.list("spool")).not.toEqual([]);
    for (let n = 0; n < 20; n++) await host.agent.flushUsage();
    expect(host.plane.samples.size).toBe(225);
    expect(await host.store.list("spool")).toEqual([]);
    refusal.bad = () => false;
    host.restart();
    for (let n = 0; n < 20; n++) await host.agent.flushUsage();
    expect(host.plane.samples.size).toBe(300);
    expect(await host.store.list("spool-refused")).toEqual([]);
  });

  test("of one VM alone, for longer than a batch, keeps back no VM that comes after it", async () => {
    const { host, refusal, sample, vmIds } = await refusing(() => false, 1);
    refusal.bad = ({ vmId }) => vmId === vmIds[0];
    for (let n = 0; n < 1100; n++) await sample();
    expect(await host.agent.flushUsage()).toBe(0);
    host.plane.want([aDesiredVm({ vmId: vmIds[0] ?? "" }), aDesiredVm()]);
    await host.agent.pass();
    for (let n = 0; n < 60; n++) {
      await sample();
      await host.agent.flushUsage();
    }
    expect(host.plane.samples.size).toBe(60);
    refusal.bad = () => false;
    host.restart();
    for (let n = 0; n < 60; n++) await host.agent.flushUsage();
    expect(host.plane.samples.size).toBe(1100 + 2 * 60);
    expect(await host.store.list("spool-refused")).toEqual([]);
  });

  test("that an agent of before put aside whole is sent after all", async () => {
    const { host, refusal, sample } = await refusing(() => false, 3);
    await sample();
    const [page = ""] = await host.store.list("spool");
    await host.store.write(`spool-refused/${page}`, (await host.store.read(`spool/${page}`)) ?? "");
    await host.store.remove(`spool/${page}`);
    refusal.bad = () => false;
    host.restart();
    await host.agent.flushUsage();
    expect(host.plane.samples.size).toBe(3);
  });
});

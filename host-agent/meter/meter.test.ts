import { describe, expect, test } from "vitest";
import type { UsageReceipt, UsageSample } from "#core/contracts/agent/usage.ts";
import type { ObservedVm } from "#core/contracts/agent/report.ts";
import type { Look } from "#host-agent/converge/observer.ts";
import { createSimulatedDriver } from "#host-agent/drivers/simulated/driver.ts";
import { memoryWorld } from "#host-agent/drivers/simulated/world.ts";
import { memoryStore } from "#host-agent/state/state-store.ts";
import { aDesiredVm, randomIds } from "#test/drivers/builders.ts";
import { createFakeControlPlane } from "#test/drivers/fake-control-plane.ts";
import { createVirtualClock } from "#test/drivers/virtual-clock.ts";
import { createMeter } from "./meter.ts";
import { createSpool } from "./spool.ts";

/** The meter of a host on which so many VMs run, each of which sends a byte a millisecond. */
function aHost(vms: number, mostSamples?: number) {
  const clock = createVirtualClock();
  const began = clock.now().getTime();
  const plane = createFakeControlPlane();
  const store = memoryStore();
  const errors: string[] = [];
  const log = { info: () => undefined, error: (event: string) => void errors.push(event) };
  const wanted = Array.from({ length: vms }, () => aDesiredVm());
  const look: Look = {
    number: 1,
    at: clock.now(),
    vms: new Map(
      wanted.map(({ vmId, ownerEpoch, size }): [string, ObservedVm] => [
        vmId,
        {
          vmId,
          ownerEpoch,
          size,
          power: "running",
          complete: true,
          bootEpoch: "boot-a",
          guest: null,
          seeded: true,
        },
      ]),
    ),
  };
  const spool = createSpool(store, log);
  const meter = createMeter({
    driver: {
      ...createSimulatedDriver({ world: memoryWorld(), clock, ids: randomIds }),
      counters: async () =>
        wanted.map(({ vmId }) => ({
          vmId,
          bootEpoch: "boot-a",
          cpuNs: 0n,
          rxBytes: [0n],
          txBytes: [BigInt(clock.now().getTime() - began)],
          readBytes: 0n,
          writeBytes: 0n,
          memoryBytes: 0n,
          diskBytes: 0n,
        })),
    },
    desired: {
      current: () => ({
        generation: 1,
        hash: "",
        entitlementGraceSeconds: 0,
        vms: wanted,
        refused: [],
        nameless: 0,
      }),
    },
    observer: () => ({ look: async () => look, begun: () => 1, latest: () => look }),
    spool,
    controlPlane: plane,
    clock,
    log,
    signal: new AbortController().signal,
    ...(mostSamples === undefined ? {} : { mostSamples }),
  });
  return { meter, spool, store, clock, plane, errors };
}
const sentIn = (samples: Iterable<UsageSample>) =>
  [...samples].reduce((sum, { txBytes: [bytes = "0"] }) => sum + Number(bytes), 0);

describe("a meter", () => {
  test("spools each VM once, in pages that the wire takes", async () => {
    const { meter, spool, store, clock, plane } = aHost(1001);
    await clock.advance(1000);
    expect(await meter.sample()).toBe(1001);
    expect(spool.size()).toBe(1001);
    expect(await store.list("spool")).toHaveLength(2);
    expect(await meter.flush()).toBe(1001);
    expect(plane.samples.size).toBe(1001);
  });

  test("with a full spool takes no more, and loses no byte: the next sample has them", async () => {
    const { meter, spool, clock, plane, errors } = aHost(1, 2);
    for (let n = 0; n < 5; n++) {
      await clock.advance(1000);
      expect(await meter.sample()).toBe(n < 2 ? 1 : 0);
    }
    expect(spool.size()).toBe(2);
    expect(errors).toContain("usage_spool_full");
    await meter.flush();
    await clock.advance(1000);
    expect(await meter.sample()).toBe(1);
    await meter.flush();
    expect(sentIn(plane.samples.values())).toBe(6000);
  });

  test("goes on where a refusal is of a sample that it did not send", async () => {
    const { meter, spool, clock, plane } = aHost(1);
    const strange: UsageReceipt = {
      stored: 1,
      duplicates: 0,
      refused: [{ index: 7, code: "sequence_reused", detail: "", nextSeq: 9 }],
    };
    plane.sendUsage = async () => strange;
    await clock.advance(1000);
    await meter.sample();
    expect(await meter.flush()).toBe(1);
    expect(spool.size()).toBe(0);
    await clock.advance(1000);
    await meter.sample();
    expect((await spool.oldest())?.samples[0]?.seq).toBe(1);
  });
});

import { expect, test } from "vitest";
import type { VmLimits } from "#core/vms/seen-size.ts";
import { anObservedVm } from "#test/builders.ts";
import { createSeenLimits } from "./limits-seen.ts";

const [A, B] = [anObservedVm(), anObservedVm()];
const limits = (diskIops: number): VmLimits => ({ bandwidthMbit: 200, diskIops });

/** A host whose VMs' limits can be set, and how often it was asked for them. */
function aHost() {
  let now = 0;
  const real = new Map<string, VmLimits>();
  const host = { real, asked: 0, wait: (ms: number) => void (now += ms) };
  const seen = createSeenLimits({
    clock: { now: () => new Date(now), sleep: () => Promise.resolve() },
    ask: async () => {
      host.asked += 1;
      return new Map(real);
    },
  });
  return { host, seen };
}

// 6a 2
test("what VMs are limited to is asked once a minute, and of what is new or was changed at once", async () => {
  const { host, seen } = aHost();
  host.real.set(A.vmId, limits(700));
  expect(await seen.addTo([A])).toEqual([{ ...A, limits: limits(700) }]);
  // By hand.
  host.real.set(A.vmId, limits(800));
  host.wait(59_999);
  expect(await seen.addTo([A])).toEqual([{ ...A, limits: limits(700) }]);
  expect(host.asked).toBe(1);
  host.wait(1);
  expect(await seen.addTo([A])).toEqual([{ ...A, limits: limits(800) }]);
  host.real.set(A.vmId, limits(900)).set(B.vmId, limits(100));
  seen.forget();
  expect(await seen.addTo([A])).toEqual([{ ...A, limits: limits(900) }]);
  host.real.delete(A.vmId);
  host.real.set(A.vmId, limits(50));
  expect(host.asked).toBe(3);
  const fresh = anObservedVm();
  host.real.set(fresh.vmId, limits(60));
  expect(await seen.addTo([A, B, fresh])).toEqual([
    { ...A, limits: limits(50) },
    { ...B, limits: limits(100) },
    { ...fresh, limits: limits(60) },
  ]);
  expect(host.asked).toBe(4);
});

test("a VM that is half made has none yet, and is not asked for at each look", async () => {
  const { host, seen } = aHost();
  const half = anObservedVm({ complete: false });
  for (let looks = 0; looks < 3; looks++) expect(await seen.addTo([half])).toEqual([half]);
  expect(host.asked).toBe(1);
});

test("a change that ends while it is asked is asked for again", async () => {
  const { host, seen } = aHost();
  host.real.set(A.vmId, limits(700));
  const before = seen.addTo([A]);
  host.real.set(A.vmId, limits(800));
  seen.forget();
  await before;
  expect(await seen.addTo([A])).toEqual([{ ...A, limits: limits(800) }]);
});

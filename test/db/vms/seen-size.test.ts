import { afterAll, beforeAll, expect, test } from "vitest";
import { recordReport } from "#commands/moves/record-report.ts";
import { ReceivedReport } from "#core/contracts/agent/report.ts";
import { seenSizeFromRow } from "#core/vms/seen-size.ts";
import { loadVm } from "#db/vms/vms.ts";
import { anAgentReport } from "#test/builders.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { aProvisionedVm, aWorld, hostSees, reportOf, valueOf } from "#test/harness/world.ts";

let cp: ControlPlane;
beforeAll(async () => {
  cp = await startControlPlane();
});
afterAll(() => cp.drop());

const size = { vcpus: 3, memoryMib: 2050, diskGib: 41 };
async function kept(vmId: string) {
  const vm = await loadVm(cp.deps.db, vmId);
  if (!vm) throw new Error(`there is no VM ${vmId}`);
  return { ...seenSizeFromRow(vm), hotVcpus: vm.seenHotVcpus };
}

test("6a 2: what its host shows of each VM's size is kept, and what it does not say is not known", async () => {
  const world = await aWorld(cp, { places: 4 });
  const [limited, free, old, half] = [
    (await aProvisionedVm(cp, world)).vmId,
    (await aProvisionedVm(cp, world)).vmId,
    (await aProvisionedVm(cp, world)).vmId,
    (await aProvisionedVm(cp, world)).vmId,
  ];
  expect(await kept(limited)).toEqual({ size: null, limits: null, hotVcpus: null });
  const limits = { bandwidthMbit: 200, diskIops: 900 };
  const unlimited = { bandwidthMbit: null, diskIops: null };
  const vms = [
    await reportOf(cp, limited, { observed: { size, limits, hotVcpus: 8 } }),
    await reportOf(cp, free, { observed: { size, limits: unlimited } }),
    await reportOf(cp, old, { observed: { size } }),
    await reportOf(cp, half, { observed: { size, limits, complete: false } }),
  ];
  valueOf(await recordReport(cp.deps, world.hostId, anAgentReport({ vms })));
  expect(await kept(limited)).toEqual({ size, limits, hotVcpus: 8 });
  expect(await kept(free)).toEqual({ size, limits: unlimited, hotVcpus: null });
  expect(await kept(old)).toEqual({ size, limits: null, hotVcpus: null });
  expect(await kept(half)).toEqual({ size: null, limits: null, hotVcpus: null });
  // An agent that is rolled back to one of before says less: what it said is known no longer.
  await hostSees(cp, world.hostId, limited, { observed: { size } });
  expect(await kept(limited)).toEqual({ size, limits: null, hotVcpus: null });
});

test("6a 2: a size that no column holds costs only the VM that it is told of", async () => {
  const world = await aWorld(cp);
  const { vmId } = await aProvisionedVm(cp, world);
  const tooMuch = { ...size, memoryMib: 2 ** 31 };
  const report = ReceivedReport.parse({
    ...anAgentReport(),
    vms: [await reportOf(cp, vmId, { observed: { size: tooMuch } })],
  });
  expect(valueOf(await recordReport(cp.deps, world.hostId, report))).toEqual({
    accepted: 0,
    ignored: 1,
  });
});

import { afterAll, beforeAll, expect, test } from "vitest";
import { recordVmReport } from "#commands/vms/record-vm-report.ts";
import { requestAction } from "#commands/vms/request-action.ts";
import { anAgentReport } from "#test/builders.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import {
  anActiveVm,
  anEnrolledHost,
  aWorld,
  hostSees,
  reportOf,
  valueOf,
  type World,
} from "#test/harness/world.ts";

let cp: ControlPlane;
beforeAll(async () => {
  cp = await startControlPlane();
});
afterAll(() => cp.drop());

const audits = (vmId: string, action: string) =>
  cp.rows("select detail from audit_log where subject_id = $1 and action = $2", vmId, action);
const told = (event: string) => cp.log.errors.filter((line) => line["event"] === event);
async function aDeletedVm(world: World): Promise<string> {
  const { vmId } = await anActiveVm(cp, world);
  valueOf(await requestAction(cp.deps, { who: world.buyer, vmId, type: "delete" }));
  await hostSees(cp, world.hostId, vmId, { observed: null });
  return vmId;
}

test("4b B9: what a host found amiss with its VM is told to staff and written beside the VM", async () => {
  const world = await aWorld(cp, { places: 2 });
  const [{ vmId }, other] = [await anActiveVm(cp, world), await aWorld(cp)];
  const { vmId: foreign } = await anActiveVm(cp, other);
  const found = { code: "saved_state_dropped" as const, detail: "could not be restored" };
  const findings = [vmId, foreign].map((id) => ({ vmId: id, ...found }));
  await recordVmReport(cp.deps, world.hostId, anAgentReport({ findings }));
  expect(await audits(vmId, "vm.host_finding")).toEqual([{ detail: found }]);
  // A host says nothing of another's VMs, but that it said it is in the log.
  expect(await audits(foreign, "vm.host_finding")).toEqual([]);
  expect(told("agent_report.findings")).toContainEqual({
    event: "agent_report.findings",
    host_id: world.hostId,
    findings: findings.map(({ vmId: vm_id, ...rest }) => ({ vm_id, ...rest })),
  });
});

test("4b B7: a deleted VM that its host shows again is told to staff, and audited once for each power it has", async () => {
  const world = await aWorld(cp);
  const vmId = await aDeletedVm(world);
  cp.clock.advanceMinutes(2);
  const strangers = [{ vmId, ownerEpoch: 1, power: "running" as const }];
  for (let n = 0; n < 2; n++)
    valueOf(await recordVmReport(cp.deps, world.hostId, anAgentReport({ strangers })));
  expect(told("agent_report.deleted_vms")).toEqual([
    expect.objectContaining({ host_id: world.hostId, vms: [{ vm_id: vmId, power: "running" }] }),
    expect.objectContaining({ host_id: world.hostId }),
  ]);
  expect(await audits(vmId, "vm.seen_after_delete")).toEqual([{ detail: { power: "running" } }]);
});

test("4b B7: one that an agent with an old document still reports is told of too", async () => {
  const world = await aWorld(cp);
  const vmId = await aDeletedVm(world);
  cp.clock.advanceMinutes(2);
  const before = told("agent_report.deleted_vms").length;
  const vms = [await reportOf(cp, vmId, {})];
  valueOf(await recordVmReport(cp.deps, world.hostId, anAgentReport({ vms })));
  expect(told("agent_report.deleted_vms")).toHaveLength(before + 1);
  expect(await audits(vmId, "vm.seen_after_delete")).toHaveLength(1);
});

test("a VM that a look of before its delete still held, or that another host shows, is no deleted VM that returned", async () => {
  const world = await aWorld(cp);
  const vmId = await aDeletedVm(world);
  const elsewhere = await anEnrolledHost(cp, { locationId: world.locationId, places: 1 });
  const before = told("agent_report.deleted_vms").length;
  const strangers = [{ vmId, ownerEpoch: 1, power: "running" as const }];
  valueOf(await recordVmReport(cp.deps, world.hostId, anAgentReport({ strangers })));
  cp.clock.advanceMinutes(2);
  valueOf(await recordVmReport(cp.deps, elsewhere, anAgentReport({ strangers })));
  expect(told("agent_report.deleted_vms")).toHaveLength(before);
});

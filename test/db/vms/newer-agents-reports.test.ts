import { afterAll, beforeAll, expect, test } from "vitest";
import { recordReport } from "#commands/moves/record-report.ts";
import { requestAction } from "#commands/vms/request-action.ts";
import { ReceivedReport } from "#core/contracts/agent/report.ts";
import { anAgentReport } from "#test/builders.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import {
  anActiveVm,
  aProvisionedVm,
  aWorld,
  hostSees,
  reportOf,
  valueOf,
} from "#test/harness/world.ts";

let cp: ControlPlane;
beforeAll(async () => {
  cp = await startControlPlane();
});
afterAll(() => cp.drop());

const vm = async (id: string) => (await cp.rows("select * from vms where id = $1", id))[0];

test("what we have no word for in a report costs no other: each thing in it is read alone", async () => {
  const world = await aWorld(cp, { places: 4 });
  const make = async () => (await aProvisionedVm(cp, world)).vmId;
  const [plain, newCode, newPower] = [await make(), await make(), await make()];
  const { vmId: rebooting } = await anActiveVm(cp, world);
  const asked = await requestAction(cp.deps, {
    who: world.buyer,
    vmId: rebooting,
    type: "reboot",
  });
  const actionId = valueOf(asked).id;
  const tomorrow = { code: "gpu_missing", detail: "no such card" };
  const odd = await reportOf(cp, newPower);
  const report = ReceivedReport.parse({
    ...anAgentReport(),
    tomorrow: 1,
    vms: [
      { ...(await reportOf(cp, plain)), tomorrow: 1 },
      { ...(await reportOf(cp, newCode, { settled: false })), error: tomorrow },
      { ...odd, observed: { ...odd.observed, power: "hibernated" } },
      { vmId: 7 },
    ],
    actions: [
      { actionId: "x" },
      { actionId, vmId: rebooting, outcome: "error", error: tomorrow, tomorrow: 1 },
    ],
    strangers: [{ vmId: "x" }],
    findings: [{ vmId: "x", code: "A", detail: "" }],
    facts: { hypervisor: "bhyve" },
    refusedDesired: { generation: 1, hash: "", reason: "too_long" },
  });
  expect(valueOf(await recordReport(cp.deps, world.hostId, report))).toEqual({
    accepted: 2,
    ignored: 2,
  });
  expect(await vm(plain)).toMatchObject({ observed_power: "running" });
  expect(await vm(newCode)).toMatchObject({
    observed_power: "running",
    last_error_code: "gpu_missing",
    last_error_detail: "no such card",
  });
  expect(await vm(newPower)).toMatchObject({ observed_power: null });
  expect(
    await cp.rows("select status, error_message from actions where id = $1", actionId),
  ).toEqual([{ status: "error", error_message: "no such card" }]);
  expect(cp.log.errors).toContainEqual({
    event: "agent_report.unread",
    host_id: world.hostId,
    vms: 2,
    actions: 1,
    strangers: 1,
    findings: 1,
  });
});

test("an agent that does not understand a VM cannot say that it is gone", async () => {
  const world = await aWorld(cp);
  const { vmId } = await anActiveVm(cp, world);
  valueOf(await requestAction(cp.deps, { who: world.buyer, vmId, type: "delete" }));
  const error = { code: "unsupported_by_agent", detail: "it has a second disk" } as const;
  await hostSees(cp, world.hostId, vmId, { observed: null, settled: false, error });
  expect(await vm(vmId)).toMatchObject({ deleted_at: null, last_error_code: error.code });
  await hostSees(cp, world.hostId, vmId, { observed: null });
  expect(await vm(vmId)).toMatchObject({ deleted_at: cp.clock.now() });
});

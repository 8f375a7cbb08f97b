import { afterAll, beforeAll, expect, test } from "vitest";
import { recordReport } from "#commands/moves/record-report.ts";
import { anAgentReport, hostFacts } from "#test/builders.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { anActiveVm, aWorld, reportOf, valueOf } from "#test/harness/world.ts";

let cp: ControlPlane;
beforeAll(async () => {
  cp = await startControlPlane();
});
afterAll(() => cp.drop());

test("4b C1: a report saves all VMs that changed by one statement, and reads its host once", async () => {
  const world = await aWorld(cp);
  const vmIds: string[] = [];
  for (let n = 0; n < 3; n++) vmIds.push((await anActiveVm(cp, world)).vmId);
  let boots = 0;
  /** How often it asks the database, when so many VMs began a new boot. */
  const statementsFor = async (many: number) => {
    const vms = await Promise.all(
      vmIds
        .slice(0, many)
        .map((vmId) =>
          reportOf(cp, vmId, { observed: { bootEpoch: `boot ${boots++} of ${vmId}` } }),
        ),
    );
    const before = cp.steps.statements;
    valueOf(await recordReport(cp.deps, world.hostId, anAgentReport({ vms, facts: hostFacts() })));
    const asked = cp.steps.statements - before;
    expect(
      await cp.rows(
        "select id, boot_epoch, observed_power, observed_at from vms where id = any($1) order by id",
        vms.map((vm) => vm.vmId),
      ),
    ).toEqual(
      vms
        .map((vm) => ({
          id: vm.vmId,
          boot_epoch: vm.observed?.bootEpoch,
          observed_power: "running",
          observed_at: cp.clock.now(),
        }))
        .toSorted((a, b) => (a.id < b.id ? -1 : 1)),
    );
    return asked;
  };
  await statementsFor(1); // its host's size is another from here on
  const one = await statementsFor(1);
  cp.clock.advanceMinutes(1);
  expect(await statementsFor(3)).toBe(one);
  // Begin, its VMs, its host, their actions, what was seen, that it was heard of, its size, its images (two), commit.
  expect(one).toBeLessThanOrEqual(10);
});

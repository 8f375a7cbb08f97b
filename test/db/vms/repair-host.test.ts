import { afterAll, beforeAll, expect, test } from "vitest";
import { repairHost, showHostRepair } from "#commands/vms/repair-host.ts";
import { ALL_CAPABILITIES, aPrincipal } from "#test/builders.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { emits } from "#test/harness/emits.ts";
import { anActiveVm, aWorld, hostSees, valueOf } from "#test/harness/world.ts";

/* 5.1: a host that was rebuilt with its disks kept: all VMs come back by one command, with a dry run. */

let cp: ControlPlane;
beforeAll(async () => {
  cp = await startControlPlane({ oneMayDestroy: true });
});
afterAll(() => cp.drop());

const who = aPrincipal({ role: "staff" });
const MISSING = { code: "vm_missing", detail: "this VM was here and is gone" } as const;

/** A host with so many VMs that it has lost, and one that is there. */
async function aRebuiltHost(lost: number, facts: Parameters<typeof aWorld>[1] = {}) {
  const world = await aWorld(cp, facts);
  const ids: string[] = [];
  for (let n = 0; n < lost; n++) {
    const { vmId } = await anActiveVm(cp, world);
    await hostSees(cp, world.hostId, vmId, { observed: null, settled: false, error: MISSING });
    ids.push(vmId);
  }
  const { vmId: well } = await anActiveVm(cp, world);
  return { hostId: world.hostId, ids, well };
}
/** By the hash of a dry run. */
async function repairs(asked: { hostId: string; how: "adopt_disk" | "recreate" }) {
  const { hash } = valueOf(await showHostRepair(cp.deps, asked));
  return repairHost(cp.deps, { ...asked, who, hash });
}
const adopt = (hostId: string) => ({ hostId, how: "adopt_disk" }) as const;

test("all that it has lost is repaired, as the dry run said, and nothing else", async () => {
  const { hostId, ids } = await aRebuiltHost(2);
  const plan = valueOf(await emits(cp, [], () => showHostRepair(cp.deps, adopt(hostId))));
  expect(plan.vms.map(({ vmId, action }) => [vmId, action])).toEqual(ids.map((id) => [id, null]));
  expect(plan.vms[0]?.effects.join()).toContain("nothing on the disk is changed");
  expect(plan.more).toBe(false);

  const begun = valueOf(await repairHost(cp.deps, { ...adopt(hostId), who, hash: plan.hash }));
  expect(begun.vms.map(({ vmId, action, refusal }) => [vmId, action?.type, refusal])).toEqual(
    ids.map((id) => [id, "adopt_disk", null]),
  );
  expect(
    await cp.rows(
      "select vm_id, type from actions where vm_id = any($1) and status = 'running' order by vm_id",
      ids,
    ),
  ).toEqual(ids.map((vm_id) => ({ vm_id, type: "adopt_disk" })));
});

test("repeated, it begins nothing twice, and goes on with those that are lost by then", async () => {
  const { hostId, ids, well } = await aRebuiltHost(1);
  valueOf(await repairs(adopt(hostId)));
  await hostSees(cp, hostId, well, { observed: null, settled: false, error: MISSING });
  const again = valueOf(await repairs(adopt(hostId)));
  expect(again.vms.map(({ vmId }) => vmId)).toEqual([well]);
  expect(
    await cp.rows(
      "select count(*)::int as n from actions where vm_id = $1 and type = 'adopt_disk'",
      ids[0],
    ),
  ).toEqual([{ n: 1 }]);
});

test("what changed since the dry run is told, and nothing is begun", async () => {
  const { hostId, well } = await aRebuiltHost(1);
  const { hash } = valueOf(await showHostRepair(cp.deps, adopt(hostId)));
  await hostSees(cp, hostId, well, { observed: null, settled: false, error: MISSING });
  expect(
    await emits(cp, [], () => repairHost(cp.deps, { ...adopt(hostId), who, hash })),
  ).toMatchObject({ error: { code: "plan_changed" } });
});

test("one that cannot be repaired in this way says why, each for itself", async () => {
  const { hostId, ids } = await aRebuiltHost(2, {
    facts: { capabilities: { ...ALL_CAPABILITIES, rootPassword: false } },
  });
  await cp.rows("update vms set root_password = true where id = $1", ids[0]);
  const { vms } = valueOf(await repairs({ hostId, how: "recreate" }));
  expect(vms.map(({ refusal, action }) => [refusal?.code, action?.type])).toEqual([
    ["repair_unavailable", undefined],
    [undefined, "recreate"],
  ]);
});

test("a host that is not there is not found", async () => {
  expect(await showHostRepair(cp.deps, adopt(cp.deps.ids.newId()))).toMatchObject({
    error: { code: "host_not_found" },
  });
});

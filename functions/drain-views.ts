import type { DrainDetails, DrainPlanView, DrainView } from "#core/contracts/api/drains.ts";
import type { DrainVmState } from "#core/moves/drain.ts";
import { toWireId } from "#core/ids.ts";
import type { DrainPlan, PlannedVm } from "#commands/moves/drain-host.ts";
import type { CountedDrain, ListedDrainVm } from "#commands/moves/show-drain.ts";

/* A host that is emptied, on the wire. */

export const toDrainPlanView = ({ effects, hash, done, vms }: DrainPlan): DrainPlanView => ({
  effects: [...effects],
  hash,
  done,
  vms: vms.map(({ vmId, hostname, to, why, interrupts }: PlannedVm) => ({
    vmId: toWireId("vm", vmId),
    hostname,
    destination: to && { id: toWireId("host", to.host.id), name: to.host.name },
    method: to?.method ?? null,
    against: why,
    interrupts,
  })),
});

export const toDrainView = (d: CountedDrain): DrainView => {
  const count = (of: DrainVmState) => d.vms[of] ?? 0;
  return {
    id: toWireId("drain", d.id),
    hostId: toWireId("host", d.hostId),
    method: d.method,
    maxParallel: d.maxParallel,
    reason: d.reason,
    askedBy: toWireId("account", d.askedBy),
    vms: {
      waiting: count("waiting"),
      moving: count("moving"),
      moved: count("moved"),
      stays: count("stays"),
      gone: count("gone"),
      left_out: count("left_out"),
    },
    window: d.window && {
      startsAt: d.window.startsAt.toISOString(),
      endsAt: d.window.endsAt.toISOString(),
      noticeHours: d.window.noticeHours,
      told: d.window.told,
    },
    startedAt: d.startedAt.toISOString(),
    endedAt: d.endedAt?.toISOString() ?? null,
    outcome: d.outcome,
  };
};

export const toDrainVmView = (vm: ListedDrainVm): DrainDetails["items"][number] => ({
  vmId: toWireId("vm", vm.vmId),
  hostname: vm.hostname,
  state: vm.state,
  reason: vm.reason,
  detail: vm.detail,
  moveId: vm.moveId && toWireId("move", vm.moveId),
  destinationHostId: vm.destination && toWireId("host", vm.destination.hostId),
  step: vm.destination?.step ?? null,
  tries: vm.tries,
  dueAt: vm.dueAt.toISOString(),
  endedAt: vm.endedAt?.toISOString() ?? null,
});

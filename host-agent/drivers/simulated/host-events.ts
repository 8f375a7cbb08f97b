import type { IdSource } from "#core/ports.ts";
import { runAt } from "./guest.ts";
import type { SimulatedWorld } from "./world.ts";

/** What happens to a host by itself. The agent is not told; it must see it. */

/** The host restarts: what ran comes back off or, with `autostart`, running in a new boot epoch. */
export async function rebootHost(
  world: SimulatedWorld,
  how: { autostart: boolean; now: Date; ids: IdSource },
): Promise<void> {
  const now = how.now.getTime();
  for (const vm of await world.vms()) {
    const run = runAt(vm, now);
    if (run === null || !how.autostart || vm.undefinedRun) await world.putVm({ ...vm, run: null });
    else
      await world.putVm({
        ...vm,
        starts: vm.starts + 1,
        run: {
          ...run,
          bootEpoch: how.ids.newId(),
          startedAt: now,
          guestFrom: now + (run.guestFrom - run.startedAt),
          offFrom: null,
          paused: false,
          failed: false,
        },
      });
  }
}

/** The VM's process goes away, pauses or crashes; a VM that is off stays as it is. */
export async function strikeVm(
  world: SimulatedWorld,
  vmId: string,
  what: "powers_off" | "pauses" | "fails",
): Promise<void> {
  const vm = await world.vm(vmId);
  if (vm === null || vm.run === null) return;
  if (what === "powers_off") await world.putVm({ ...vm, run: null });
  else
    await world.putVm({
      ...vm,
      run: { ...vm.run, paused: what === "pauses", failed: what === "fails" },
    });
}

/** Somebody makes a VM by hand, under this id and without Berth's tag. */
export async function plantForeignVm(world: SimulatedWorld, vmId: string): Promise<void> {
  await world.putVm({
    vmId,
    ownerEpoch: null,
    size: { vcpus: 1, memoryMib: 128, diskGib: 1 },
    disk: { serial: `foreign-${vmId}`, image: "foreign", everStarted: true },
    seed: null,
    definition: { macs: [] },
    run: null,
    starts: 0,
  });
}

/** Somebody who may do anything on the host has a hand on a VM of Berth's. */
export async function meddleWith(
  world: SimulatedWorld,
  vmId: string,
  what: "saves_and_spoils_its_memory" | "takes_its_guard_away",
): Promise<void> {
  const vm = await world.vm(vmId);
  if (vm === null) return;
  if (what === "takes_its_guard_away") await world.putVm({ ...vm, unguarded: true });
  else await world.putVm({ ...vm, run: null, spoiltMemory: true });
}

/** Somebody takes away a VM's definition, which leaves its disk and whatever runs, or all of it. */
export async function loseVm(
  world: SimulatedWorld,
  vmId: string,
  what: "definition" | "all",
): Promise<void> {
  const vm = await world.vm(vmId);
  if (vm === null) return;
  if (what === "all") await world.removeVm(vmId);
  else if (vm.run === null) await world.putVm({ ...vm, definition: null });
  else await world.putVm({ ...vm, undefinedRun: true });
}

import type { VmRecord } from "#host-agent/drivers/simulated/world.ts";
import type { Guest } from "./plan.ts";
import type { SimWorld } from "./sim-world.ts";
import type { Sim } from "./sim.ts";

/** After so long a restless guest turns itself off: less than what delivers a silent one. */
const NAP_MS = 9 * 60_000;
/** Past the deadline at which an order without proof of its VM is decided. */
const RESTLESS_AT_REST_MS = 3 * 3_600_000;

/** Who sits in which VM. A guest that lies does so from its first boot on. */
export class Guests {
  readonly #sim: Sim;
  readonly #kinds = new Map<string, Guest>();
  /** Boots that will end by themselves. */
  readonly #napping = new Set<string>();

  constructor(sim: Sim) {
    this.#sim = sim;
  }

  /** In the VM of this id sits such a guest. */
  moveIn(vmId: string, guest: Guest): void {
    if (guest === "honest") return;
    this.#kinds.set(vmId, guest);
    this.#sim.faults.count("guest.lied");
  }

  /** What a host holds of a VM, as the guest in it would have it. */
  within(vm: VmRecord, world: SimWorld): VmRecord {
    switch (this.#kinds.get(vm.vmId)) {
      case undefined:
      case "honest":
        return vm;
      case "renamed":
        return vm.seed === null ? vm : { ...vm, seed: { ...vm.seed, hostname: "somebody-else" } };
      case "mute":
        return vm.run === null
          ? vm
          : { ...vm, run: { ...vm.run, guestFrom: Number.MAX_SAFE_INTEGER } };
      case "restless":
        if (vm.run !== null) this.#endLater(vm.vmId, vm.run.bootEpoch, world);
        return vm.run === null
          ? vm
          : { ...vm, run: { ...vm.run, guestFrom: Number.MAX_SAFE_INTEGER } };
    }
  }

  #endLater(vmId: string, bootEpoch: string, world: SimWorld): void {
    if (this.#napping.has(bootEpoch)) return;
    this.#napping.add(bootEpoch);
    this.#sim.scheduler.after(NAP_MS, `the guest of ${vmId} turns it off`, () => {
      const vm = world.get(vmId);
      // In the end all is to stay as it is: once what it was to bring about could have come.
      const since = this.#sim.rest.since ?? Infinity;
      const isOver = this.#sim.scheduler.now().getTime() > since + RESTLESS_AT_REST_MS;
      if (vm?.run?.bootEpoch === bootEpoch && !isOver) world.put({ ...vm, run: null });
    });
  }
}

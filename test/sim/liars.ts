import { createHttpControlPlane } from "#host-agent/channel/control-plane.ts";
import { createSigner, loadIdentity } from "#host-agent/channel/identity.ts";
import type { ControlPlane } from "./control-plane.ts";
import type { SimHost } from "./host.ts";
import type { Mirror, Row } from "./mirror.ts";
import { fetchOver } from "./network.ts";
import type { Lie } from "./plan.ts";
import { pick } from "./requests.ts";
import type { Sim } from "./sim.ts";

type HostsPlane = ReturnType<typeof createHttpControlPlane>;

/** A host that lies, under its own good key. */
export class Liars {
  readonly #sim: Sim;
  readonly #plane: ControlPlane;
  readonly #mirror: Mirror;

  constructor(sim: Sim, parts: { plane: ControlPlane; mirror: Mirror }) {
    this.#sim = sim;
    this.#plane = parts.plane;
    this.#mirror = parts.mirror;
  }

  /** A host with its own good key tells things that are not so, or not its to tell. */
  async lie(host: SimHost, other: SimHost, index: number, lie: Lie): Promise<void> {
    const { scheduler, ids, faults } = this.#sim;
    const identity = await loadIdentity(host.store);
    if (identity === null) return;
    const plane = createHttpControlPlane({
      apiUrl: "http://berth.test",
      fetch: fetchOver(
        this.#sim,
        { name: "liar", isCut: () => false, isDead: () => false },
        this.#plane.api,
      ),
      clock: scheduler.clock,
      sign: await createSigner(identity, { clock: scheduler.clock, ids }),
    });
    const told = this.#tell(plane, host, other, index, lie);
    if (told === null) return;
    faults.count("host.lied");
    await told.then(
      () => undefined,
      () => undefined,
    );
  }

  #tell(
    plane: HostsPlane,
    host: SimHost,
    other: SimHost,
    index: number,
    lie: Lie,
  ): Promise<unknown> | null {
    const { vms: all, actions } = this.#mirror;
    const nothing = { desiredGeneration: 0, vms: [], actions: [], strangers: [], facts: null };
    if (lie === "size") return host.boast().then((facts) => plane.report({ ...nothing, facts }));
    // An epoch that is not its own may be told of a VM of its own; the rest is about another host's VMs.
    const isOfItsOwn = lie === "other_epoch" || lie === "later_generation";
    const { hostId } = isOfItsOwn ? host : other;
    const vm = pick(
      all.all().filter((each) => each.host_id === hostId),
      index,
    );
    if (vm === undefined) return null;
    if (lie === "usage") {
      const now = this.#sim.scheduler.now().getTime();
      return plane.sendUsage({ samples: [falseSample(vm.id, now)] });
    }
    const ownerEpoch = vm.owner_epoch + (lie === "other_epoch" ? 1 : 0);
    const generation = vm.generation + (lie === "later_generation" ? 1 : 0);
    return plane.report({
      ...nothing,
      vms: [
        {
          vmId: vm.id,
          generation,
          ownerEpoch,
          settled: true,
          error: null,
          observed: lie === "gone" ? null : falseObservation(vm, ownerEpoch),
        },
      ],
      actions: actions
        .all()
        .filter((a) => a.vm_id === vm.id && a.status === "running" && lie === "running")
        .map((a) => ({ actionId: a.id, vmId: vm.id, outcome: "error", error: null })),
    });
  }
}

const falseObservation = (vm: Row<"vms">, ownerEpoch: number) => ({
  vmId: vm.id,
  ownerEpoch,
  power: "running" as const,
  size: { vcpus: vm.vcpus, memoryMib: vm.memory_mib, diskGib: vm.disk_gib },
  complete: true,
  bootEpoch: "a-false-boot",
  guest: null,
  seeded: true,
});

const falseSample = (vmId: string, now: number) => ({
  vmId,
  bootEpoch: "a-false-boot",
  seq: 0,
  from: new Date(now - 1000).toISOString(),
  to: new Date(now).toISOString(),
  cpuNs: "1",
  rxBytes: ["1"],
  txBytes: ["1"],
  readBytes: "1",
  writeBytes: "1",
  memoryBytes: "1",
  diskBytes: "1",
});

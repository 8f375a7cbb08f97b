import type { VmRecord } from "#host-agent/drivers/simulated/world.ts";
import type { Mailed } from "../control-plane.ts";
import type { SimHost } from "../host.ts";
import type { Mirror, Row } from "../mirror.ts";
import type { Provider } from "../provider.ts";
import type { SimQueues } from "../queues.ts";
import type { Restore } from "../restore.ts";
import type { Sim } from "../sim.ts";

/** All there is to look at, without touching any of it. */
export type Scene = Readonly<{
  sim: Sim;
  mirror: Mirror;
  hosts: readonly SimHost[];
  provider: Provider;
  /** By MAC, which VM had it last, and when that was seen. */
  macs: Map<string, { vmId: string; seenAt: number }>;
  /** What the process that commits now has asked of the provider and was answered, as `GET /v1/…`. */
  asked: string[];
  queues: Pick<SimQueues, "taken">;
  /** When the last sweep began that ended well; null: none has. */
  swept: { began: number | null };
  /** Each time that the database went back to an earlier state, with what it knew until then. */
  restores: readonly Restore[];
  /** All mails that customers were ever sent. */
  mails: readonly Mailed[];
}>;

/** Looks at the scene, and says what is wrong, if anything. */
export type Look = () => string | undefined;

/** One invariant by its number, as far as it is built. */
export type Check = Readonly<{
  invariant: number;
  /** After each commit: `mirror.….changed` is what that commit did. */
  onCommit?: Look;
  /** After each step of anybody, or of time. */
  onStep?: Look;
  /** Once the faults have stopped, and time has gone on. */
  atRest?: Look;
}>;
export type MakeCheck = (scene: Scene) => Check;

export const nowOf = (scene: Scene): number => scene.sim.scheduler.now().getTime();

/** The first thing that `look` finds wrong with one of the list. */
export function first<T>(
  list: Iterable<T>,
  look: (item: T) => string | undefined,
): string | undefined {
  for (const item of list) {
    const wrong = look(item);
    if (wrong !== undefined) return wrong;
  }
  return undefined;
}

/** Each VM that carries our tag, on each host. */
export function* machines(scene: Scene): Generator<{ host: SimHost; vm: VmRecord }> {
  for (const host of scene.hosts)
    for (const vm of host.world.all()) if (vm.ownerEpoch !== null) yield { host, vm };
}

/** Whether the VM's process runs at this instant: a guest that was asked may have shut down meanwhile. */
export const runs = (vm: VmRecord, now: number): boolean =>
  vm.run !== null && (vm.run.offFrom === null || now < vm.run.offFrom);

/** Whether a VM is all there: a disk, a seed that may be erased, and a definition that outlives its process. */
export const isThere = (vm: VmRecord | undefined): boolean =>
  vm !== undefined &&
  vm.disk !== null &&
  vm.seed !== null &&
  vm.definition !== null &&
  !vm.undefinedRun;

/** The money of an order at the provider, in minor units: what its checkouts took, and what went back. */
export function moneyOf(scene: Scene, order: Row<"orders">): { taken: bigint; returned: bigint } {
  const { store } = scene.provider.standIn;
  const sessions = store
    .all("checkout_session")
    .filter((s) => s.metadata?.["order_id"] === order.id && s.payment_status === "paid")
    // What was bought anew is no order's (`checks/dunnings.ts`).
    .filter((s) => s.metadata?.["dunning_id"] === undefined);
  const refunds = store
    .all("refund")
    .filter((r) => r.metadata?.["order_id"] === order.id && r.status === "succeeded");
  const sum = (all: readonly (number | null)[]) => all.reduce((n, x) => n + BigInt(x ?? 0), 0n);
  return {
    taken: sum(sessions.map((s) => s.amount_total)),
    returned: sum(refunds.map((r) => r.amount)),
  };
}

/** What bills for an order at the provider, now or once. */
export const subscriptionsOf = (scene: Scene, order: Row<"orders">) =>
  scene.provider.standIn.store
    .all("subscription")
    .filter((s) => s.metadata["order_id"] === order.id);

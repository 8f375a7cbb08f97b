import type { Capacity } from "#core/hosts/capacity.ts";
import { weighChange } from "./decide-quote.ts";
import { differenceOf, type ShownMigration } from "./plan-migration.ts";
import type { ChangePrice, MachineSize, Quote } from "./quote.ts";
import type { KnownBilled } from "./quote-refusals.ts";
import type { ResizeState, ResizeTarget } from "./resize.ts";

/** What a VM would become, by our own rows alone. */
export type JudgedMigration = ShownMigration & Readonly<{ machine: MachineSize | null }>;

/**
 * What a dry run shows of a VM: nobody outside is asked, and the payment provider's word comes at its turn. A VM that is off is judged
 * as one that runs, since it may run by then. `known`: null: no subscription pays for it. `taken`: what those before it on its
 * host will take there.
 */
export function judgeMigration(
  state: ResizeState,
  {
    target,
    when,
    price,
  }: Readonly<{ target: ResizeTarget; when: Quote["when"]; price: ChangePrice }>,
  known: KnownBilled | null,
  taken: Pick<Capacity, "vcpus" | "memoryMib" | "diskGib">,
  now: Date,
): JudgedMigration {
  const { free } = state.host;
  const left = {
    ...free,
    vcpus: free.vcpus - taken.vcpus,
    memoryMib: free.memoryMib - taken.memoryMib,
    diskGib: free.diskGib - taken.diskGib,
  };
  const power = state.power === "off" ? "running" : state.power;
  const staff = { when, price, billing: "prorate" } as const;
  const { to, how, refusals } = weighChange(
    { ...state, power, host: { ...state.host, free: left } },
    { target, interval: null, keepDisk: false, staff },
    known,
    now,
  );
  return {
    vmId: state.vmId,
    ...how,
    machine: to && to.machine,
    difference: to && differenceOf(state.bought.price, to.price),
    refusals: [...new Set(refusals.map(({ code }) => code))],
  };
}

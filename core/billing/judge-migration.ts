import type { Capacity } from "#core/hosts/capacity.ts";
import { weighChange } from "./decide-quote.ts";
import { largerOf } from "#core/vms/vm.ts";
import { isOfItsHost, movedAndResized, stateAt, type OtherHost } from "./move-and-resize.ts";
import { differenceOf, type ShownMigration } from "./plan-migration.ts";
import type { ChangePrice, MachineSize, Quote } from "./quote.ts";
import type { KnownBilled } from "./quote-refusals.ts";
import type { ResizeState, ResizeTarget } from "./resize.ts";

/** What a VM would become, by our own rows alone. */
export type JudgedMigration = ShownMigration &
  Readonly<{
    machine: MachineSize | null;
    /** Where it moves to first; null: it stays where it is. */
    toHostId: string | null;
    /** Why no other host can take it, in words; null: none is needed, or one can. */
    detail: string | null;
  }>;

export type AskedOfMigration = Readonly<{
  target: ResizeTarget;
  when: Quote["when"];
  price: ChangePrice;
}>;

/**
 * What a dry run shows of a VM where it is: nobody outside is asked, and the payment provider's word comes at its turn. A VM that is off is
 * judged as one that runs, since it may run by then. `known`: null: no subscription pays for it. `taken`: what those before it
 * will take of its host.
 */
export function judgeMigration(
  state: ResizeState,
  { target, when, price }: AskedOfMigration,
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
    toHostId: null,
    detail: null,
  };
}

/** What it would become elsewhere; null: nothing stands against it that another host could do. */
export const wantsOtherHost = ({ machine, refusals }: JudgedMigration): MachineSize | null =>
  isOfItsHost(refusals) ? machine : null;

/** The same of a VM that moves there first. What stands against it even there does so against the whole of it. */
export function judgeElsewhere(
  state: ResizeState,
  there: OtherHost,
  machine: MachineSize,
  asked: AskedOfMigration,
  known: KnownBilled | null,
  now: Date,
): JudgedMigration {
  const held = largerOf(state.bought.machine, machine);
  const none = { vcpus: 0, memoryMib: 0, diskGib: 0 };
  const judged = judgeMigration(stateAt(state, there, held), asked, known, none, now);
  return { ...judged, ...movedAndResized(state.bought.machine), toHostId: there.id };
}

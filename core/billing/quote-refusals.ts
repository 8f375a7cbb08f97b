import { lacksRoom } from "#core/hosts/capacity.ts";
import { takesNew } from "#core/hosts/host-state.ts";
import type { ResizeHow } from "#core/vms/resize-method.ts";
import type { Billed } from "./price-changes.ts";
import type { Bought, MachineSize, QuoteRefusal } from "./quote.ts";
import type { ResizeAsked, ResizeState } from "./resize.ts";

/** Why there is no quote: a stable code, and words for people. */
export type Refused = Readonly<{ code: QuoteRefusal; detail: string }>;

/** What of a subscription stands for or against a change: the provider's word, or what we know of it ourselves. */
export type KnownBilled = Pick<Billed, "status" | "isPaid" | "cancelsAt"> &
  Readonly<{ period: Pick<Billed["period"], "until">; pending: object | null }>;

export type Weighed = Readonly<{
  state: ResizeState;
  asked: ResizeAsked;
  /** null: there is no such plan, or no such price of it. */
  to: Bought | null;
  /** null: no subscription pays for it. */
  billed: KnownBilled | null;
  /** null: its machine stays as it is, or its host has not said what it can. */
  way: ResizeHow | null;
}>;

/** All that stands against it. */
export const whyNoQuote = (weighed: Weighed, now: Date): readonly Refused[] => [
  ...ofTheVm(weighed.state, weighed.asked),
  ...ofTheMoney(weighed, now),
  ...ofWhatIsAsked(weighed),
  ...ofTheMachine(weighed),
];

const against = (holds: boolean, code: QuoteRefusal, detail: string): readonly Refused[] =>
  holds ? [{ code, detail }] : [];

const ofTheVm = (vm: ResizeState, { staff }: ResizeAsked): readonly Refused[] => [
  ...against(
    staff === null && vm.payer !== "stripe",
    "not_by_us",
    "its price is not ours to change: ask whoever you have it from",
  ),
  ...against(!vm.isDelivered, "vm_not_delivered", "it is not delivered yet"),
  ...against(vm.isLost, "vm_lost", "its host says that this VM is not there any more"),
  ...against(vm.isSuspended, "vm_suspended", "it is suspended: have that lifted first"),
  ...against(
    vm.running !== null,
    "vm_locked",
    `a ${vm.running ?? "change"} is running; wait for it to end`,
  ),
  ...against(
    vm.isFrozen,
    "billing_frozen",
    "nothing is billed for it at present, as it was not there",
  ),
];

function ofTheMoney({ state, billed }: Weighed, now: Date): readonly Refused[] {
  if (state.payer !== "stripe") return [];
  const ends =
    state.isToEnd || billed === null || billed.cancelsAt !== null || ENDED.has(billed.status);
  const isTried = billed?.status === "trialing";
  const isPaid = billed?.status === "active" && billed.isPaid && now < billed.period.until;
  return [
    ...against(
      billed !== null && billed.pending !== null,
      "change_waiting",
      "another change of it waits to be paid: pay it, or call it off",
    ),
    ...against(
      ends,
      "cancels_at_period_end",
      "its subscription ends: have it go on before you change what it is for",
    ),
    ...against(
      !ends && isTried,
      "trial_running",
      "its trial runs, and nothing was paid for it yet: wait until its first period is",
    ),
    ...against(
      !ends && !isPaid && !isTried,
      "invoice_open",
      "the present period is not paid, and earns no credit: pay its invoice first",
    ),
  ];
}
const ENDED: ReadonlySet<string> = new Set(["canceled", "incomplete_expired"]);

function ofWhatIsAsked({ state, asked, to }: Weighed): readonly Refused[] {
  const { target, staff } = asked;
  if (target === null) return [{ code: "plan_not_on_sale", detail: "no such plan is on sale" }];
  const from = state.bought;
  const isSame = to !== null && sameMachine(from.machine, to.machine);
  const isOtherInterval =
    to !== null && from.price !== null && to.price?.interval !== from.price.interval;
  return [
    ...against(!target.available, "plan_not_on_sale", "this plan is not on sale any more"),
    ...against(to === null, "interval_not_sold", "it is not sold by that interval"),
    ...against(
      to !== null &&
        from.price !== null &&
        to.price?.amount.currency !== from.price.amount.currency,
      "currency_differs",
      "it is sold in another currency than this VM is paid in",
    ),
    ...against(
      isSame &&
        !isOtherInterval &&
        target.planId === from.planId &&
        target.version === from.planVersion,
      "same_plan",
      "it is so already",
    ),
    ...against(
      isOtherInterval && !isSame,
      "ask_separately",
      "another size and another interval are two changes: ask for one, and then for the other",
    ),
    ...against(
      isOtherInterval && staff?.billing === "none",
      "ask_separately",
      "another interval begins a period of its own, which is billed as it begins: it has no billing `none`",
    ),
  ];
}

function ofTheMachine({ state, asked, to, way }: Weighed): readonly Refused[] {
  const { target } = asked;
  if (target === null || to === null) return [];
  const { host, image, bought } = state;
  const { machine } = to;
  const isSame = sameMachine(bought.machine, machine);
  const least = Math.min(bought.machine.diskGib, state.planDiskGib);
  const small = [
    ...(machine.memoryMib < image.minMemoryMib ? [`${image.minMemoryMib} MiB of memory`] : []),
    ...(machine.diskGib < image.minDiskGib ? [`${image.minDiskGib} GiB of disk`] : []),
  ];
  return [
    ...against(
      target.size.diskGib < least,
      "disk_shrinks",
      `a disk never shrinks: it has ${bought.machine.diskGib} GiB, and the plan ${target.size.diskGib}`,
    ),
    ...against(
      !isSame && small.length > 0,
      "image_needs_more",
      `its image needs ${small.join(" and ")}`,
    ),
    ...(way?.refusals ?? []).flatMap(({ code, detail }): readonly Refused[] =>
      code === "beyond_limits" || code === "limit_unsupported" ? [{ code, detail }] : [],
    ),
    ...against(
      !isSame && (host.means === null || state.seen.limits === null),
      "unsupported_by_agent",
      "its host's agent is too old, or has not shown yet what it can and how large the VM is",
    ),
    ...against(
      !hasRoom(host, bought.machine, machine),
      "no_room",
      asked.staff === null
        ? "its host has no room for it now"
        : "its host has no room for it now: move it to one that has (`berth vm migrate`), and resize it there",
    ),
  ];
}

/** Both sizes are counted until the change has ended: of each resource the larger. It is one VM all the while. */
function hasRoom(
  { state, free, held }: ResizeState["host"],
  bought: MachineSize,
  to: MachineSize,
): boolean {
  const from = held ?? bought;
  const more = {
    vcpus: Math.max(0, to.vcpus - from.vcpus),
    memoryMib: Math.max(0, to.memoryMib - from.memoryMib),
    diskGib: Math.max(0, to.diskGib - from.diskGib),
  };
  const grows = more.vcpus + more.memoryMib + more.diskGib > 0;
  return !grows || (takesNew(state) && lacksRoom({ ...free, vms: 1 }, more).length === 0);
}

export const sameMachine = (a: MachineSize, b: MachineSize): boolean =>
  a.vcpus === b.vcpus &&
  a.memoryMib === b.memoryMib &&
  a.diskGib === b.diskGib &&
  a.bandwidthMbit === b.bandwidthMbit &&
  a.diskIops === b.diskIops;

import type { HostState } from "#core/hosts/host-state.ts";
import type { Capacity } from "#core/hosts/capacity.ts";
import type { BillingInterval } from "#core/orders/order.ts";
import type { ResizedFrom, ResizeMeans } from "#core/vms/resize-method.ts";
import type { ObservedPower, VmSize } from "#core/vms/vm.ts";
import type { Downgrade } from "#core/catalogue/sold.ts";
import type { Bought, ChangePrice, Quote } from "./quote.ts";
import type { Payer, ServicePrice } from "./service.ts";

/** What stands before a change: what was bought, its machine, and where that is. */
export type ResizeState = Readonly<{
  vmId: string;
  payer: Payer;
  bought: Bought;
  /** Of the plan version that was bought: its disk, which the machine's may differ from, and when a VM of it becomes smaller. */
  planDiskGib: number;
  downgrade: Downgrade;
  /** Its price is no price of its version: staff let its owner keep that of before. */
  isPriceKept: boolean;
  isFrozen: boolean;
  isSuspended: boolean;
  /** Its owner, or staff, have said that it ends with its period; the provider may not know it yet. */
  isToEnd: boolean;
  isDelivered: boolean;
  isLost: boolean;
  /** The action that runs on it. */
  running: string | null;
  /** As its host showed it last. */
  seen: ResizedFrom;
  power: ObservedPower;
  host: Readonly<{
    id: string;
    state: HostState;
    /** null: what its agent last said of it cannot be read. */
    means: ResizeMeans | null;
    free: Capacity;
    /** So much is held there for this VM already; left out: as much as it has. */
    held?: VmSize;
  }>;
  image: Readonly<{ minMemoryMib: number; minDiskGib: number }>;
}>;

/** What is wanted: the newest version of a plan. */
export type ResizeTarget = Readonly<{
  planId: string;
  version: number;
  available: boolean;
  size: VmSize;
  bandwidthMbit: number | null;
  diskIops: number | null;
  prices: readonly ServicePrice[];
}>;

export type ResizeAsked = Readonly<{
  /** null: there is no such plan. */
  target: ResizeTarget | null;
  /** null: as it is paid for now. */
  interval: BillingInterval | null;
  keepDisk: boolean;
  /** null: the customer asks; staff say how it is to be. */
  staff: Readonly<Pick<Quote, "when" | "billing"> & { price: ChangePrice }> | null;
}>;

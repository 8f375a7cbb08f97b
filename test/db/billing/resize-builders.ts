import { v7 } from "uuid";
import type { AccountPrincipal } from "#core/accounts/accounts.ts";
import type { Downgrade } from "#core/catalogue/sold.ts";
import type { QuotedResize } from "#core/contracts/api/resizes.ts";
import type { BillingInterval } from "#core/orders/order.ts";
import { quoteResize, type Quoted, type WantedResize } from "#commands/billing/quote-resize.ts";
import type { Deps } from "#commands/deps.ts";
import { insertPlan, loadNewestPlan, type Plan } from "#db/catalogue/catalogue.ts";
import { loadService } from "#db/billing/services.ts";
import { inTransaction } from "#db/transaction.ts";
import type { ControlPlane } from "#test/harness/control-plane.ts";
import { anActiveVm, aNewVersion, aWorld, GUEST, hostSees, valueOf } from "#test/harness/world.ts";
import type { World } from "#test/harness/world.ts";

/** What `aWorld`'s plan limits a VM to, as its host shows it. */
const LIMITS = { bandwidthMbit: 1000, diskIops: null } as const;
const DAY_MS = 24 * 60 * 60_000;

export type Resized = Readonly<{
  world: World;
  vmId: string;
  subscriptionId: string;
  /** Of the period that is paid. */
  from: Date;
  until: Date;
}>;

/** Goes on to a day whose month, from it on, has 31 days, so that figures can be worked out by hand. */
function toLongMonth({ clock }: ControlPlane): void {
  const now = clock.now();
  const [year, month] = [now.getUTCFullYear(), now.getUTCMonth()];
  const isLong = (n: number) => new Date(Date.UTC(year, n + 1, 0)).getUTCDate() === 31;
  if (isLong(month) && now.getUTCDate() < 28) return;
  const next = [1, 2].map((n) => month + n).find(isLong) ?? month + 1;
  clock.advance(Date.UTC(year, next, 1, 12) - +now);
}

type Options = Parameters<typeof aWorld>[1] & { downgrade?: Downgrade };

/** 10 of the 31 days of its first month are over. */
export async function aVmToResize(cp: ControlPlane, options: Options = {}): Promise<Resized> {
  toLongMonth(cp);
  const vm = await aVmJustMade(cp, options);
  cp.clock.advance(+vm.from + 10 * DAY_MS - +cp.clock.now());
  return vm;
}

/** A VM that runs, of which its host has shown all. Its plan is sold by the year too. */
export async function aVmJustMade(cp: ControlPlane, options: Options = {}): Promise<Resized> {
  const { downgrade = "renewal", ...ofWorld } = options;
  const world = await aWorld(cp, { places: 10, ...ofWorld });
  const prices = [
    { interval: "month", amountMinor: "500", currency: "usd" },
    { interval: "year", amountMinor: "5000", currency: "usd" },
  ] as const;
  await aNewVersion(cp, world.planId, { prices: [...prices], downgrade });
  const { vmId } = await anActiveVm(cp, world);
  await hostSees(cp, world.hostId, vmId, { observed: { guest: GUEST, limits: LIMITS } });
  await cp.pump();
  const { subscriptionId } = await inTransaction(cp.deps.db, (tx) => loadService(tx, vmId));
  if (subscriptionId === null) throw new Error(`nothing bills for VM ${vmId}`);
  const { period } = await cp.deps.payments.fetchBilled(subscriptionId);
  return { world, vmId, subscriptionId, ...period };
}

/** Three times as large as `aWorld`'s plan, for 1550 a month and 15500 a year. */
export async function aLargePlan(cp: ControlPlane, over: Partial<Plan> = {}): Promise<Plan> {
  const id = over.id ?? v7();
  const price = (interval: BillingInterval, minor: bigint) => ({
    id: v7(),
    interval,
    amount: { minor, currency: "usd" } as const,
    taxBehavior: null,
    stripePriceId: null,
  });
  await inTransaction(cp.deps.db, (tx) =>
    insertPlan(
      tx,
      {
        name: id,
        size: { vcpus: 3, memoryMib: 3072, diskGib: 60 },
        trafficGib: 2048,
        bandwidthMbit: 2000,
        diskIops: 900,
        downgrade: "renewal",
        available: true,
        prices: [price("month", 1550n), price("year", 15_500n)],
        ...over,
        id,
      },
      cp.clock.now(),
    ),
  );
  const plan = await loadNewestPlan(cp.deps.db, id);
  if (!plan) throw new Error(`there is no plan ${id}`);
  return plan;
}

/** What the command answered, before it was shown. */
export async function quoted(
  deps: Deps,
  { world, vmId }: Pick<Resized, "world" | "vmId">,
  wanted: Partial<WantedResize> & { planId: string },
  who: AccountPrincipal = world.buyer,
): Promise<Quoted> {
  let shown: Quoted | undefined;
  const render = (made: Quoted): QuotedResize => {
    shown = made;
    return { quote: null, refusals: [] };
  };
  valueOf(await quoteResize(deps, { who, vmId, wanted: { keepDisk: false, ...wanted } }, render));
  if (shown === undefined) throw new Error("nothing was answered");
  return shown;
}

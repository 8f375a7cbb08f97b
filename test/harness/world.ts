import { PLAIN_HARDWARE, type ImageHardware } from "#core/vms/image-hardware.ts";
import { v7 } from "uuid";
import type { AddPlanVersion } from "#core/contracts/api/catalogue.ts";
import { PlaceOrder } from "#core/contracts/api/orders.ts";
import type { AgentReport, HostFacts, VmReport } from "#core/contracts/agent/report.ts";
import type { AccountPrincipal } from "#core/accounts/accounts.ts";
import { idIn, toWireId } from "#core/ids.ts";
import type { Result } from "#core/result.ts";
import { addPlanVersion } from "#commands/catalogue/add-plan-version.ts";
import { addHost } from "#commands/hosts/add-host.ts";
import { enrollHost } from "#commands/hosts/enroll-host.ts";
import {
  placeOrder,
  type AnsweredOrder,
  type PlaceOrderRefusal,
} from "#commands/orders/place-order.ts";
import { recordReport } from "#commands/moves/record-report.ts";
import {
  insertImage,
  insertLocation,
  insertPlan,
  loadNewestPlan,
} from "#db/catalogue/catalogue.ts";
import { insertPool } from "#db/network/pools.ts";
import { inTransaction } from "#db/transaction.ts";
import { loadVm } from "#db/vms/vms.ts";
import * as accountTables from "#db/schema/accounts.ts";
import { toOrderView } from "#functions/views.ts";
import { AN_SSH_KEY, anAgentReport, aPrincipal, aVmReport, hostFacts } from "#test/builders.ts";
import type { ControlPlane } from "./control-plane.ts";

export const SYSTEM = { kind: "system", id: "test" } as const;
/** The size that every plan of these worlds has, and a month's price. */
export const SIZE = { vcpus: 1, memoryMib: 1024, diskGib: 20 };
export const MONTH = 500n;

/** A location with a plan, an image, a host and a buyer of its own, so that tests never meet. */
export type World = Readonly<{
  startedAt: Date;
  buyer: AccountPrincipal;
  locationId: string;
  planId: string;
  imageId: string;
  hostId: string;
}>;

let worlds = 0;

/** `places`: how many VMs the host has room for. `addresses`: how many can be leased at once. */
export async function aWorld(
  cp: ControlPlane,
  options: {
    places?: number;
    addresses?: number;
    testOnly?: boolean;
    facts?: Partial<HostFacts>;
    /** Whether the guest of the world's image says that it is up. */
    speaks?: boolean;
    /** What the world's image asks for. */
    hardware?: Partial<ImageHardware>;
  } = {},
): Promise<World> {
  const { deps } = cp;
  const startedAt = deps.clock.now();
  const [locationId, planId, imageId] = [v7(), v7(), v7()];
  // A block of its own: an address has one owner in the whole product.
  const block = worlds++;
  const network = `10.${Math.floor(block / 256)}.${block % 256}`;
  const addresses = Array.from({ length: options.addresses ?? 6 }, (_, n) => `${network}.${n + 2}`);
  await inTransaction(deps.db, async (tx) => {
    await insertLocation(
      tx,
      {
        id: locationId,
        name: locationId,
        city: "Falkenstein",
        country: "DE",
        nameservers: ["192.0.2.53"],
      },
      startedAt,
    );
    await insertPool(
      tx,
      {
        id: v7(),
        locationId,
        cidr: `${network}.0/24`,
        gateway: `${network}.1`,
        vlan: null,
        addresses,
      },
      startedAt,
    );
    await insertPlan(
      tx,
      {
        id: planId,
        name: planId,
        size: SIZE,
        trafficGib: 1024,
        bandwidthMbit: 1000,
        diskIops: null,
        downgrade: "renewal",
        available: true,
        prices: [
          {
            id: v7(),
            interval: "month",
            amount: { minor: MONTH, currency: "usd" },
            taxBehavior: null,
            stripePriceId: null,
          },
        ],
      },
      startedAt,
    );
    await insertImage(
      tx,
      {
        id: imageId,
        name: imageId,
        os: "linux",
        file: "debian-13",
        hypervisors: ["kvm", "hyperv"],
        minMemoryMib: 256,
        minDiskGib: 3,
        sha256: {},
        speaks: options.speaks ?? true,
        hardware: { ...PLAIN_HARDWARE, ...options.hardware },
        available: true,
      },
      startedAt,
    );
  });
  const hostId = await anEnrolledHost(cp, { locationId, places: options.places ?? 3, ...options });
  const buyer = await aBuyer(cp);
  return { startedAt, buyer, locationId, planId, imageId, hostId };
}

/** A host with room for `places` VMs of `SIZE`: what it keeps for itself comes on top. */
export async function anEnrolledHost(
  cp: ControlPlane,
  host: { locationId: string; places: number; testOnly?: boolean; facts?: Partial<HostFacts> },
): Promise<string> {
  const added = await addHost(cp.deps, SYSTEM, {
    name: v7(),
    locationId: host.locationId,
    testOnly: host.testOnly ?? false,
    cpuOvercommit: 4,
  });
  const { joinToken } = valueOf(added);
  const facts = hostFacts({ memoryMib: host.places * SIZE.memoryMib + 2048, ...host.facts });
  const publicKey = { kty: "OKP", crv: "Ed25519", x: aPublicKey() } as const;
  return valueOf(await enrollHost(cp.deps, { joinToken, publicKey, facts })).hostId;
}

/** Looks like an Ed25519 key, for tests that sign nothing with it. */
export const aPublicKey = (): string => `${v7().replaceAll("-", "")}abcdefghijk`;

/** As staff change a plan: its newest version with these fields otherwise. */
export async function aNewVersion(
  cp: ControlPlane,
  planId: string,
  over: Partial<AddPlanVersion>,
): Promise<number> {
  const newest = await loadNewestPlan(cp.deps.db, planId);
  if (!newest) throw new Error(`there is no plan ${planId}`);
  const { size, trafficGib, bandwidthMbit, diskIops, downgrade } = newest;
  const prices = newest.prices.map(({ interval, amount }) => ({
    interval,
    amountMinor: amount.minor.toString(),
    currency: amount.currency,
  }));
  const wanted = { ...size, trafficGib, bandwidthMbit, diskIops, downgrade, prices, ...over };
  return valueOf(await addPlanVersion(cp.deps, SYSTEM, planId, wanted)).version;
}

export async function aBuyer(cp: ControlPlane): Promise<AccountPrincipal> {
  const buyer = aPrincipal();
  const now = cp.clock.now();
  await cp.deps.db.insert(accountTables.accounts).values({
    id: buyer.accountId,
    email: buyer.email,
    name: buyer.name,
    role: buyer.role,
    emailVerified: true,
    createdAt: now,
    updatedAt: now,
  });
  return buyer;
}

export function valueOf<T>(result: Result<T, { code: string; detail: string }>): T {
  if (result.ok) return result.value;
  throw new Error(`refused: ${result.error.code}: ${result.error.detail}`);
}

/** What a client of this world would send. */
export const requestIn = (world: World, over: Record<string, unknown> = {}): PlaceOrder =>
  PlaceOrder.parse({
    planId: toWireId("plan", world.planId),
    imageId: toWireId("image", world.imageId),
    locationId: toWireId("location", world.locationId),
    hostname: "web-1.example.com",
    sshKeys: [AN_SSH_KEY],
    billingInterval: "month",
    // A world's orders are alike, and each is one of its own.
    another: true,
    ...over,
  });

/** Sends an order as the route does. */
export const sendOrder = (
  cp: ControlPlane,
  world: World,
  given: {
    key?: string;
    buyer?: AccountPrincipal;
    request?: Record<string, unknown>;
    callerAddress?: string;
  } = {},
): Promise<Result<AnsweredOrder, PlaceOrderRefusal>> =>
  placeOrder(
    cp.deps,
    {
      buyer: given.buyer ?? world.buyer,
      key: given.key ?? v7(),
      request: requestIn(world, given.request),
      callerAddress: given.callerAddress,
    },
    ({ order, checkoutUrl }) => ({ order: toOrderView(order), checkoutUrl }),
  );

export type AnOrder = Readonly<{ orderId: string; vmId: string; checkoutUrl: string }>;

export async function aPlacedOrder(cp: ControlPlane, world: World): Promise<AnOrder> {
  const placed = valueOf(await sendOrder(cp, world));
  const orderId = idIn("order").parse(placed.order.id);
  const [row] = await cp.rows("select vm_id from orders where id = $1", orderId);
  const { checkoutUrl } = placed;
  if (checkoutUrl === null) throw new Error(`order ${orderId} has no page`);
  return { orderId, vmId: String(row?.["vm_id"]), checkoutUrl };
}

/*
 * An order's steps are some seconds apart, each by another number of them: an instant that stands where another one's
 * belongs is seen.
 */

/** Paid at the stand-in; its webhooks wait. */
export async function aPaidOrder(cp: ControlPlane, world: World, card?: string): Promise<AnOrder> {
  const order = await aPlacedOrder(cp, world);
  cp.clock.advance(17_000);
  const status = await cp.stripe.pay(order.checkoutUrl, card);
  if (status !== 303) throw new Error(`the payment was answered with ${status}`);
  return order;
}

/** Paid, and followed: the VM's row is there, and its host knows of it. */
export async function aProvisionedVm(
  cp: ControlPlane,
  world: World,
  card?: string,
): Promise<AnOrder> {
  const order = await aPaidOrder(cp, world, card);
  cp.clock.advance(3_000);
  await cp.pump();
  return order;
}

/** Runs, and its guest was seen. */
export async function anActiveVm(cp: ControlPlane, world: World, card?: string): Promise<AnOrder> {
  const order = await aProvisionedVm(cp, world, card);
  cp.clock.advance(29_000);
  await hostSees(cp, world.hostId, order.vmId, { observed: { guest: GUEST } });
  return order;
}

export const GUEST = { source: "console", hostname: "web-1" } as const;

type Seen = Parameters<typeof aVmReport>[0];

/** What the host would report of the VM as it is desired now. */
export async function reportOf(cp: ControlPlane, vmId: string, seen: Seen = {}): Promise<VmReport> {
  const vm = await loadVm(cp.deps.db, vmId);
  if (!vm) throw new Error(`there is no VM ${vmId}`);
  return aVmReport({ vmId, generation: vm.generation, ownerEpoch: vm.ownerEpoch, ...seen });
}

/** The host reports this VM, and only this one. */
export async function hostSees(
  cp: ControlPlane,
  hostId: string,
  vmId: string,
  seen: Seen = {},
  more: Partial<AgentReport> = {},
): Promise<{ accepted: number; ignored: number }> {
  const vms = [await reportOf(cp, vmId, seen)];
  return valueOf(await recordReport(cp.deps, hostId, anAgentReport({ vms, ...more })));
}

import { v7 } from "uuid";
import type { DesiredVm } from "#core/contracts/agent/desired.ts";
import { UNDERSTOOD } from "#core/contracts/agent/protocol.ts";
import type {
  AgentReport,
  DriverCapabilities,
  HeldImage,
  HostFacts,
  ObservedVm,
  VmReport,
} from "#core/contracts/agent/report.ts";
import type { UsageSample } from "#core/contracts/agent/usage.ts";
import { SCOPES_OF_ROLE, type AccountPrincipal, type Role } from "#core/accounts/accounts.ts";
import { QUOTE_LIFE_MS, type Quote } from "#core/billing/quote.ts";
import type { SubscriptionState } from "#core/billing/payments.ts";
import type { HostCandidate } from "#core/hosts/place-vm.ts";
import type { Order } from "#core/orders/order.ts";
import type { KnownOfVm } from "#core/vms/judge-report.ts";

/* Valid defaults; a test states only what matters to it (style §15). */

export const AT = new Date("2026-03-01T12:00:00.000Z");
export const minutesAfter = (minutes: number, from = AT): Date =>
  new Date(+from + minutes * 60_000);

export const anOrder = (over: Partial<Order> = {}): Order => ({
  id: v7(),
  accountId: v7(),
  vmId: v7(),
  state: "awaiting_payment",
  planId: v7(),
  planVersion: 3,
  imageId: v7(),
  locationId: v7(),
  hostname: "web-1.example.com",
  sshKeys: [AN_SSH_KEY],
  userData: null,
  rootPassword: false,
  billingInterval: "month",
  listMinor: 500n,
  discountMinor: 0n,
  taxMinor: 0n,
  currency: "usd",
  checkoutId: null,
  checkoutUrl: null,
  byCard: false,
  trialPolicy: null,
  cardId: null,
  subscriptionId: null,
  declineCode: null,
  expiresAt: minutesAfter(31),
  paidAt: null,
  createdAt: AT,
  newcomer: false,
  network: null,
  version: 1,
  ...over,
});

export const AN_SSH_KEY =
  "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKqP0kX9y0m0x9Jf5dJ0qCq0y8n3q7r5W2s1t4u6v8wx ada@example";

export const aPrincipal = (over: Partial<AccountPrincipal> = {}): AccountPrincipal => {
  const role: Role = over.role ?? "customer";
  const accountId = over.accountId ?? v7();
  return {
    accountId,
    email: `${accountId}@example.com`,
    name: "Ada",
    role,
    scopes: SCOPES_OF_ROLE[role],
    via: "session",
    ...over,
  };
};

export const ALL_CAPABILITIES: DriverCapabilities = {
  hotResize: true,
  hotVcpus: true,
  hotMemory: true,
  hotDiskGrow: true,
  gracefulStop: true,
  liveSnapshot: true,
  rootPassword: true,
  bios: true,
  uefi: true,
  secureBoot: true,
  secureBootUefiCa: true,
  diskBus: true,
  adoptDisk: true,
  restoreTrash: true,
  moveCold: true,
  moveLive: true,
  bandwidthLimit: true,
  iopsLimit: true,
};

export const aHostCandidate = (over: Partial<HostCandidate> = {}): HostCandidate => ({
  id: v7(),
  state: "active",
  hypervisor: "kvm",
  platform: "kvm",
  cpuThreads: 64,
  accelerator: "hardware",
  capabilities: ALL_CAPABILITIES,
  testOnly: false,
  free: { vcpus: 64, memoryMib: 65_536, diskGib: 1000, vms: 100 },
  lastSeenAt: AT,
  understands: UNDERSTOOD,
  images: null,
  ...over,
});

export const aHeldImage = (over: Partial<HeldImage> = {}): HeldImage => ({
  file: "debian-13",
  virtualBytes: 3 * 2 ** 30,
  sha256: "d".repeat(64),
  changed: false,
  ...over,
});

export const hostFacts = (over: Partial<HostFacts> = {}): HostFacts => ({
  hypervisor: "kvm",
  hypervisorVersion: "QEMU 10.1",
  osVersion: "Debian GNU/Linux 13 (trixie), Linux 6.12.48",
  accelerator: "hardware",
  capabilities: ALL_CAPABILITIES,
  cpuThreads: 64,
  memoryMib: 16 * 1024,
  diskGib: 10_000,
  agentVersion: "0.1.0",
  images: [aHeldImage()],
  ...over,
});

/** As the wire names a VM with something in every field, no two alike: what is mixed up or lost shows. */
export const aVmOfEveryField = (over: Partial<DesiredVm> = {}): DesiredVm => ({
  vmId: "0199f0a2-b3c4-7d5e-8f90-000000000001",
  generation: 12,
  ownerEpoch: 3,
  presence: "present",
  mayCreate: false,
  power: "off",
  stopMode: "firm",
  entitledUntil: "2026-04-01T12:00:00.001Z",
  hostname: "web-1.example.com",
  size: { vcpus: 2, memoryMib: 2048, diskGib: 40 },
  image: {
    id: "0199f0a2-b3c4-7d5e-8f90-000000000002",
    file: "freebsd-15",
    os: "freebsd",
    minMemoryMib: 512,
  },
  nics: [
    {
      mac: "52:54:00:0a:0b:0c",
      ipv4: { address: "192.0.2.10", prefix: 24, gateway: "192.0.2.1" },
      vlan: 7,
      bandwidthMbit: 200,
    },
  ],
  nameservers: ["192.0.2.53", "198.51.100.53"],
  sshKeys: [AN_SSH_KEY, `${AN_SSH_KEY}-2`],
  userData: "#cloud-config\n",
  diskIops: 900,
  pendingActions: [{ id: "0199f0a2-b3c4-7d5e-8f90-000000000003", type: "reset" }],
  ...over,
});

export const anObservedVm = (over: Partial<ObservedVm> = {}): ObservedVm => ({
  vmId: v7(),
  ownerEpoch: 1,
  power: "running",
  size: { vcpus: 1, memoryMib: 1024, diskGib: 20 },
  complete: true,
  bootEpoch: "boot-1",
  guest: null,
  seeded: true,
  ...over,
});

/** A report of a VM that runs; `observed` may be given in part. */
export function aVmReport(
  over: Omit<Partial<VmReport>, "observed"> & { observed?: Partial<ObservedVm> | null } = {},
): VmReport {
  const vmId = over.vmId ?? v7();
  const ownerEpoch = over.ownerEpoch ?? 1;
  return {
    generation: 1,
    settled: true,
    error: null,
    ...over,
    vmId,
    ownerEpoch,
    observed: over.observed === null ? null : anObservedVm({ vmId, ownerEpoch, ...over.observed }),
  };
}

export const anAgentReport = (over: Partial<AgentReport> = {}): AgentReport => ({
  desiredGeneration: 1,
  vms: [],
  actions: [],
  strangers: [],
  facts: null,
  ...over,
});

export const whatIsKnown = (over: Partial<KnownOfVm> = {}): KnownOfVm => ({
  hostname: "web-1.example.com",
  generation: 1,
  ownerEpoch: 1,
  presence: "present",
  observedPower: null,
  observedGeneration: 0,
  firstSeenAt: null,
  runningSince: null,
  firstRunningAt: null,
  ranMs: 0,
  guestReadyAt: null,
  bootEpoch: null,
  seenVcpus: null,
  seenMemoryMib: null,
  seenDiskGib: null,
  seenLimitsKnown: false,
  seenBandwidthMbit: null,
  seenDiskIops: null,
  seenHotVcpus: null,
  lastErrorCode: null,
  lastErrorDetail: null,
  lastErrorSince: null,
  lastErrorTimes: 0,
  lostAt: null,
  ...over,
});

/** One minute of a little work, ending at `AT`. */
export const aSample = (over: Partial<UsageSample> = {}): UsageSample => ({
  vmId: v7(),
  bootEpoch: "boot-1",
  seq: 1,
  from: minutesAfter(-1).toISOString(),
  to: AT.toISOString(),
  cpuNs: "1000000",
  rxBytes: ["1000"],
  txBytes: ["2000"],
  readBytes: "3000",
  writeBytes: "4000",
  memoryBytes: "1073741824",
  diskBytes: "5000000",
  ...over,
});

export const aSubscription = (over: Partial<SubscriptionState> = {}): SubscriptionState => ({
  id: "sub_1",
  orderId: null,
  customerId: "cus_1",
  status: "active",
  trialEnd: null,
  paidUntil: new Date("2026-04-01T12:00:00.000Z"),
  items: [{ minor: 500n, currency: "usd", interval: "month", intervalCount: 1, quantity: 1 }],
  cancelAt: null,
  version: null,
  ...over,
});

/** Twice as large for the rest of a month, which is paid first: 30 days, of which 10 are over. */
export const aQuote = (over: Partial<Quote> = {}): Quote => {
  const until = minutesAfter(20 * 24 * 60);
  const usd = (minor: bigint) => ({ minor, currency: "usd" }) as const;
  return {
    id: v7(),
    vmId: v7(),
    askedBy: v7(),
    from: {
      planId: v7(),
      planVersion: 3,
      price: { interval: "month", amount: usd(600n) },
      machine: { vcpus: 1, memoryMib: 1024, diskGib: 20, bandwidthMbit: 1000, diskIops: null },
    },
    to: {
      planId: v7(),
      planVersion: 5,
      price: { interval: "month", amount: usd(1500n) },
      machine: { vcpus: 2, memoryMib: 3072, diskGib: 40, bandwidthMbit: null, diskIops: 700 },
    },
    when: "now",
    billing: "prorate",
    order: "pay_first",
    paysBy: "card",
    method: "restart",
    downSeconds: 150,
    dueNow: usd(714n),
    credit: usd(0n),
    tax: usd(114n),
    lines: [
      { kind: "credit", amount: usd(-400n), from: AT, until, credits: "il_1" },
      { kind: "debit", amount: usd(1000n), from: AT, until, credits: null },
    ],
    differsBy: usd(-1n),
    at: AT,
    appliesAt: AT,
    basis: "a".repeat(64),
    createdAt: AT,
    expiresAt: new Date(+AT + QUOTE_LIFE_MS),
    ...over,
  };
};

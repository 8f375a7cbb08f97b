import { diskFormatBetween, HYPERVISOR_NAMES } from "#core/hosts/limits.ts";
import type { HostFacts } from "#core/contracts/agent/report.ts";
import { MOVE } from "#core/contracts/agent/protocol.ts";
import {
  silentBefore,
  whyNotHere,
  type HostCandidate,
  type VmDemand,
} from "#core/hosts/place-vm.ts";
import { WHY_NOT_HERE, type WhyNotHere } from "#core/hosts/why-not-here.ts";
import type { ActionType } from "#core/vms/action.ts";
import type { DiskFormat } from "#core/vms/disk-format.ts";
import { SEED_GRACE_MS } from "#core/vms/plan-vm-step.ts";
import { notUnderstood } from "#core/vms/words.ts";
import type { DesiredPower, Presence } from "#core/vms/vm.ts";
import { driversAfter, firmwareAfter, firmwareLeft } from "./guest-needs.ts";
import type { MoveMethod, MoveStep } from "./move.ts";
import { whyNotOnCpu } from "./processors.ts";

/** What is looked at before a move, in the order in which it is told. Stable. */
export const MOVE_CHECKS = [
  "vm",
  "running_action",
  "first_boot",
  "entitlement",
  "source_host",
  "destination_host",
  "location",
  "network",
  "hypervisor",
  "cpu",
  "agents",
  "image",
  "limits",
  "capabilities",
  "room",
  "migration_address",
  "method",
] as const;
export type MoveCheck = (typeof MOVE_CHECKS)[number];

/** One check, what came of it, and why. */
export type Checked = Readonly<{ check: MoveCheck; ok: boolean; detail: string }>;

/** Under which check a placement's own reason is told. */
const CHECK_OF: Readonly<Record<WhyNotHere, MoveCheck>> = {
  not_enrolled: "destination_host",
  cordoned: "destination_host",
  draining: "destination_host",
  maintenance: "destination_host",
  retired: "destination_host",
  silent: "destination_host",
  facts_unreadable: "destination_host",
  nothing_sold: "destination_host",
  emulation_without_test_mark: "destination_host",
  emulation_not_allowed: "destination_host",
  other_hypervisor: "hypervisor",
  agent_old: "agents",
  image_missing: "image",
  image_changed: "image",
  image_differs: "image",
  image_beyond_disk: "image",
  beyond_limits: "limits",
  no_hot_resize: "capabilities",
  no_hot_vcpus: "capabilities",
  no_hot_memory: "capabilities",
  no_hot_disk_grow: "capabilities",
  no_graceful_stop: "capabilities",
  no_live_snapshot: "capabilities",
  no_root_password: "capabilities",
  no_bios: "capabilities",
  no_uefi: "capabilities",
  no_secure_boot: "capabilities",
  no_secure_boot_uefi_ca: "capabilities",
  no_disk_bus: "capabilities",
  no_adopt_disk: "capabilities",
  no_restore_trash: "capabilities",
  no_move: "capabilities",
  no_live_move: "capabilities",
  no_emulation: "capabilities",
  no_bandwidth_limit: "capabilities",
  no_iops_limit: "capabilities",
  full_vcpus: "room",
  full_memory: "room",
  full_disk: "room",
  full_vms: "room",
};

export type MovingVm = Readonly<{
  id: string;
  presence: Presence;
  desiredPower: DesiredPower;
  locationId: string;
  lostAt: Date | null;
  guestReadyAt: Date | null;
  silentFrom: Date | null;
  runningAction: ActionType | null;
  /** Of a move whose action may have ended: what it left is still to be put away. null: there is none. */
  openMove: MoveStep | null;
  /** It may not run, whatever was asked of it. */
  isSuspended: boolean;
  /** Of its network cards; null: none, of one of them. Left out: they are looked at when the move begins. */
  vlans?: readonly (number | null)[];
}>;

/** A host at one end, as it is known. */
export type End = Readonly<{
  host: Readonly<{ id: string; name: string; locationId: string }>;
  candidate: HostCandidate;
  facts: HostFacts;
}>;

export type Preflight = Readonly<{
  checks: readonly Checked[];
  /** null: it cannot be moved there. */
  method: MoveMethod | null;
  /** What of it does not go with it. */
  leaves: readonly string[];
}>;

/** Looks at all that a move of the VM from one host to another stands on. It is refused if any check is not ok. */
export function preflight(
  vm: MovingVm,
  demand: VmDemand,
  { source, destination }: Readonly<{ source: End; destination: End }>,
  wanted: MoveMethod | "auto",
  now: Date,
): Preflight {
  const against = [
    ...whyNotHere(destination.candidate, { ...demand, needs: [...demand.needs, "moveCold"] }, now),
  ];
  const chosen = chooseMethod(vm, { source, destination }, wanted);
  const own: readonly (Checked | null)[] = [
    ofVm(vm),
    ...ofSource(source, now),
    fact("location", source.host.locationId === destination.host.locationId, {
      ok: "both hosts are in one location, whose addresses both serve",
      not: "the hosts are in two locations: its address would not reach it there",
    }),
    ofVlans(vm, destination),
    ...ofHypervisors(demand, source, destination),
    ofCpus(source, destination, chosen.method),
    fact("agents", knowMoves(source) && knowMoves(destination), {
      ok: "both agents know moves",
      not: "one of the two agents is too old to know moves",
    }),
    fact("migration_address", destination.facts.migrationAddress !== undefined, {
      ok: `it takes disks at ${addressOf(destination)}`,
      not: "its agent takes no disks: it was given no address for that (`moves.listen`)",
    }),
    chosen.checked,
    ...ofTime(vm, now),
    vm.isSuspended
      ? { check: "entitlement", ok: true, detail: "it is suspended, and arrives off" }
      : { check: "entitlement", ok: true, detail: "it arrives in the power that it is to have" },
  ];
  const found = [
    ...own.filter((checked) => checked !== null),
    ...against.map((code) => ({ check: CHECK_OF[code], ok: false, detail: WHY_NOT_HERE[code] })),
  ];
  if (source.host.id === destination.host.id)
    found.push({ check: "destination_host", ok: false, detail: "it is on this host already" });
  const checks = MOVE_CHECKS.flatMap((check): readonly Checked[] => {
    const of = found.filter((checked) => checked.check === check);
    const bad = of.filter(({ ok }) => !ok);
    if (bad.length > 0) return bad;
    return of.length > 0
      ? of.slice(0, 1)
      : [{ check, ok: true, detail: FINE[check] ?? "nothing stands against it" }];
  });
  const method = checks.every(({ ok }) => ok) ? chosen.method : null;
  const left = firmwareLeft(demand.image, source.facts.hypervisor);
  // A hypervisor that hands over a guest that runs hands over what its firmware holds.
  return { checks, method, leaves: method === "cold" && left !== null ? [left] : [] };
}

const FINE: Readonly<Partial<Record<MoveCheck, string>>> = {
  destination_host: "it takes VMs",
  image: "it holds the image, with the checksum of the catalogue",
  limits: "the VM is within what its hypervisor supports",
  capabilities: "it can do what was bought",
  room: "it has room for the VM",
};

const fact = (check: MoveCheck, ok: boolean, says: { ok: string; not: string }): Checked => ({
  check,
  ok,
  detail: ok ? says.ok : says.not,
});

function ofVm(vm: MovingVm): Checked {
  const why =
    vm.presence === "absent"
      ? "it is to be deleted"
      : vm.lostAt !== null
        ? "its host says that it is not there: repair it first"
        : null;
  return { check: "vm", ok: why === null, detail: why ?? "it is there" };
}

/** What its guest reads once it reads while it boots for the first time; that does not go with it. */
function ofTime(vm: MovingVm, now: Date): readonly Checked[] {
  const upSince = vm.guestReadyAt ?? vm.silentFrom;
  const isBooted = upSince !== null && +now - +upSince >= SEED_GRACE_MS;
  const { runningAction: running, openMove } = vm;
  return [
    fact("first_boot", isBooted, {
      ok: "its first boot is over",
      not: `its first boot is not over: it is within ${SEED_GRACE_MS / 60_000} minutes of when its guest was first seen`,
    }),
    fact("running_action", running === null && openMove === null, {
      ok: "nothing is done with it now",
      not:
        running === null
          ? `its last move is at ${openMove}: a host has still to put away what that left`
          : `a ${running} is running`,
    }),
  ];
}

function ofSource({ candidate, facts }: End, now: Date): readonly Checked[] {
  const { lastSeenAt } = candidate;
  const silent = lastSeenAt === null || lastSeenAt < silentBefore(now);
  return [
    fact("source_host", !silent, { ok: "its host is heard of", not: "its host is silent" }),
    fact("capabilities", facts.capabilities.moveCold === true, {
      ok: "both hosts can move VMs",
      not: "its host cannot give a VM away",
    }),
  ];
}

const knowMoves = ({ candidate }: End): boolean =>
  notUnderstood([MOVE], candidate.understands ?? []).length === 0;

const addressOf = ({ facts: { migrationAddress: at } }: End): string =>
  at ? `${at.host}:${at.port}` : "no address";

/** In what the disk goes; null: these two hosts have no format in common. Where hypervisors differ, the KVM end converts. */
export function formatBetween(source: HostFacts, destination: HostFacts): DiskFormat | null {
  const isSimulated = source.accelerator === "simulated";
  if (isSimulated !== (destination.accelerator === "simulated")) return null;
  if (isSimulated) return "simulated";
  return diskFormatBetween(source.hypervisor, destination.hypervisor);
}

function ofHypervisors({ image }: VmDemand, source: End, destination: End): readonly Checked[] {
  const format = formatBetween(source.facts, destination.facts);
  const [from, to] = [source.facts.hypervisor, destination.facts.hypervisor];
  const [there, here] = [HYPERVISOR_NAMES[to], HYPERVISOR_NAMES[from]];
  const say = (ok: boolean, detail: string): Checked => ({ check: "hypervisor", ok, detail });
  if (format === null) return [say(false, "one of the two hosts only simulates its guests")];
  if (from === to) return [say(true, `${there} on both`)];
  const way = `${here} to ${there}`;
  // What is only simulated has no machine that its guest would have to know.
  if (format === "simulated") return [say(true, `${way}, both simulated`)];
  const verdicts = [firmwareAfter(image, from, to), driversAfter(image, to)];
  const bad = verdicts.filter(({ ok }) => !ok);
  return bad.length > 0
    ? bad.map(({ detail }) => say(false, `${way}: ${detail}`))
    : [say(true, [`${way}, its disk is converted`, ...verdicts.map((v) => v.detail)].join("; "))];
}

function ofVlans({ vlans = [] }: MovingVm, { facts }: End): Checked {
  const missing = vlans.filter((vlan) => vlan !== null && facts.vlans?.includes(vlan) === false);
  return fact("network", missing.length === 0, {
    ok: "its network is there",
    not: `that host has no bridge for VLAN ${missing.join(", ")}`,
  });
}

function ofCpus(source: End, destination: End, method: MoveMethod): Checked {
  if (method === "cold")
    return { check: "cpu", ok: true, detail: "it boots with the processors of that host" };
  const [from, to] = [source.facts.cpu, destination.facts.cpu];
  const why = whyNotOnCpu(from, to);
  return fact("cpu", why === null, {
    ok:
      from && to
        ? "that host's processors can all that its host's can"
        : "a host does not say what its processors can: the hypervisors look before anything is copied",
    not: why ?? "",
  });
}

function chooseMethod(
  vm: MovingVm,
  { source, destination }: Readonly<{ source: End; destination: End }>,
  wanted: MoveMethod | "auto",
): { method: MoveMethod; checked: Checked } {
  const whyNotLive =
    vm.desiredPower === "off" || vm.isSuspended
      ? "it is off"
      : source.facts.hypervisor !== destination.facts.hypervisor
        ? "the two hosts have different hypervisors"
        : source.facts.capabilities.moveLive !== true
          ? "its host moves no VM that runs"
          : destination.facts.capabilities.moveLive !== true
            ? "that host takes no VM that runs"
            : whyNotOnCpu(source.facts.cpu, destination.facts.cpu);
  const checked = (ok: boolean, detail: string): Checked => ({ check: "method", ok, detail });
  if (wanted === "cold")
    return { method: "cold", checked: checked(true, "cold, as asked: it is off meanwhile") };
  if (whyNotLive === null)
    return { method: "live", checked: checked(true, "live: its guest pauses for a moment") };
  return wanted === "live"
    ? { method: "live", checked: checked(false, `not live: ${whyNotLive}`) }
    : { method: "cold", checked: checked(true, `cold, not live: ${whyNotLive}`) };
}

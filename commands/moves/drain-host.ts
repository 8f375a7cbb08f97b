import { actorOf, type AccountPrincipal } from "#core/accounts/accounts.ts";
import { nextHostState, type HostState } from "#core/hosts/host-state.ts";
import {
  decideWindow,
  type AskedWindow,
  type MaintenanceWindow,
  type WindowRefusal,
} from "#core/hosts/maintenance.ts";
import { doesPass, whyNotNow, type DrainMethod, type WhyNotDrained } from "#core/moves/drain.ts";
import type { MoveMethod } from "#core/moves/move.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import type { Tx } from "#db/client.ts";
import { loadHost, lockHost, saveHostState, type Host } from "#db/hosts/hosts.ts";
import {
  insertDrain,
  latestDrainOf,
  lockOpenDrain,
  vmsToMove,
  type Drain,
} from "#db/moves/drains.ts";
import { recordChange } from "#db/record-change.ts";
import { inTransaction } from "#db/transaction.ts";
import { stamp, type Deps } from "#commands/deps.ts";
import { hashOf, refuseOther, type Asked, type ForcedPlan } from "#commands/forced.ts";
import { openDrainWindow } from "./drain-window.ts";
import { concludeDrain, seenAt } from "./follow-drain.ts";
import { planMove, type MovePlan, type Taken } from "./plan-move.ts";

export type DrainRefusal =
  | Refusal<"host_not_found" | "host_wrong_state" | "plan_changed">
  | WindowRefusal;
type AskedDrain = Asked &
  Readonly<{
    who: AccountPrincipal;
    hostId: string;
    reason: string;
    method: DrainMethod;
    maxParallel: number;
    /** In which running VMs may be stopped, and of which customers are told before; left out: whenever their turn comes. */
    window?: AskedWindow | undefined;
  }>;

/** What would become of a VM now. */
export type PlannedVm = Readonly<{
  vmId: string;
  hostname: string;
  /** null: none was found, or it cannot go there. */
  to: Readonly<{ host: Pick<Host, "id" | "name">; method: MoveMethod }> | null;
  why: (WhyNotDrained & Readonly<{ passes: boolean }>) | null;
  /** It runs, and would be stopped. */
  interrupts: boolean;
}>;
type Times = Pick<MaintenanceWindow, "startsAt" | "endsAt" | "noticeHours">;
export type DrainPlan = ForcedPlan & Readonly<{ vms: readonly PlannedVm[]; done: boolean }>;

/**
 * Empties a host: it gets nothing new, and its VMs move away, so many at once (`follow-drain.ts`). The plan is by the score of placement, as if each VM
 * that goes before had its room already; nothing is held by it, and each VM is planned anew at its turn. So the hash names who moves, how,
 * and what stands against it, and not where to.
 */
export async function drainHost(
  deps: Deps,
  asked: AskedDrain,
): Promise<Result<DrainPlan, DrainRefusal>> {
  const host = await loadHost(deps.db, asked.hostId);
  if (!host) return refuse("host_not_found", "no such host");
  if (nextHostState(host.state, "drain") === undefined)
    return refuse("host_wrong_state", whyNot(host.state));
  const open = await latestDrainOf(deps.db, host.id);
  if (host.state === "draining" && open?.outcome === null) return drainedAlready(asked, host, open);
  const window = asked.window && decideWindow(null, asked.window, deps.clock.now());
  if (window && !window.ok) return window;
  const vms = await planVms(deps, host.id, asked.method);
  const { method, maxParallel } = asked;
  const shown = {
    effects: effectsOf(vms, maxParallel, window?.value ?? null),
    hash: hashOf({
      hostId: host.id,
      state: host.state,
      method,
      maxParallel,
      window: asked.window && [
        asked.window.startsAt?.toISOString() ?? null,
        asked.window.endsAt.toISOString(),
        window?.value.noticeHours,
      ],
      vms: vms.map(({ vmId, to, why }) => ({ vmId, by: to?.method, against: why?.reason })),
    }),
    vms,
  };
  if (asked.dryRun) return ok({ ...shown, done: false });
  const same = refuseOther(shown, asked.hash);
  if (!same.ok) return same;
  const begun = await inTransaction(deps.db, (tx) =>
    begin(deps, tx, asked, { host, vms, window: window?.value ?? null }),
  );
  return begun.ok ? ok({ ...shown, done: true }) : begun;
}

function drainedAlready(
  asked: AskedDrain,
  host: Host,
  { id }: Drain,
): Result<DrainPlan, Refusal<"plan_changed">> {
  const shown = {
    effects: ["nothing: it is drained already"],
    hash: hashOf({ hostId: host.id, state: host.state, drainId: id }),
  };
  if (asked.dryRun) return ok({ ...shown, vms: [], done: false });
  const same = refuseOther(shown, asked.hash);
  return same.ok ? ok({ ...shown, vms: [], done: true }) : same;
}

/** Each VM in a transaction of its own: none is held while others are looked at. */
async function planVms(
  deps: Deps,
  hostId: string,
  method: DrainMethod,
): Promise<readonly PlannedVm[]> {
  const taken = new Map<string, NonNullable<ReturnType<Taken["get"]>>>();
  const planned: PlannedVm[] = [];
  for (const { vmId, hostname } of await vmsToMove(deps.db, hostId)) {
    const result = await inTransaction(deps.db, (tx) =>
      planMove(tx, { vmId, method, taken }, deps.clock.now()),
    );
    if (!result.ok) continue;
    const plan = result.value;
    const seen = seenAt(hostId, plan);
    if (!seen.isHere) continue;
    const why = whyNotNow(seen);
    const to = whereTo(plan);
    const { interrupts } = seen;
    planned.push({ vmId, hostname, to, interrupts, why: why && { ...why, passes: doesPass(why) } });
    // What waits for something that passes needs its room there too.
    if (plan.destination && (why === null || doesPass(why))) take(taken, plan.destination.id, plan);
  }
  return planned;
}

const whereTo = ({ destination, way }: MovePlan): PlannedVm["to"] =>
  destination &&
  way && { host: { id: destination.id, name: destination.name }, method: way.method };

function take(
  taken: Map<string, NonNullable<ReturnType<Taken["get"]>>>,
  hostId: string,
  { vm }: MovePlan,
): void {
  const before = taken.get(hostId) ?? { vcpus: 0, memoryMib: 0, diskGib: 0, vms: 0 };
  taken.set(hostId, {
    vcpus: before.vcpus + vm.vcpus,
    memoryMib: before.memoryMib + vm.memoryMib,
    diskGib: before.diskGib + vm.diskGib,
    vms: before.vms + 1,
  });
}

/**
 * The host changes its state, and its drain begins; its VMs get their rows with the first round. The drain's row first, then the host's: as
 * whoever follows a drain takes them.
 */
async function begin(
  deps: Deps,
  tx: Tx,
  asked: AskedDrain,
  planned: Readonly<{ host: Host; vms: readonly PlannedVm[]; window: Times | null }>,
): Promise<Result<null, Refusal<"plan_changed">>> {
  const at = stamp(deps);
  const actor = actorOf(asked.who);
  const before = await lockOpenDrain(tx, { hostId: planned.host.id });
  const host = await lockHost(tx, planned.host.id);
  const to = host && nextHostState(host.state, "drain");
  if (!host || to === undefined || host.state !== planned.host.state)
    return refuse("plan_changed", "the host was brought into another state meanwhile");
  if (before && host.state === "draining") return refuse("plan_changed", "it is drained already");
  if (!isSame(await vmsToMove(tx, host.id), planned.vms))
    return refuse("plan_changed", "it has other VMs than a moment ago");
  // Nobody has looked since it was stopped.
  if (before) await concludeDrain(tx, before, "stopped", at, actor);
  const id = at.newId();
  const { reason, method, maxParallel } = asked;
  await saveHostState(tx, host.id, { state: to, maintenanceUntil: null });
  const window = planned.window && (await openDrainWindow(tx, host.id, planned.window, at, actor));
  await insertDrain(tx, {
    id,
    hostId: host.id,
    askedBy: asked.who.accountId,
    reason,
    method,
    maxParallel,
    windowId: window?.id ?? null,
    startedAt: at.now,
  });
  await recordChange(
    tx,
    {
      actor,
      action: "host.drain",
      subject: { kind: "host", id: host.id },
      detail: {
        reason,
        from: host.state,
        to,
        drain_id: id,
        method,
        max_parallel: maxParallel,
        ...(window && {
          window_id: window.id,
          starts_at: window.startsAt.toISOString(),
          ends_at: window.endsAt.toISOString(),
          notice_hours: window.noticeHours,
        }),
      },
      events: [
        ...(to === host.state
          ? []
          : [{ name: "host.state_changed.v1" as const, data: { hostId: host.id } }]),
        { name: "drain.began.v1", data: { drainId: id, hostId: host.id } },
        { name: "drain.fell_due.v1", data: { drainId: id } },
      ],
    },
    at,
  );
  return ok(null);
}

const isSame = (
  here: readonly { vmId: string }[],
  planned: readonly { vmId: string }[],
): boolean => {
  const ids = new Set(planned.map(({ vmId }) => vmId));
  return here.every(({ vmId }) => ids.has(vmId));
};

const whyNot = (state: HostState): string =>
  state === "maintenance"
    ? "this host is in maintenance: cordon it first"
    : `this host is ${state}`;

function effectsOf(
  vms: readonly PlannedVm[],
  maxParallel: number,
  window: Times | null,
): readonly string[] {
  const by = (method: MoveMethod) =>
    vms.filter(({ to, why }) => why === null && to?.method === method).length;
  const waiting = vms.filter(({ why }) => why?.passes === true).length;
  const staying = vms.filter(({ why }) => why?.passes === false).length;
  const lines: readonly (readonly [number, string])[] = [
    [by("live"), "move while they run"],
    [by("cold"), "are off while their disks are copied, if they run"],
    [
      waiting,
      window === null
        ? "cannot move now, and are tried again for an hour"
        : "cannot move now, and are tried again until the announced time, and for an hour of it",
    ],
    [staying, "stay: something stands against their moves that does not pass"],
  ];
  return [
    "it gets no new VMs, and no VM on it grows",
    `its VMs move away, ${maxParallel} at once: ${vms.length} in all`,
    ...lines.flatMap(([n, what]) => (n === 0 ? [] : [`${n} ${what}`])),
    ...(window ? [whenStopped(window)] : []),
  ];
}

const whenStopped = ({ startsAt, endsAt, noticeHours }: Times): string =>
  `what runs is stopped for it between ${startsAt.toISOString()} and ${endsAt.toISOString()} alone, of which its customers are told ` +
  (noticeHours === 0 ? "at its beginning" : `${noticeHours} hours before`);

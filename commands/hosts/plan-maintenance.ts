import { actorOf, type AccountPrincipal } from "#core/accounts/accounts.ts";
import { nextHostState } from "#core/hosts/host-state.ts";
import {
  decideWindow,
  isToldOtherwise,
  noticeAt,
  type AskedWindow,
  type MaintenanceWindow,
  type WindowRefusal,
} from "#core/hosts/maintenance.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import type { Tx } from "#db/client.ts";
import { lockHost, saveHostState, type Host } from "#db/hosts/hosts.ts";
import { insertWindow, openWindowOf, peopleOn, saveWindow } from "#db/hosts/maintenance.ts";
import { recordChange, type Actor } from "#db/record-change.ts";
import { stamp, type Deps } from "#commands/deps.ts";
import { force, type Asked, type ForcedPlan, type Planned } from "#commands/forced.ts";
import { cancelWindow, endOverruns, type MoveRefusal } from "./move-host.ts";
import { logFindings, NOTHING_NOTED, type NotedFindings } from "./note-findings.ts";
import { tellOfWindow } from "./tell-of-maintenance.ts";

type Input = Asked & Readonly<{ who: AccountPrincipal; hostId: string; reason: string }>;
type Times = Pick<MaintenanceWindow, "startsAt" | "endsAt" | "noticeHours">;
type At = Readonly<{ now: Date; newId: () => string }>;

/**
 * Plans a maintenance of a host, gives another time to one that is planned, or another end to one that runs. It begins by itself
 * when its time has come, at once where that is now, and goes on until the host is activated or cordoned.
 */
export async function planMaintenance(
  deps: Deps,
  input: Input & { window: AskedWindow },
): Promise<Result<ForcedPlan, MoveRefusal | WindowRefusal | Refusal<"plan_changed">>> {
  type Refused = MoveRefusal | WindowRefusal;
  const planned = await force(
    deps,
    input,
    async (tx): Promise<Result<Planned<NotedFindings, Refused>, Refused>> => {
      const host = await lockHost(tx, input.hostId);
      if (!host) return refuse("host_not_found", "no such host");
      if (nextHostState(host.state, "begin_maintenance") === undefined)
        return refuse("host_wrong_state", `this host is ${host.state}`);
      const at = stamp(deps);
      const open = (await openWindowOf(tx, host.id, "maintenance")) ?? null;
      const decided = decideWindow(open, input.window, at.now);
      if (!decided.ok) return decided;
      const { startsAt, endsAt, noticeHours } = input.window;
      const of = {
        hostId: host.id,
        state: host.state,
        open: open && [open.id, open.revision, open.noticeHours, open.begunAt !== null],
        asked: [startsAt?.toISOString() ?? null, endsAt.toISOString(), noticeHours ?? null],
      };
      if (open && isSame(open, decided.value))
        return ok({
          of,
          effects: [`nothing: its maintenance is ${spanOf(open)}`],
          act: () => Promise.resolve(ok(NOTHING_NOTED)),
        });
      return ok({
        of,
        effects: effectsOf(decided.value, {
          open,
          isNow: input.window.startsAt === undefined && open === null,
          people: await peopleOn(tx, host.id),
        }),
        act: async () => {
          const by = actorOf(input.who);
          const window = await write(tx, host.id, { open, to: decided.value }, at);
          await recordChange(
            tx,
            {
              actor: by,
              action: "host.plan_maintenance",
              subject: { kind: "host", id: host.id },
              detail: {
                reason: input.reason,
                window_id: window.id,
                starts_at: window.startsAt.toISOString(),
                ends_at: window.endsAt.toISOString(),
                notice_hours: window.noticeHours,
              },
              events: [
                { name: "maintenance.changed.v1", data: { windowId: window.id, hostId: host.id } },
              ],
            },
            at,
          );
          await tellOfWindow(tx, window, noticeAt(window) <= at.now ? "all" : "told", at, by);
          if (window.startsAt <= at.now) await beginMaintenance(tx, host, window, at, by);
          return ok(await endOverruns(tx, host.id, at, by));
        },
      });
    },
  );
  if (planned.ok && planned.value.done) logFindings(deps, planned.value.done);
  return planned;
}

const isSame = (open: MaintenanceWindow, to: Times): boolean =>
  !isToldOtherwise(open, to) && open.noticeHours === to.noticeHours;

async function write(
  tx: Tx,
  hostId: string,
  {
    open,
    to,
  }: {
    open: MaintenanceWindow | null;
    to: Times;
  },
  at: At,
): Promise<MaintenanceWindow> {
  if (open === null) {
    const begunAt = null;
    const made = {
      id: at.newId(),
      hostId,
      kind: "maintenance" as const,
      ...to,
      revision: 1,
      begunAt,
    };
    const window = { ...made, endedAt: null, cancelledAt: null };
    await insertWindow(tx, window, at.now);
    return window;
  }
  const revision = open.revision + (isToldOtherwise(open, to) ? 1 : 0);
  const window = { ...open, ...to, revision };
  await saveWindow(tx, window);
  return window;
}

/** The host is in maintenance until the window's end, whatever it was before. The caller holds the host. */
export async function beginMaintenance(
  tx: Tx,
  host: Pick<Host, "id" | "state">,
  window: MaintenanceWindow,
  at: At,
  by: Actor,
): Promise<void> {
  await saveHostState(tx, host.id, { state: "maintenance", maintenanceUntil: window.endsAt });
  if (window.begunAt !== null) return;
  await saveWindow(tx, { ...window, begunAt: at.now });
  await recordChange(
    tx,
    {
      actor: by,
      action: "host.begin_maintenance",
      subject: { kind: "host", id: host.id },
      detail: { window_id: window.id, from: host.state, to: "maintenance" },
      events: [{ name: "host.state_changed.v1", data: { hostId: host.id } }],
    },
    at,
  );
}

type CancelRefusal = Refusal<"host_not_found" | "no_maintenance">;

/** A maintenance that has not begun comes to nothing. */
export const cancelMaintenance = (
  deps: Deps,
  input: Input,
): Promise<Result<ForcedPlan, CancelRefusal | Refusal<"plan_changed">>> =>
  force(deps, input, async (tx): Promise<Result<Planned<null, CancelRefusal>, CancelRefusal>> => {
    const host = await lockHost(tx, input.hostId);
    if (!host) return refuse("host_not_found", "no such host");
    const window = await openWindowOf(tx, host.id, "maintenance");
    if (window === undefined) return refuse("no_maintenance", "none is planned for this host");
    if (window.begunAt !== null)
      return refuse("no_maintenance", "it has begun: activate the host, or cordon it, to end it");
    return ok({
      of: { hostId: host.id, window: window.id, revision: window.revision },
      effects: [
        `its maintenance ${spanOf(window)} is cancelled`,
        "customers who were told of it are told so",
      ],
      act: async () => {
        const { reason } = input;
        await cancelWindow(tx, window, { at: stamp(deps), by: actorOf(input.who), reason });
        return ok(null);
      },
    });
  });

const spanOf = ({ startsAt, endsAt }: Pick<MaintenanceWindow, "startsAt" | "endsAt">): string =>
  `from ${startsAt.toISOString()} to ${endsAt.toISOString()}`;

function effectsOf(
  to: Times,
  on: {
    open: MaintenanceWindow | null;
    isNow: boolean;
    people: Readonly<{ vms: number; accounts: number }>;
  },
): readonly string[] {
  const { open, isNow, people } = on;
  const { vms, accounts } = people;
  const until = `until ${to.endsAt.toISOString()}`;
  const whose = `${vms} VMs of ${accounts} customers are on it`;
  if (open?.begunAt)
    return [`its maintenance goes on ${until}`, `${whose}: they are told of another end`];
  return [
    isNow ? `its maintenance begins now, and goes on ${until}` : `its maintenance is ${spanOf(to)}`,
    to.noticeHours === 0 && isNow
      ? `${whose}: they are told now`
      : `${whose}: they are told ${to.noticeHours} hours before it begins`,
    ...(open && isToldOtherwise(open, to) ? ["who was told of the old time is told at once"] : []),
    "from its beginning it gets no new VMs, and is missed by nobody; no VM is moved or shut down by it",
    "it ends when the host is activated or cordoned",
  ];
}

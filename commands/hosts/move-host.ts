import { actorOf, type AccountPrincipal } from "#core/accounts/accounts.ts";
import { nextHostState, type HostCommand, type HostState } from "#core/hosts/host-state.ts";
import type { MaintenanceWindow } from "#core/hosts/maintenance.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import type { Tx } from "#db/client.ts";
import { holdingsOf, type Holdings } from "#db/hosts/holdings.ts";
import { lockHost, saveHostState, spendJoinTokens, type Host } from "#db/hosts/hosts.ts";
import { openOverrunsOf, openWindowOf, saveWindow } from "#db/hosts/maintenance.ts";
import { recordChange, type Actor } from "#db/record-change.ts";
import { stamp, type Deps } from "#commands/deps.ts";
import { force, type Asked, type ForcedPlan, type Planned } from "#commands/forced.ts";
import { endThese, logFindings, NOTHING_NOTED, type NotedFindings } from "./note-findings.ts";
import { tellOfWindow } from "./tell-of-maintenance.ts";

export type MoveRefusal = Refusal<"host_not_found" | "host_wrong_state">;
type RetireRefusal = MoveRefusal | Refusal<"host_not_empty">;
type Input = Asked & Readonly<{ who: AccountPrincipal; hostId: string; reason: string }>;
type Moved<R> = Promise<Result<ForcedPlan, R | Refusal<"plan_changed">>>;

/** Nothing new comes to the host, and nothing on it grows. What is on it stays as it is. Ends a maintenance that runs. */
export const cordonHost = (deps: Deps, input: Input): Moved<MoveRefusal> =>
  move(deps, input, "cordon", ({ host, window }) => [
    "it gets no new VMs, and no VM on it grows",
    ...endOf(host, window),
    `what is on it stays as it is: ${vmsOn(host)}`,
  ]);

/** The host gets VMs again. Ends a maintenance that runs; one that is planned stays planned. */
export const activateHost = (deps: Deps, input: Input): Moved<MoveRefusal> =>
  move(deps, input, "activate", ({ host, window }) => [
    "it gets VMs again, while its agent is heard of",
    ...endOf(host, window),
    ...(window && window.begunAt === null
      ? [`its maintenance from ${window.startsAt.toISOString()} stays planned`]
      : []),
  ]);

/** The host is gone for good, and whoever speaks for it is refused. Only one that holds nothing is retired. */
export const retireHost = (deps: Deps, input: Input): Moved<RetireRefusal> =>
  move(
    deps,
    input,
    "retire",
    ({ host, window }) => [
      "it is gone for good: its agent is refused from now on",
      ...endOf(host, window),
      ...(window && window.begunAt === null ? ["its planned maintenance is cancelled"] : []),
    ],
    async (tx, host) => {
      const held = heldBy(await holdingsOf(tx, host.id));
      if (held.length > 0) return refuse("host_not_empty", `it holds ${held.join(", ")}`);
      return host.restoredGeneration === null
        ? ok(null)
        : refuse(
            "host_not_empty",
            "it was not heard of since the database was restored: it may hold VMs of the hours that are lost",
          );
    },
  );

type Found = Readonly<{ host: Host; window: MaintenanceWindow | null }>;

async function move<R extends Refusal<string> = never>(
  deps: Deps,
  input: Input,
  command: HostCommand,
  effectsOf: (found: Found) => readonly string[],
  against: (tx: Tx, host: Host) => Promise<Result<null, R>> = () => Promise.resolve(ok(null)),
): Moved<MoveRefusal | R> {
  type Refused = MoveRefusal | R;
  const moved = await force(
    deps,
    input,
    async (tx): Promise<Result<Planned<NotedFindings, Refused>, Refused>> => {
      const host = await lockHost(tx, input.hostId);
      if (!host) return refuse("host_not_found", "no such host");
      const to = nextHostState(host.state, command);
      if (to === undefined || to === "maintenance")
        return refuse("host_wrong_state", whyNot(host.state, command));
      const window = (await openWindowOf(tx, host.id, "maintenance")) ?? null;
      if (to === host.state)
        return ok({
          of: { hostId: host.id, command, state: host.state },
          effects: [`nothing: it is ${host.state}`],
          act: () => Promise.resolve(ok(NOTHING_NOTED)),
        });
      const free = await against(tx, host);
      if (!free.ok) return free;
      return ok({
        of: { hostId: host.id, command, state: host.state, window: window?.id ?? null },
        effects: effectsOf({ host, window }),
        act: async () => {
          const at = stamp(deps);
          const by = actorOf(input.who);
          await saveHostState(tx, host.id, { state: to, maintenanceUntil: null });
          if (to === "retired") await spendJoinTokens(tx, host.id, at.now);
          await recordChange(
            tx,
            {
              actor: by,
              action: `host.${command}`,
              subject: { kind: "host", id: host.id },
              detail: { reason: input.reason, from: host.state, to },
              events: [{ name: "host.state_changed.v1", data: { hostId: host.id } }],
            },
            at,
          );
          if (window?.begunAt) await saveWindow(tx, { ...window, endedAt: at.now });
          else if (window && to === "retired")
            await cancelWindow(tx, window, { at, by, reason: input.reason });
          return ok(await endOverruns(tx, host.id, at, by));
        },
      });
    },
  );
  if (moved.ok && moved.value.done) logFindings(deps, moved.value.done);
  return moved;
}

type At = Readonly<{ now: Date; newId: () => string }>;

/** What a host's maintenance was to have ended by is past: another end was said, or it is over. */
export const endOverruns = async (
  tx: Tx,
  hostId: string,
  at: At,
  by: Actor,
): Promise<NotedFindings> => ({
  opened: [],
  ended: await endThese(tx, await openOverrunsOf(tx, hostId), at, by),
});

/** A window that has not begun comes to nothing, and whoever was told of it is told so. The caller holds the host. */
export async function cancelWindow(
  tx: Tx,
  window: MaintenanceWindow,
  { at, by, reason }: { at: At; by: Actor; reason: string },
): Promise<void> {
  const cancelled = { ...window, cancelledAt: at.now, revision: window.revision + 1 };
  await saveWindow(tx, cancelled);
  await recordChange(
    tx,
    {
      actor: by,
      action: "host.cancel_maintenance",
      subject: { kind: "host", id: window.hostId },
      detail: { reason, window_id: window.id },
      events: [
        {
          name: "maintenance.changed.v1",
          data: { windowId: window.id, hostId: window.hostId },
        },
      ],
    },
    at,
  );
  await tellOfWindow(tx, cancelled, "told", at, by);
}

const whyNot = (state: HostState, command: HostCommand): string =>
  state === "active" && command === "retire"
    ? "this host gets VMs: cordon it first"
    : `this host is ${state}`;

const vmsOn = (host: Host): string =>
  host.allocated.vms === 1 ? "1 VM has room on it" : `${host.allocated.vms} VMs have room on it`;

const endOf = (host: Host, window: MaintenanceWindow | null): readonly string[] =>
  host.state === "maintenance" && window
    ? [`its maintenance, announced until ${window.endsAt.toISOString()}, ends now`]
    : [];

const HELD = [
  ["vms", "VMs"],
  ["heldRooms", "held rooms"],
  ["openOrders", "open orders"],
  ["runningActions", "running actions"],
  ["planChanges", "open changes of plan"],
  ["leases", "leased addresses"],
  ["strangers", "VMs that should not be there"],
] as const satisfies readonly (readonly [keyof Holdings, string])[];

const heldBy = (holdings: Holdings): readonly string[] =>
  HELD.flatMap(([what, word]) => (holdings[what] === 0 ? [] : [`${holdings[what]} ${word}`]));

import {
  and,
  asc,
  desc,
  eq,
  inArray,
  isNull,
  lt,
  notInArray,
  or,
  sql,
  type SQLWrapper,
} from "drizzle-orm";
import type { DesiredVm } from "#core/contracts/agent/desired.ts";
import {
  ONE_SHOT_ACTIONS,
  REPAIRS,
  type DesiredPower,
  type Repair,
  type StopMode,
} from "#core/vms/vm.ts";
import type { Action, ActionErrorCode } from "#core/vms/action.ts";
import type { Db, Tx } from "#db/client.ts";
import { inOrder, type KeysetPage } from "#db/keyset.ts";
import { prepared, type Slots } from "#db/prepared.ts";
import { having, readPlaces, type Narrowing, type ReadPage } from "#db/read-places.ts";
import { hosts } from "#db/schema/hosts.ts";
import { actions, vms } from "#db/schema/vms.ts";

const actionFromRow = (r: typeof actions.$inferSelect): Action => ({
  id: r.id,
  vmId: r.vmId,
  type: r.type,
  status: r.status,
  generation: r.generation,
  startedAt: r.startedAt,
  finishedAt: r.finishedAt,
  error: r.errorCode === null ? null : { code: r.errorCode, message: r.errorMessage ?? "" },
});

/** What an action's caller may need to call it off (`core/vms/call-off.ts`). */
export type PriorPower = Readonly<{ power: DesiredPower; stopMode: StopMode }>;

/**
 * Begins an action. The index `actions_one_running_key` refuses a second one that runs. Its transaction raises the generation
 * of the host's document after this: no document of before can hold it.
 */
export async function insertAction(
  tx: Tx,
  action: Action,
  prior: PriorPower | null = null,
): Promise<void> {
  const { id, vmId, type, status, generation, startedAt } = action;
  const [priorPower, priorStopMode] = [prior?.power ?? null, prior?.stopMode ?? null];
  const begun = { id, vmId, type, status, generation, startedAt };
  await actionBegun(tx, { ...begun, priorPower, priorStopMode });
}

/** The next generation of the document of the VM's host. */
const nextOfHost = (
  vmId: string | SQLWrapper,
) => sql`(select ${hosts.desiredGeneration} + 1 from ${hosts} join ${vms} on ${vms.hostId} = ${hosts.id}
        where ${vms.id} = ${vmId})`;

const actionBegun = prepared(
  "action_begun",
  (
    db,
    at: Slots<
      Pick<Action, "id" | "vmId" | "type" | "status" | "generation" | "startedAt"> & {
        priorPower: DesiredPower | null;
        priorStopMode: StopMode | null;
      }
    >,
  ) =>
    db.insert(actions).values({
      id: at.id,
      vmId: at.vmId,
      type: at.type,
      status: at.status,
      generation: at.generation,
      hostGeneration: nextOfHost(at.vmId),
      priorPower: at.priorPower,
      priorStopMode: at.priorStopMode,
      startedAt: at.startedAt,
    }),
);

export async function runningActionOf(tx: Tx, vmId: string): Promise<Action | undefined> {
  const [row] = await tx
    .select()
    .from(actions)
    .where(and(eq(actions.vmId, vmId), eq(actions.status, "running")));
  return row && actionFromRow(row);
}

export async function runningActionsOf(
  tx: Tx,
  vmIds: readonly string[],
): Promise<ReadonlyMap<string, Action>> {
  if (vmIds.length === 0) return new Map();
  const rows = await actionsRunning(tx, { vmIds });
  return new Map(rows.map((r) => [r.vmId, actionFromRow(r)]));
}

/** As its index says it: with a parameter it could not be used once the statement is planned for whatever values. */
const isRunning = sql`${actions.status} = 'running'`;

const actionsRunning = prepared("actions_running", (db, at: Slots<{ vmIds: readonly string[] }>) =>
  db
    .select()
    .from(actions)
    .where(and(sql`${actions.vmId} = any(${at.vmIds}::uuid[])`, isRunning)),
);

/** An action that waited is begun: from now on it keeps others from its VM. As `insertAction` says of the host's generation. */
export async function startWaiting(
  tx: Tx,
  action: Readonly<{ id: string; vmId: string; generation: number }>,
): Promise<void> {
  await tx
    .update(actions)
    .set({
      status: "running",
      generation: action.generation,
      hostGeneration: nextOfHost(action.vmId),
    })
    .where(and(eq(actions.id, action.id), eq(actions.status, "waiting")));
}

/** Ends an action that waits or runs. False when it has ended already: the first end stays. */
export async function finishAction(
  tx: Tx,
  id: string,
  end: { error: { code: ActionErrorCode; message: string } | null; now: Date },
): Promise<boolean> {
  const rows = await actionEnded(tx, {
    id,
    status: end.error ? "error" : "success",
    now: end.now,
    code: end.error?.code ?? null,
    message: end.error?.message ?? null,
  });
  return rows.length === 1;
}

type End = {
  id: string;
  status: "error" | "success";
  now: Date;
  code: ActionErrorCode | null;
  message: string | null;
};
const actionEnded = prepared("action_ended", (db, at: Slots<End>) =>
  db
    .update(actions)
    .set({
      status: at.status,
      finishedAt: at.now,
      errorCode: at.code,
      errorMessage: at.message,
    })
    .where(and(eq(actions.id, at.id), isNull(actions.finishedAt)))
    .returning({ id: actions.id }),
);

/** With what is kept for calling it off. */
export type KeptAction = Readonly<{
  action: Action;
  hostGeneration: number | null;
  prior: PriorPower | null;
}>;

const keptFromRow = (r: typeof actions.$inferSelect): KeptAction => ({
  action: actionFromRow(r),
  hostGeneration: r.hostGeneration,
  prior:
    r.priorPower === null || r.priorStopMode === null
      ? null
      : { power: r.priorPower, stopMode: r.priorStopMode },
});

export async function loadKeptAction(
  tx: Tx,
  { vmId, actionId }: { vmId: string; actionId: string },
): Promise<KeptAction | undefined> {
  const [row] = await tx
    .select()
    .from(actions)
    .where(and(eq(actions.id, actionId), eq(actions.vmId, vmId)));
  return row && keptFromRow(row);
}

/** The newest of a VM's. */
export async function latestActionsOf(
  db: Db,
  vmId: string,
  limit: number,
): Promise<readonly KeptAction[]> {
  const rows = await db
    .select()
    .from(actions)
    .where(eq(actions.vmId, vmId))
    .orderBy(desc(actions.id))
    .limit(limit);
  return rows.map(keptFromRow);
}

export type ActionFilter = Readonly<{
  vmId: string | null;
  status: Action["status"] | null;
  type: Action["type"] | null;
}>;
/** An action, with its VM: how far it is, is seen there. */
export type ActionOfVm = Readonly<{ action: Action; vm: typeof vms.$inferSelect }>;

/** In the order in which they began, as their ids have it. */
export async function listActions(
  db: Db,
  { vmId, status, type }: ActionFilter,
  down: boolean,
  page: KeysetPage,
): Promise<ReadPage<ActionOfVm>> {
  const order = { id: actions.id, down };
  const narrowings: Narrowing[] = [];
  if (vmId !== null) narrowings.push(having(actions.vmId, vmId, "ordered"));
  if (status !== null) narrowings.push(having(actions.status, status, "ordered", "success"));
  if (type !== null) narrowings.push(having(actions.type, type, "ordered"));
  const { ids, end } = await readPlaces(db, { table: actions, order, narrowings }, page);
  const rows = await db
    .select({ action: actions, vm: vms })
    .from(actions)
    .innerJoin(vms, eq(vms.id, actions.vmId))
    .where(inArray(actions.id, [...ids]))
    .orderBy(...inOrder(order));
  return { rows: rows.map(({ action, vm }) => ({ action: actionFromRow(action), vm })), end };
}

export async function loadActionWithOwner(
  db: Db,
  id: string,
): Promise<{ action: Action; accountId: string } | undefined> {
  const [row] = await db
    .select({ action: actions, accountId: vms.accountId })
    .from(actions)
    .innerJoin(vms, eq(vms.id, actions.vmId))
    .where(eq(actions.id, id));
  return row && { action: actionFromRow(row.action), accountId: row.accountId };
}

/** What runs of a VM's actions that its host must know of, as no desired state says it. */
export type PendingWork = Readonly<{
  oneShots: DesiredVm["pendingActions"];
  repair: Repair | null;
}>;

export async function pendingWorkOf(
  db: Db | Tx,
  vmIds: readonly string[],
): Promise<ReadonlyMap<string, PendingWork>> {
  const pending = new Map<string, PendingWork>();
  if (vmIds.length === 0) return pending;
  const rows = await actionsPending(db, { vmIds });
  for (const r of rows) {
    // One action runs at a time.
    const type = ONE_SHOT_ACTIONS.find((t) => t === r.type);
    const repair = REPAIRS.find((how) => how === r.type) ?? null;
    pending.set(r.vmId, { oneShots: type ? [{ id: r.id, type }] : [], repair });
  }
  return pending;
}

const actionsPending = prepared("actions_pending", (db, at: Slots<{ vmIds: readonly string[] }>) =>
  db
    .select()
    .from(actions)
    .where(
      and(
        sql`${actions.vmId} = any(${at.vmIds}::uuid[])`,
        isRunning,
        inArray(actions.type, [...ONE_SHOT_ACTIONS, ...REPAIRS]),
      ),
    )
    .orderBy(asc(actions.id)),
);

/**
 * When the VM was to be gone: somebody deleted it, or it was undone because it was not made in time, which ends its
 * making. Undefined for one that is to stay.
 */
export async function removalAskedAt(tx: Tx, vmId: string): Promise<Date | undefined> {
  const rows = await tx
    .select()
    .from(actions)
    .where(
      and(
        eq(actions.vmId, vmId),
        or(eq(actions.type, "delete"), eq(actions.errorCode, "payment_refunded")),
      ),
    )
    .orderBy(asc(actions.id));
  const [first] = rows.map((r) => (r.type === "delete" ? r.startedAt : r.finishedAt));
  return first ?? undefined;
}

/** Power actions and repairs that have run since before `before`: they will not end by themselves. What has a row of its own does. */
export async function overdueActions(
  db: Db,
  before: Date,
  limit: number,
): Promise<readonly Action[]> {
  const rows = await db
    .select()
    .from(actions)
    .where(
      and(
        eq(actions.status, "running"),
        lt(actions.startedAt, before),
        notInArray(actions.type, ["create", "delete", "resize", "migrate"]),
      ),
    )
    .orderBy(sql`${actions.startedAt}`)
    .limit(limit);
  return rows.map(actionFromRow);
}

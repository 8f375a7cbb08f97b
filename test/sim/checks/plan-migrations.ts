import { PEOPLE } from "../accounts.ts";
import type { Row } from "../mirror.ts";
import { hasLostChange } from "./lost-hour.ts";
import { first, nowOf, type MakeCheck, type Scene } from "./scene.ts";

const DAY_MS = 24 * 3_600_000;
/** What is due is done by then, also when some sweeps end badly. */
const DONE_WITHIN_MS = 30 * 60_000;

const BUSY: ReadonlySet<string> = new Set(["judging", "running"]);
const OVER: ReadonlySet<string> = new Set(["done", "drifted", "left_out"]);
/** Its turn was begun before, by a move to where its change is made. */
const MOVED: ReadonlySet<string> = new Set(["moving", "arrived"]);

const rowsOf = ({ mirror }: Scene, id: string): readonly Row<"plan_migration_vms">[] =>
  mirror.migrationVms.all().filter((row) => row.migration_id === id);

/**
 * 23. A plan migration changes each VM at most once, no more at once than it was told, none while it is paused or once it is stopped, and
 * nobody's before they were told. What became of a VM is so: its change is made, or went back; what drifted was left as it is, and that is told.
 */
export const eachVmOnce: MakeCheck = (scene) => {
  /** By migration and VM, the changes that were begun. */
  const begun = new Map<string, Set<string>>();
  const { mirror } = scene;
  return {
    invariant: 23,
    onCommit: () =>
      first(mirror.migrationVms.changed, ({ before, after }) => {
        const row = after ?? before;
        if (row === null) return undefined;
        const migration = mirror.planMigrations.get(row.migration_id);
        if (after === null)
          return migration !== undefined && migration.begun_at !== null
            ? "what became of a VM in a plan migration was removed"
            : undefined;
        if (migration === undefined) return undefined;
        return (
          wrongTurn(scene, migration, before, after) ??
          wrongState(scene, before, after) ??
          changedTwice(scene, begun, after)
        );
      }) ??
      first(mirror.planChanges.changed, ({ before, after }) => {
        if (after?.outcome !== "committed" || before?.outcome === "committed") return undefined;
        const made = [...begun].find(([, changes]) => changes.has(after.id));
        const others = [...(made?.[1] ?? [])].filter(
          (id) => id !== after.id && mirror.planChanges.get(id)?.outcome === "committed",
        );
        return others.length > 0
          ? `VM ${after.vm_id} was changed ${others.length + 1} times by one plan migration`
          : undefined;
      }) ??
      first(mirror.planMigrations.changed, ({ after }) => {
        const isHeld = after?.state === "stopped" || after?.state === "paused";
        const judged = isHeld && rowsOf(scene, after.id).find(({ state }) => state === "judging");
        return judged
          ? `a plan migration is ${after.state}, and VM ${judged.vm_id} has its turn`
          : undefined;
      }),
    atRest: () => first(mirror.planMigrations.all(), (migration) => endOf(scene, migration)),
  };
};

/** It is nobody's turn but by the pace, while it goes on, and so long after they were told. */
function wrongTurn(
  scene: Scene,
  migration: Row<"plan_migrations">,
  before: Row<"plan_migration_vms"> | null,
  after: Row<"plan_migration_vms">,
): string | undefined {
  if (!BUSY.has(after.state) || before?.state === after.state) return undefined;
  // A pause or a stop comes between VMs: one that has moved for it is gone through with (ADR 0060).
  if (before !== null && MOVED.has(before.state)) return undefined;
  const what = `VM ${after.vm_id} is ${after.state} in a plan migration`;
  if (migration.state !== "running") return `${what} that is ${migration.state}`;
  const busy = rowsOf(scene, migration.id).filter(({ state }) => BUSY.has(state));
  if (busy.length > migration.max_parallel)
    return `${what}, the ${busy.length}th at once of ${migration.max_parallel}`;
  if (migration.announce_days === 0) return undefined;
  const since = nowOf(scene) - migration.announce_days * DAY_MS;
  const who = PEOPLE.find(({ accountId }) => accountId === after.account_id)?.name ?? "";
  const told = new Set(
    scene.mirror.mails
      .all()
      .filter(
        ({ kind, account_id }) => kind === "plan_migration" && account_id === after.account_id,
      )
      .map(({ id }) => id),
  );
  return scene.mails.some(({ id, at }) => told.has(id) && at <= since)
    ? undefined
    : `${what}, and ${who} was not told ${migration.announce_days} days before`;
}

/** What has ended stays so, and is so. */
function wrongState(
  { mirror }: Scene,
  before: Row<"plan_migration_vms"> | null,
  after: Row<"plan_migration_vms">,
): string | undefined {
  if (before === null || before.state === after.state) return undefined;
  const what = `VM ${after.vm_id} is ${after.state} in a plan migration`;
  if (OVER.has(before.state) || before.state === "refused")
    return `${what}, and was ${before.state}`;
  const change =
    after.plan_change_id === null ? null : mirror.planChanges.get(after.plan_change_id);
  if (after.state === "done" && change?.outcome !== "committed")
    return `${what}, and its change is ${change?.outcome}`;
  // One that was to move first fails with its move, or as its new host has lost it.
  const move = after.move_id === null ? null : mirror.moves.get(after.move_id);
  const hasFailed =
    after.plan_change_id === null ? move?.outcome != null : change?.outcome === "reverted";
  if (after.state === "failed" && !hasFailed)
    return `${what}, and its change is ${change?.outcome}`;
  if (after.state !== "drifted" && after.state !== "left_out") return undefined;
  const isFailedBefore = change?.outcome === "reverted";
  if (after.plan_change_id !== null && !isFailedBefore)
    return `${what}, and a change of it was begun`;
  const isTold = mirror.outbox.changed.some(
    (c) => c.after?.name === "plan_migration.vm_ended.v1" && c.after.data["vmId"] === after.vm_id,
  );
  return isTold && after.detail !== null ? undefined : `${what}, and nobody is told why`;
}

/** Notes which change was begun of whom; of the rest its commits are looked at. */
function changedTwice(
  { mirror }: Scene,
  begun: Map<string, Set<string>>,
  { migration_id, vm_id: vmId, plan_change_id: changeId, state }: Row<"plan_migration_vms">,
): string | undefined {
  if (state !== "running" || changeId === null) return undefined;
  const key = `${migration_id}/${vmId}`;
  const known = begun.get(key) ?? new Set();
  begun.set(key, known.add(changeId));
  if (mirror.planChanges.get(changeId)?.vm_id !== vmId)
    return `the change of VM ${vmId} in a plan migration is another VM's`;
  return [...known].some(
    (id) => id !== changeId && mirror.planChanges.get(id)?.outcome === "committed",
  )
    ? `VM ${vmId} is changed by a plan migration that has changed it`
    : undefined;
}

/** In the end one goes on only by what is to come: a renewal, or a day of which owners were told. */
function endOf(scene: Scene, migration: Row<"plan_migrations">): string | undefined {
  const { mirror } = scene;
  if (migration.begun_at === null) return undefined;
  const rows = rowsOf(scene, migration.id);
  const wrong = first(rows, (row) => {
    if (hasLostChange(scene, row.vm_id) || row.plan_change_id === null) return undefined;
    const change = mirror.planChanges.get(row.plan_change_id);
    if (change === undefined) return `the change of VM ${row.vm_id} in a plan migration is unknown`;
    if (row.state === "running" && change.outcome !== null)
      return `VM ${row.vm_id} is running in a plan migration, and its change is ${change.outcome}`;
    const { from, to } = mirror.offerOf(change);
    if (to.planId !== migration.to_plan_id || to.planVersion !== migration.to_version)
      return `VM ${row.vm_id} came to ${to.planId}/${to.planVersion} by a plan migration to another`;
    // One that pays nothing has no price to keep.
    return migration.price === "keep" && from.price?.amount.minor !== to.price?.amount.minor
      ? `the price of VM ${row.vm_id} was to be kept, and went from ${from.price?.amount.minor} to ${to.price?.amount.minor}`
      : undefined;
  });
  if (wrong !== undefined || migration.state !== "running") return wrong;
  const now = nowOf(scene);
  const goesOn = rows.some((row) => {
    if (BUSY.has(row.state)) return row.state === "running";
    if (row.state !== "waiting") return false;
    const told = (row.announced_at ?? now) + migration.announce_days * DAY_MS;
    return Math.max(row.due_at, migration.announce_days > 0 ? told : 0) > now - DONE_WITHIN_MS;
  });
  return goesOn ? undefined : `plan migration ${migration.id} stands still`;
}

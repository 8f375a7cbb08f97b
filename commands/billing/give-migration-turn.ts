import { isOfItsHost } from "#core/billing/move-and-resize.ts";
import { BEGINS_BEFORE_RENEWAL_MS } from "#core/billing/plan-change.ts";
import {
  isPassing,
  nextOfMigrationVm,
  turnBeforeRenewal,
  whyWorse,
  type MigrationVmMove,
} from "#core/billing/plan-migration.ts";
import type { Quote } from "#core/billing/quote.ts";
import {
  lockTurn,
  saveMigrationVm,
  shownFromRow,
  type MigrationVm,
} from "#db/billing/migration-vms.ts";
import { lockMigration, saveMigration, type PlanMigration } from "#db/billing/plan-migrations.ts";
import { openChangeOf } from "#db/billing/plan-changes.ts";
import { insertQuote } from "#db/billing/quotes.ts";
import type { Tx } from "#db/client.ts";
import { recordChange } from "#db/record-change.ts";
import { inTransaction } from "#db/transaction.ts";
import { stamp, type Deps } from "#commands/deps.ts";
import { beginPlanChange, type TakeRefusal } from "./begin-plan-change.ts";
import {
  beginMoveOf,
  giveRoomBack,
  lookElsewhere,
  vmEnded,
  type MoveTurn,
} from "./move-for-migration.ts";
import { isOf } from "./plan-migration.ts";
import { findForResize, offer } from "./quote-resize.ts";

const AGAIN_MS = 5 * 60_000;
const DAY_MS = 24 * 60 * 60_000;
type At = ReturnType<typeof stamp>;

/** What comes of a turn. */
type Turn = Readonly<{ as: "begin"; quote: Quote }> | MoveTurn | EndOfTurn;
/**
 * It waits for another turn, or stays as it is. `missed`: it came too late for its renewal, or another change came first: nothing is held for it
 * until then.
 */
export type EndOfTurn =
  | Readonly<{ as: "put_off" | "missed"; until: Date; detail: string }>
  | Readonly<{ as: "drifted" | "left_out"; detail: string }>;

/**
 * One VM: judged anew, with the provider's preview, outside of any transaction; then begun, moved first, put off, or left as it is. One that has
 * arrived where it moved to is judged once more: what was looked at before was of another host, and another hour.
 */
export async function giveTurn(
  deps: Deps,
  migration: PlanMigration,
  row: MigrationVm,
): Promise<Written["as"] | "gone"> {
  const turn = await judge(deps, migration, row);
  const at = stamp(deps);
  const done = await inTransaction(deps.db, async (tx) => {
    // In the order of whoever pauses it.
    await lockMigration(tx, migration.id);
    const held = await lockTurn(tx, migration.id, row.vmId, at.now);
    // Of another state by now, it was judged for something else.
    if (held?.state !== row.state) return "gone" as const;
    const comesTo =
      turn.as === "begin"
        ? await begin(deps, tx, migration, turn.quote)
        : turn.as === "move"
          ? await beginMoveOf(deps, tx, migration, turn)
          : turn;
    return write(tx, migration, held, comesTo, at);
  });
  if (done === "drifted")
    deps.log.info("plan_migration.drifted", { plan_migration_id: migration.id, vm_id: row.vmId });
  return done;
}

type Written =
  | Readonly<{ as: "begun"; planChangeId: string }>
  | Readonly<{ as: "moving"; moveId: string }>
  | EndOfTurn;

const MOVE_OF = {
  begun: "begin",
  moving: "move",
  put_off: "put_off",
  missed: "miss",
  drifted: "drift",
  left_out: "leave",
} as const satisfies Record<Written["as"], MigrationVmMove>;

async function write(
  tx: Tx,
  { id }: PlanMigration,
  { vmId, state: from }: MigrationVm,
  turn: Written,
  at: At,
): Promise<Written["as"]> {
  // Of one that has not moved there is nothing to miss: it waits all the same.
  const move = turn.as === "missed" && from === "judging" ? "put_off" : MOVE_OF[turn.as];
  const state = nextOfMigrationVm(from, move);
  await saveMigration(tx, id, { movedAt: at.now });
  if (turn.as === "begun") {
    const { planChangeId } = turn;
    await saveMigrationVm(tx, id, vmId, { state, planChangeId });
  } else if (turn.as === "moving") {
    const { moveId } = turn;
    await saveMigrationVm(tx, id, vmId, { state, moveId });
  } else if (turn.as === "put_off" || turn.as === "missed") {
    const { until: dueAt, detail } = turn;
    await saveMigrationVm(tx, id, vmId, { state, dueAt, detail });
  } else {
    const { detail } = turn;
    await saveMigrationVm(tx, id, vmId, { state, detail, endedAt: at.now });
    await recordChange(tx, vmEnded(id, { vmId, state, detail }), at);
  }
  // What it was moved for does not come, or not soon: nobody else is kept from that room.
  if (from === "arrived" && state !== "arrived" && state !== "running")
    await giveRoomBack(tx, vmId);
  return turn.as;
}

async function judge(deps: Deps, migration: PlanMigration, row: MigrationVm): Promise<Turn> {
  const { toVersion, askedBy } = migration;
  const who = { accountId: askedBy, role: "staff" } as const;
  const found = await findForResize(deps, who, row.vmId);
  if (!found.ok) return { as: "left_out", detail: "vm_not_found: it is gone" };
  if (!isOf(migration, found.value))
    return { as: "left_out", detail: "other_plan: it is of another plan, or version, by now" };
  // Its owner has changed it on its way. That may wait for weeks, and nobody is kept from the room for so long.
  if (row.state === "arrived" && (await openChangeOf(deps.db, row.vmId)))
    return {
      as: "missed",
      until: new Date(+deps.clock.now() + AGAIN_MS),
      detail: "vm_locked: another change of it is under way",
    };
  const asked = askedOf(deps, migration);
  const here = await offer(deps, found.value, asked);
  const isOfHost = here.quote === null && isOfItsHost(here.refusals.map(({ code }) => code));
  const elsewhere = isOfHost ? await lookElsewhere(deps, migration, row, found.value) : null;
  if (elsewhere?.as === "drifted" || elsewhere?.as === "put_off") return elsewhere;
  const { quote, refusals } =
    elsewhere === null
      ? here
      : await offer(deps, found.value, { ...asked, there: elsewhere.there });
  const now = deps.clock.now();
  if (quote === null) {
    const detail = refusals.map((r) => `${r.code}: ${r.detail}`).join("; ");
    return refusals.every(({ code }) => isPassing(code))
      ? { as: "put_off", until: new Date(+now + AGAIN_MS), detail }
      : { as: "drifted", detail };
  }
  const late = whyNotNow(quote, row, now);
  if (late !== null) return late;
  const worse = whyWorse({ ...shownFromRow(row), toVersion }, quote);
  if (worse !== null) return { as: "drifted", detail: worse };
  return elsewhere ?? { as: "begin", quote };
}

/** What is asked of each of its VMs. */
const askedOf = (
  { ids }: Deps,
  { when, price, toPlanId: planId, askedBy }: PlanMigration,
): Parameters<typeof offer>[2] => ({
  who: { accountId: askedBy },
  id: ids.newId(),
  wanted: { planId, keepDisk: false },
  staff: { when, price, billing: "prorate" },
});

/** Of what is to be done at its renewal: too soon, or too late. What has arrived for it waits no more. */
function whyNotNow(
  { when, appliesAt, method }: Quote,
  { state }: MigrationVm,
  now: Date,
): EndOfTurn | null {
  if (when !== "renewal") return null;
  const turn = turnBeforeRenewal(appliesAt, method);
  if (now < turn && state !== "arrived")
    return { as: "put_off", until: turn, detail: "waits for its renewal" };
  // There is no time left to be seen, and to go back.
  const until = new Date(+appliesAt + DAY_MS);
  return +now > +appliesAt - BEGINS_BEFORE_RENEWAL_MS
    ? { as: "missed", until, detail: "waits for its next renewal" }
    : null;
}

/** In the caller's transaction: a VM is begun together with the word that it was. */
async function begin(
  deps: Deps,
  tx: Tx,
  { id, askedBy, reason }: PlanMigration,
  quote: Quote,
): Promise<Written> {
  await insertQuote(tx, quote);
  const begun = await beginPlanChange(
    { ...deps, db: tx },
    {
      who: { accountId: askedBy, role: "staff" },
      vmId: quote.vmId,
      quoteId: quote.id,
      basisHolds: true,
      reason: `plan migration ${id}: ${reason}`,
    },
  );
  if (begun.ok) return { as: "begun", planChangeId: begun.value.change.id };
  const { code, detail } = begun.error;
  const why = `${code}: ${detail}`;
  const as = ENDS_BY[code];
  return as === null
    ? { as: "put_off", until: new Date(+deps.clock.now() + AGAIN_MS), detail: why }
    : { as, detail: why };
}

/** What comes of a VM that could not be begun a moment after it was offered; null: it is asked about again. */
const ENDS_BY = {
  vm_not_found: "left_out",
  vm_lost: "drifted",
  no_capacity: "drifted",
  vm_locked: null,
  quote_not_found: null,
  quote_expired: null,
  quote_outdated: null,
  quote_taken: null,
} as const satisfies Record<TakeRefusal["code"], "drifted" | "left_out" | null>;

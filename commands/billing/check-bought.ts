import type { FindingKind } from "#core/hosts/finding.ts";
import {
  heldAgainstBought,
  overBoughtFindings,
  takeBoughtChanges,
  type HeldAgainst,
} from "#db/billing/bought-changes.ts";
import { inTransaction } from "#db/transaction.ts";
import { stamp, type Deps } from "#commands/deps.ts";
import { endThese, logFindings, openFindings } from "#commands/hosts/note-findings.ts";

const ACTOR = { kind: "system", id: "check-bought" } as const;
/** So many at a time, and so often in a minute. */
const AT_ONCE = 1000;
const MOST_TIMES = 20;

const KINDS = [
  [
    "size_not_bought",
    ({ sizeDiffers }) => sizeDiffers,
    "its size or its limits are not those of the version of its plan that was bought",
  ],
  [
    "price_not_bought",
    ({ priceDiffers }) => priceDiffers,
    "what is paid for it is no price of the version of its plan that was bought",
  ],
] as const satisfies readonly (readonly [FindingKind, (held: HeldAgainst) => boolean, string])[];

/**
 * Holds whatever was changed of VMs, of their prices and of their plans against what was bought (invariants 21 and 22), and tells staff of
 * what differs with no change open. Only what was changed is looked at, by whatever statement: triggers keep it. Runs every minute.
 */
export async function checkBought(
  deps: Deps,
): Promise<{ checked: number; opened: number; ended: number }> {
  const count = { checked: 0, opened: 0, ended: 0 };
  for (let times = 0; times < MOST_TIMES; times++) {
    const { checked, opened, ended } = await checkSome(deps);
    count.checked += checked;
    count.opened += opened;
    count.ended += ended;
    if (checked < AT_ONCE) break;
  }
  return count;
}

async function checkSome(deps: Deps) {
  const at = stamp(deps);
  const { checked, ...noted } = await inTransaction(deps.db, async (tx) => {
    const changed = await takeBoughtChanges(tx, AT_ONCE);
    // The end of a change that is open is one more change.
    const held = (await heldAgainstBought(tx, changed)).filter(({ isChanging }) => !isChanging);
    const found = KINDS.flatMap(([kind, differs, detail]) =>
      held.filter(differs).map(({ vmId, hostId }) => ({
        kind,
        subject: vmId,
        vmId,
        detail,
        hostId,
      })),
    );
    const over = KINDS.flatMap(([kind, differs]) =>
      held.filter((one) => !differs(one)).map(({ vmId }) => ({ vmId, kind })),
    );
    return {
      checked: changed.length,
      opened: await openFindings(tx, found, at, ACTOR),
      ended: await endThese(tx, await overBoughtFindings(tx, over), at, ACTOR),
    };
  });
  logFindings(deps, noted);
  return { checked, opened: noted.opened.length, ended: noted.ended.length };
}

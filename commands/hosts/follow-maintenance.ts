import { nextHostState } from "#core/hosts/host-state.ts";
import { noticeAt } from "#core/hosts/maintenance.ts";
import { inTransaction } from "#db/transaction.ts";
import { lockHost } from "#db/hosts/hosts.ts";
import {
  hostsToBegin,
  hostsToTellOf,
  openWindowOf,
  untoldOverrunHosts,
} from "#db/hosts/maintenance.ts";
import type { Actor } from "#db/record-change.ts";
import { stamp, type Deps } from "#commands/deps.ts";
import { cancelWindow } from "./move-host.ts";
import { logFindings, openFindings } from "./note-findings.ts";
import { beginMaintenance } from "./plan-maintenance.ts";
import { tellOfWindow } from "./tell-of-maintenance.ts";

const SWEEP: Actor = { kind: "system", id: "follow-maintenance" };
/** So many hosts and windows a minute. */
const MOST = 200;

/**
 * What time brings: windows begin, customers are told before that, also those who came meanwhile, and staff hear of what goes on
 * beyond its announced end. Runs every minute.
 */
export async function followMaintenance(
  deps: Deps,
): Promise<{ begun: number; told: number; overran: number }> {
  const told = await tellCustomers(deps);
  const begun = await beginDue(deps);
  return { begun, told, overran: await tellOverruns(deps) };
}

async function tellCustomers(deps: Deps): Promise<number> {
  const at = stamp(deps);
  let told = 0;
  for (const { hostId, kind } of await hostsToTellOf(deps.db, at.now, MOST))
    told += await inTransaction(deps.db, async (tx) => {
      await lockHost(tx, hostId);
      const window = await openWindowOf(tx, hostId, kind);
      // It was moved, or cancelled, a moment ago: who is to hear of that was told with it.
      if (window === undefined || noticeAt(window) > at.now) return 0;
      return tellOfWindow(tx, window, "all", at, SWEEP);
    });
  return told;
}

async function beginDue(deps: Deps): Promise<number> {
  const at = stamp(deps);
  let begun = 0;
  for (const hostId of await hostsToBegin(deps.db, at.now, MOST))
    await inTransaction(deps.db, async (tx) => {
      const host = await lockHost(tx, hostId);
      const window = await openWindowOf(tx, hostId, "maintenance");
      if (!host || !window || window.begunAt !== null || window.startsAt > at.now) return;
      // Nobody swept while it was to be: it did not take place, and who was told of it has seen so.
      if (window.endsAt <= at.now || nextHostState(host.state, "begin_maintenance") === undefined) {
        await cancelWindow(tx, window, { at, by: SWEEP, reason: "its time is over" });
        return;
      }
      await beginMaintenance(tx, host, window, at, SWEEP);
      begun++;
    });
  return begun;
}

async function tellOverruns(deps: Deps): Promise<number> {
  const at = stamp(deps);
  const opened = await inTransaction(deps.db, async (tx) => {
    const overrun = await untoldOverrunHosts(tx, at.now, MOST);
    const found = overrun.map(({ hostId, until }) => ({
      kind: "maintenance_overran",
      subject: hostId,
      vmId: null,
      detail: `its maintenance was announced until ${until.toISOString()}`,
      hostId,
    }));
    return openFindings(tx, found, at, SWEEP);
  });
  logFindings(deps, { opened, ended: [] });
  return opened.length;
}

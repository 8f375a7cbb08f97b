import { noticeAt, type MaintenanceWindow } from "#core/hosts/maintenance.ts";
import type { Tx } from "#db/client.ts";
import { insertWindow, loadWindow, saveWindow } from "#db/hosts/maintenance.ts";
import { lockHost } from "#db/hosts/hosts.ts";
import type { Drain } from "#db/moves/drains.ts";
import type { Actor } from "#db/record-change.ts";
import { tellOfWindow } from "#commands/hosts/tell-of-maintenance.ts";

/* The time in which a drain may stop running VMs: announced as a maintenance is, by the same rows and mails (ADR 0055). */

type At = Readonly<{ now: Date; newId: () => string }>;
type Times = Pick<MaintenanceWindow, "startsAt" | "endsAt" | "noticeHours">;

/** The caller holds the host. Customers are told by the sweep when their time has come, and here if it is now. */
export async function openDrainWindow(
  tx: Tx,
  hostId: string,
  times: Times,
  at: At,
  actor: Actor,
): Promise<MaintenanceWindow> {
  const window: MaintenanceWindow = {
    id: at.newId(),
    hostId,
    kind: "drain",
    ...times,
    revision: 1,
    begunAt: null,
    endedAt: null,
    cancelledAt: null,
  };
  await insertWindow(tx, window, at.now);
  if (noticeAt(window) <= at.now) await tellOfWindow(tx, window, "all", at, actor);
  return window;
}

/** null: running VMs may be stopped whenever their turn comes. */
export async function windowOf(
  tx: Tx,
  { id, windowId }: Pick<Drain, "id" | "windowId">,
): Promise<MaintenanceWindow | null> {
  if (windowId === null) return null;
  const window = await loadWindow(tx, windowId);
  if (window === undefined) throw new Error(`the window of drain ${id} vanished`);
  return window;
}

/** No VM is stopped by the drain any more. Who was told of a time that has not come, and has VMs on the host still, is told so. */
export async function closeDrainWindow(tx: Tx, drain: Drain, at: At, actor: Actor): Promise<void> {
  // A window belongs to whoever holds its host.
  if (drain.windowId !== null) await lockHost(tx, drain.hostId);
  const window = await windowOf(tx, drain);
  if (window === null || window.endedAt !== null || window.cancelledAt !== null) return;
  if (window.startsAt <= at.now) {
    await saveWindow(tx, { ...window, begunAt: window.startsAt, endedAt: at.now });
    return;
  }
  const cancelled = { ...window, cancelledAt: at.now, revision: window.revision + 1 };
  await saveWindow(tx, cancelled);
  await tellOfWindow(tx, cancelled, "told", at, actor);
}

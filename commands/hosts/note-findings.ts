import { compareFindings, type FindingKey, type Found } from "#core/hosts/finding.ts";
import { silentBefore } from "#core/hosts/place-vm.ts";
import type { Tx } from "#db/client.ts";
import {
  endFindings,
  insertFindings,
  silentFindingIds,
  touchFindings,
  untoldSilentHosts,
  type Finding,
  type OpenFinding,
} from "#db/hosts/findings.ts";
import { recordChanges, type Actor } from "#db/record-change.ts";
import { inTransaction } from "#db/transaction.ts";
import { stamp, type Deps } from "#commands/deps.ts";

/** So many are told of in a minute at most. */
const MOST_SILENT = 1000;

type At = { now: Date; newId: () => string };
export type NotedFindings = Readonly<{ opened: readonly Finding[]; ended: readonly Finding[] }>;
export const NOTHING_NOTED: NotedFindings = { opened: [], ended: [] };

/**
 * Writes down what a host's report tells of what is amiss, in the report's own transaction: each is opened once and ended
 * once. `told` is what is so, `over` what is shown to be over; of the rest nothing is known.
 */
export async function noteFindings(
  tx: Tx,
  hostId: string,
  report: { open: readonly OpenFinding[]; told: readonly Found[]; over: readonly FindingKey[] },
  at: At,
  actor: Actor,
): Promise<NotedFindings> {
  const { begun, goOn, ended } = compareFindings(report.open, report.told, report.over);
  const seen = goOn.map(({ open, detail }) => ({ id: open.id, detail }));
  await touchFindings(tx, seen, at.now);
  const opened = await openFindings(
    tx,
    begun.map((found) => ({ ...found, hostId })),
    at,
    actor,
  );
  return { opened, ended: await endThese(tx, ended, at, actor) };
}

/**
 * Tells of hosts that are not heard of any more: by as many statements for ten thousand as for one, so many at a time. Runs
 * every minute. The next report of a host ends it.
 */
export async function tellSilentHosts(deps: Deps): Promise<{ opened: number }> {
  const at = stamp(deps);
  const opened = await inTransaction(deps.db, async (tx) => {
    const silent = await untoldSilentHosts(tx, silentBefore(at.now), MOST_SILENT);
    const found = silent.map(({ hostId, lastSeenAt }) => ({
      kind: "host_silent",
      subject: hostId,
      vmId: null,
      detail: `not heard of since ${lastSeenAt.toISOString()}`,
      hostId,
    }));
    return openFindings(tx, found, at, { kind: "system", id: "tell-silent-hosts" });
  });
  logFindings(deps, { opened, ended: [] });
  return { opened: opened.length };
}

/** Opens what is not open already, of whatever hosts. */
export async function openFindings(
  tx: Tx,
  begun: readonly (Found & { hostId: string })[],
  at: At,
  actor: Actor,
): Promise<readonly Finding[]> {
  const rows = begun.map((found) => ({ ...found, id: at.newId() }));
  const opened = await insertFindings(tx, rows, at.now);
  await record(tx, "open", opened, at, actor);
  return opened;
}

/** Ends what nobody has told of for as long as its kind may be left out. Runs every minute. */
export async function endSilentFindings(deps: Deps): Promise<{ ended: number }> {
  const at = stamp(deps);
  const ids = await silentFindingIds(deps.db, 200);
  const ended = await inTransaction(deps.db, (tx) =>
    endThese(
      tx,
      ids.map((id) => ({ id })),
      at,
      { kind: "system", id: "end-silent-findings" },
    ),
  );
  logFindings(deps, { opened: [], ended });
  return { ended: ended.length };
}

/** Ends those of them that are open. */
export async function endThese(
  tx: Tx,
  over: readonly { id: string }[],
  at: At,
  actor: Actor,
): Promise<readonly Finding[]> {
  const ids = over.map((finding) => finding.id);
  const ended = await endFindings(tx, ids, at.now);
  await record(tx, "end", ended, at, actor);
  return ended;
}

const record = (
  tx: Tx,
  what: "open" | "end",
  findings: readonly Finding[],
  at: At,
  actor: Actor,
): Promise<void> =>
  recordChanges(
    tx,
    findings.map((f) => ({
      actor,
      action: `finding.${what}`,
      subject: { kind: "finding", id: f.id },
      detail: { kind: f.kind, host_id: f.hostId, subject: f.subject, detail: f.detail },
      events: [
        {
          name: what === "open" ? "finding.opened.v1" : "finding.ended.v1",
          data: { findingId: f.id, hostId: f.hostId },
        },
      ],
    })),
    at,
  );

/** The alarm: an error when it begins, and a line when it has ended. After the commit. */
export function logFindings(deps: Pick<Deps, "log">, noted: NotedFindings): void {
  for (const f of noted.opened) deps.log.error("finding.opened", fields(f));
  for (const f of noted.ended) deps.log.info("finding.ended", fields(f));
}

const fields = (f: Finding) => ({
  finding_id: f.id,
  kind: f.kind,
  host_id: f.hostId,
  subject: f.subject,
  ...(f.vmId === null ? {} : { vm_id: f.vmId }),
  detail: f.detail,
});

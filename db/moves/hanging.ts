import { and, eq, inArray, isNull, lte, notExists, sql } from "drizzle-orm";
import type { MoveStep } from "#core/moves/move.ts";
import type { Tx } from "#db/client.ts";
import { findings } from "#db/schema/hosts.ts";
import { moves } from "#db/schema/moves.ts";

/** For these there is no deadline: who waits for a host waits. */
const WAITING = ["take_over", "clean", "hold", "drop"] as const satisfies readonly MoveStep[];

/** The host that a move waits for. */
const waitsFor = sql<string>`case when ${moves.step} in ('take_over', 'drop') then ${moves.destinationHostId} else ${moves.sourceHostId} end`;

const hangs = (before: Date) =>
  and(isNull(moves.outcome), inArray(moves.step, [...WAITING]), lte(moves.stepAt, before));

/** Moves that have waited at one step since then, and are not told of. */
export async function untoldHangingMoves(
  tx: Tx,
  before: Date,
  limit: number,
): Promise<readonly { moveId: string; vmId: string; hostId: string; step: MoveStep }[]> {
  const told = tx
    .select({ one: sql`1` })
    .from(findings)
    .where(
      and(
        eq(findings.vmId, moves.vmId),
        eq(findings.hostId, waitsFor),
        eq(findings.kind, "move_hangs"),
        isNull(findings.endedAt),
      ),
    );
  return tx
    .select({ moveId: moves.id, vmId: moves.vmId, hostId: waitsFor, step: moves.step })
    .from(moves)
    .where(and(hangs(before), notExists(told)))
    .limit(limit);
}

/** Findings of moves that hung at a host, and do not any more. */
export async function overMoveFindings(
  tx: Tx,
  before: Date,
  limit: number,
): Promise<readonly { id: string }[]> {
  const hanging = tx
    .select({ one: sql`1` })
    .from(moves)
    .where(and(eq(moves.vmId, findings.vmId), eq(waitsFor, findings.hostId), hangs(before)));
  return tx
    .select({ id: findings.id })
    .from(findings)
    .where(and(eq(findings.kind, "move_hangs"), isNull(findings.endedAt), notExists(hanging)))
    .limit(limit);
}

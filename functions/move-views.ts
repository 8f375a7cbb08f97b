import type { MovePlanView, MoveView } from "#core/contracts/api/moves.ts";
import { toWireId } from "#core/ids.ts";
import { pauseOfMove, progressOfMove, stepsOfMove } from "#core/moves/move-steps.ts";
import { toForced, type MovePlan } from "#commands/moves/plan-move.ts";
import type { ShownMove } from "#core/moves/shown-move.ts";
import { toStepViews } from "./views.ts";

/* Moves on the wire, for staff. */

const toHost = ({ id, name }: Readonly<{ id: string; name: string }>) => ({
  id: toWireId("host", id),
  name,
});

export function toMovePlanView(plan: MovePlan): MovePlanView {
  const { source, destination, way, checks } = plan;
  const forced = toForced(plan);
  return {
    source: toHost(source),
    destination: destination && toHost(destination),
    method: way?.method ?? null,
    checks: checks.map((checked) => ({ ...checked })),
    effects: [...(forced?.effects ?? [])],
    hash: forced?.hash ?? null,
  };
}

export const toMoveView = ({
  move: m,
  mbitPerSecond,
  source,
  destination,
  waitsFor,
}: ShownMove): MoveView => ({
  id: toWireId("move", m.id),
  vmId: toWireId("vm", m.vmId),
  actionId: toWireId("action", m.actionId),
  source: toHost(source),
  destination: toHost(destination),
  method: m.method,
  step: m.step,
  outcome: m.outcome,
  steps: toStepViews(stepsOfMove(m)),
  progress: progressOfMove(m),
  bytes: { copied: String(m.copiedBytes), total: m.disk && String(m.disk.exportBytes) },
  mbitPerSecond,
  failure: m.failure && { ...m.failure },
  pauseMs: pauseOfMove(m),
  waitsFor: waitsFor && { ...waitsFor },
  createdAt: m.createdAt.toISOString(),
  stepAt: m.stepAt.toISOString(),
  heardAt: m.heardAt.toISOString(),
  endedAt: m.endedAt?.toISOString() ?? null,
});

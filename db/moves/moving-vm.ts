import type { Move } from "#core/moves/move.ts";
import { moves } from "#db/schema/moves.ts";
import { vms } from "#db/schema/vms.ts";

/** A VM that a job of many has on its way, and where its move is: what `cameOf` goes by. */
export type MovingVm = Readonly<{
  vmId: string;
  move: Pick<Move, "step" | "outcome" | "failure">;
  isLost: boolean;
  isToGo: boolean;
}>;

/** Of its move and of itself, beside its id. */
export const WHERE_ITS_MOVE_IS = {
  step: moves.step,
  outcome: moves.outcome,
  code: moves.failureCode,
  detail: moves.failureDetail,
  lostAt: vms.lostAt,
  presence: vms.presence,
};

type Row = Readonly<
  { vmId: string } & Pick<typeof moves.$inferSelect, "step" | "outcome"> &
    Pick<typeof vms.$inferSelect, "lostAt" | "presence"> & {
      code: (typeof moves.$inferSelect)["failureCode"];
      detail: string | null;
    }
>;

export const movingVmFromRow = (row: Row): MovingVm => ({
  vmId: row.vmId,
  move: {
    step: row.step,
    outcome: row.outcome,
    failure:
      row.code !== null && row.detail !== null ? { code: row.code, detail: row.detail } : null,
  },
  isLost: row.lostAt !== null,
  isToGo: row.presence === "absent",
});

import type { PlanChange } from "#core/billing/plan-change.ts";
import type { Move } from "#core/moves/move.ts";
import type { Refusal, Result } from "#core/result.ts";
import { changesOfActions } from "#db/billing/plan-changes.ts";
import { movesOfActions } from "#db/moves/moves.ts";
import { listActions, type ActionFilter, type ActionOfVm } from "#db/vms/actions.ts";
import { listStaffVmViews, type VmFilter, type VmSort, type VmView } from "#db/vms/vms.ts";
import type { Deps } from "#commands/deps.ts";
import { orderedPage } from "#commands/keyset.ts";
import type { Page, PageRequest } from "#commands/page.ts";

type Listed<T> = Promise<Result<Page<T>, Refusal<"cursor_invalid">>>;

/** Everybody's VMs, for staff; by when they were made, or by their names. */
export const listStaffVms = (
  deps: Pick<Deps, "db">,
  filter: VmFilter,
  sort: VmSort,
  page: PageRequest,
): Listed<VmView> =>
  orderedPage(
    {
      list: "vms",
      sort: `${sort.by} ${sort.down}`,
      key: sort.by === "hostname" ? "text" : undefined,
      filter,
    },
    page,
    (at) => listStaffVmViews(deps.db, filter, sort, at),
    ({ vm }) => ({ key: sort.by === "hostname" ? vm.hostname : "", id: vm.id }),
  );

/** What was and is done with VMs, for staff, the newest first or last. */
export const listStaffActions = (
  deps: Pick<Deps, "db">,
  filter: ActionFilter,
  { down }: { down: boolean },
  page: PageRequest,
): Listed<ActionOfVm & { change: PlanChange | null; move: Move | null }> =>
  orderedPage(
    { list: "actions", sort: `startedAt ${down}`, filter },
    page,
    async (at) => {
      const { rows, end } = await listActions(deps.db, filter, down, at);
      const actions = rows.map(({ action }) => action);
      const [changes, moves] = [
        await changesOfActions(deps.db, actions),
        await movesOfActions(deps.db, actions),
      ];
      const carried = rows.map((row) => ({
        ...row,
        change: changes.get(row.action.id) ?? null,
        move: moves.get(row.action.id) ?? null,
      }));
      return { rows: carried, end };
    },
    ({ action }) => ({ key: "", id: action.id }),
  );

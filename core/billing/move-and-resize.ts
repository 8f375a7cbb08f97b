import type { Capacity } from "#core/hosts/capacity.ts";
import type { MoveCheck, Checked } from "#core/moves/preflight.ts";
import type { ResizeMeans } from "#core/vms/resize-method.ts";
import type { VmSize } from "#core/vms/vm.ts";
import { RESTART_SECONDS } from "./decide-quote.ts";
import { isPassing } from "./plan-migration.ts";
import type { Quote, QuoteRefusal } from "./quote.ts";
import type { ResizeState } from "./resize.ts";

/*
 * A VM whose own host cannot give it what it is to become moves first, at its old size, to one that can, where room for the larger of both sizes
 * is held from the beginning; there it is resized as any other (docs/adr/0060).
 */

/** What another host may be able to do. */
const OF_ITS_HOST: ReadonlySet<QuoteRefusal> = new Set<QuoteRefusal>([
  "no_room",
  "beyond_limits",
  "limit_unsupported",
]);

/** Whether nothing but its own host stands against a change, or what passes by itself. */
export const isOfItsHost = (refusals: readonly QuoteRefusal[]): boolean =>
  refusals.some((code) => OF_ITS_HOST.has(code)) &&
  refusals.every((code) => OF_ITS_HOST.has(code) || isPassing(code));

/** A host that could take it. */
export type OtherHost = Readonly<{
  id: string;
  means: Omit<ResizeMeans, "imageMinMemoryMib">;
  free: Capacity;
}>;

/** The VM as if it was there, with the room for what it becomes. */
export function stateAt(
  state: ResizeState,
  { id, means, free }: OtherHost,
  held: VmSize,
): ResizeState {
  const imageMinMemoryMib = state.image.minMemoryMib;
  return {
    ...state,
    host: { id, state: "active", means: { ...means, imageMinMemoryMib }, free, held },
  };
}

/** A disk is sent at so much, at least, on a line of 1 Gbit/s that others use, too; where it has holes, or the line is better, it takes less. */
const COPY_MIB_PER_SECOND = 50;

/** For how long it may be down: it is copied while it is off, and what it becomes may ask for one more restart. Where it moves live, it is less. */
export const movedAndResized = ({ diskGib }: VmSize): Pick<Quote, "method" | "downSeconds"> => ({
  method: "move",
  downSeconds: 2 * RESTART_SECONDS + Math.ceil((diskGib * 1024) / COPY_MIB_PER_SECOND),
});

/** What stands against a move now, and will not for long: an action ends, a guest has booted, its host is heard of again. */
const PASSES: ReadonlySet<MoveCheck> = new Set<MoveCheck>([
  "running_action",
  "first_boot",
  "source_host",
]);

/** What stands against its move, in words; null: nothing. `passes`: all of it passes by itself; or only what does not is told. */
export function whyNoMove(checks: readonly Checked[]): { passes: boolean; detail: string } | null {
  const against = checks.filter(({ ok }) => !ok);
  if (against.length === 0) return null;
  const forGood = against.filter(({ check }) => !PASSES.has(check));
  return {
    passes: forGood.length === 0,
    detail: (forGood.length === 0 ? against : forGood)
      .map(({ check, detail }) => `${check}: ${detail}`)
      .join("; "),
  };
}

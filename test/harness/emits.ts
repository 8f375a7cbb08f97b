import type { EventName } from "#core/contracts/events.ts";
import type { ControlPlane } from "./control-plane.ts";

/**
 * Runs a step that must write exactly these events to the outbox, in this order: said beforehand, so that a missing
 * one and one that nobody asked for both fail (Kill Bill's habit, its `busHandler.pushExpectedEvents`).
 */
export async function emits<T>(
  cp: Pick<ControlPlane, "rows">,
  expected: readonly EventName[],
  step: () => Promise<T>,
): Promise<T> {
  const before = await lastSeq(cp);
  const result = await step();
  const rows = await cp.rows("select name from outbox where seq > $1 order by seq", before);
  const emitted = rows.map((row) => String(row["name"]));
  const missing = without(expected, emitted);
  const extra = without(emitted, expected);
  const wrong = [
    ...(missing.length > 0 ? [`missing ${missing.join(", ")}`] : []),
    ...(extra.length > 0 ? [`not expected ${extra.join(", ")}`] : []),
  ];
  if (wrong.length === 0 && emitted.join() !== expected.join())
    wrong.push(`in another order: ${emitted.join(", ")}`);
  if (wrong.length > 0) throw new Error(`the step's events: ${wrong.join("; ")}`);
  return result;
}

async function lastSeq(cp: Pick<ControlPlane, "rows">): Promise<unknown> {
  const [row] = await cp.rows("select coalesce(max(seq), 0)::text as seq from outbox");
  return row?.["seq"];
}

/** What is left of `list` when each of `taken` has been taken from it once. */
function without(list: readonly string[], taken: readonly string[]): readonly string[] {
  const left = [...list];
  for (const each of taken) {
    const at = left.indexOf(each);
    if (at >= 0) left.splice(at, 1);
  }
  return left;
}

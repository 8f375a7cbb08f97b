import { z } from "zod";
import { toWireId } from "#core/ids.ts";
import type { Mirror, Row } from "./mirror.ts";
import type { Requests } from "./requests.ts";

const Told = z.object({
  from: z.string().transform(Date.parse),
  to: z.string().transform(Date.parse),
  unmeasured: z.array(
    z.object({ from: z.string().transform(Date.parse), to: z.string().transform(Date.parse) }),
  ),
});
/** As far back as can be asked at once. */
const LONGEST_MS = 34 * 24 * 3_600_000;
/** Clocks of hosts differ from ours by as much at the most, once they are corrected. */
const SKEW_MS = 60_000;

/**
 * 24. The usage of a VM that moved has no gap: what lies between two of its samples around a move is told as a time in which nobody could
 * measure it, and nothing that was measured is.
 */
export async function compareUsage(
  requests: Requests,
  { mirror, now }: { mirror: Mirror; now: number },
): Promise<void> {
  const moved = new Set(
    mirror.moves.all().flatMap((m) => (m.released_at === null ? [] : [m.vm_id])),
  );
  for (const vmId of moved) {
    const query = `from=${new Date(now - LONGEST_MS).toISOString()}&to=${new Date(now).toISOString()}`;
    const path = `/v1/vms/${toWireId("vm", vmId)}/usage?${query}`;
    const answer = await requests.insist("grace", "GET", path);
    if (answer?.status !== 200) continue;
    const told = Told.parse(JSON.parse(answer.text));
    const samples = mirror.samples.all().filter((s) => s.vm_id === vmId);
    for (const [from, to] of holesAroundMoves(mirror, vmId, samples)) {
      const isShown = from < told.to && to > told.from;
      if (isShown && !told.unmeasured.some((each) => each.from === from && each.to === to))
        requests.broken(
          24,
          `usage of VM ${vmId} has a gap ${inWords(from, to)}, which nothing marks`,
        );
    }
    for (const { from, to } of told.unmeasured)
      if (samples.some((s) => s.from_at < to && from < s.to_at))
        requests.broken(
          24,
          `VM ${vmId} was measured ${inWords(from, to)}, and that is told as not`,
        );
  }
}

function holesAroundMoves(
  { moves }: Mirror,
  vmId: string,
  samples: readonly Row<"usage_samples">[],
): readonly (readonly [number, number])[] {
  const inOrder = samples.toSorted((a, b) => a.from_at - b.from_at);
  return inOrder.slice(1).flatMap((later, n) => {
    const from = inOrder[n]?.to_at ?? later.from_at;
    const to = later.from_at;
    const isAround = moves
      .all()
      .some(
        ({ vm_id: id, released_at: at }) =>
          id === vmId && at !== null && from - SKEW_MS <= at && at <= to + SKEW_MS,
      );
    return from < to && isAround ? [[from, to] as const] : [];
  });
}

const inWords = (from: number, to: number): string =>
  `from ${new Date(from).toISOString()} to ${new Date(to).toISOString()}`;

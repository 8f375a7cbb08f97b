import { silentBefore } from "#core/hosts/place-vm.ts";
import type { WaitsFor } from "#core/vms/waits-for.ts";
import type { Move } from "./move.ts";
import { waitsForOfMove } from "./waits-for-move.ts";

type HostOfMove = Readonly<{ id: string; name: string; lastSeenAt: Date | null }>;
/** As it is stored, of which what its ends prove themselves by is not shown. */
type StoredMove = Readonly<{ move: Move; way: Readonly<{ mbitPerSecond: number | null }> }>;

/** A move as staff look at it. */
export type ShownMove = Readonly<{
  move: Move;
  mbitPerSecond: number | null;
  source: HostOfMove;
  destination: HostOfMove;
  waitsFor: WaitsFor | null;
}>;

/** The hosts that these moves are between. */
export const hostsOfMoves = (moves: readonly StoredMove[]): readonly string[] => [
  ...new Set(moves.flatMap(({ move }) => [move.sourceHostId, move.destinationHostId])),
];

export function shownMove(
  { move, way: { mbitPerSecond } }: StoredMove,
  hosts: ReadonlyMap<string, HostOfMove>,
  now: Date,
): ShownMove {
  const [source, destination] = [hosts.get(move.sourceHostId), hosts.get(move.destinationHostId)];
  if (!source || !destination) throw new Error(`a host of move ${move.id} vanished`);
  const endOf = ({ name, lastSeenAt }: HostOfMove) => ({
    name,
    isSilent: lastSeenAt === null || lastSeenAt < silentBefore(now),
  });
  const ends = { source: endOf(source), destination: endOf(destination) };
  return { move, mbitPerSecond, source, destination, waitsFor: waitsForOfMove(move, ends) };
}

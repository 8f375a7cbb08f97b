import { MOVE } from "#core/contracts/agent/protocol.ts";
import type { DesiredMove } from "#core/contracts/agent/moves.ts";
import type { DesiredVm } from "#core/contracts/agent/desired.ts";
import type { MoveRole } from "#core/moves/move.ts";
import { partOf } from "#core/moves/part.ts";
import type { KeptMove } from "./moves.ts";

/** Opens what a move's key is sealed as. */
export type OpenKey = (sealed: string, moveId: string) => string;

/** Where nobody may: a document with a move in it cannot be made. */
export const NO_KEYS: OpenKey = (_, moveId) => {
  throw new Error(`the key of move ${moveId} is not to be opened here`);
};

/** What an end of a move is told of its VM, made of what is wanted of the VM; null: nothing. */
export function asPartOfMove(
  vm: DesiredVm,
  kept: KeptMove,
  hostId: string,
  openKey: OpenKey,
): DesiredVm | null {
  const part = partOf(kept.move, hostId);
  if (part === null) return null;
  const { ownerEpoch, role } = part;
  const presence = part.presence ?? vm.presence;
  const { needs: asked = [], ...rest } = vm;
  // One that is to go needs nothing: every agent removes it.
  const words = presence === "absent" ? [] : asked;
  const needs = part.isNamed ? [...words, MOVE] : words;
  return {
    ...rest,
    ownerEpoch,
    presence,
    power: part.power ?? vm.power,
    ...(needs.length > 0 && { needs }),
    ...(part.isNamed && { move: desiredMove(kept, role, openKey) }),
  };
}

function desiredMove({ move, way }: KeptMove, role: MoveRole, openKey: OpenKey): DesiredMove {
  if (way.sealedKey === null) throw new Error(`move ${move.id} is open and has no key`);
  const { disk } = move;
  return {
    id: move.id,
    role,
    step: move.step,
    method: move.method,
    epoch: move.epoch,
    format: way.format,
    address: way.address,
    key: openKey(way.sealedKey, move.id),
    mbitPerSecond: way.mbitPerSecond,
    disk: disk && {
      format: disk.format,
      virtualBytes: String(disk.virtualBytes),
      exportBytes: String(disk.exportBytes),
      base: disk.base,
    },
  };
}

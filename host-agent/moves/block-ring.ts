import { BLOCK_BYTES } from "./disk-frames.ts";

/** So many blocks are between the disk and the channel at once, and no more memory is taken. */
const SLOTS = 4;

export type Slot = Readonly<{
  memory: Buffer;
  /** It is not given to anybody else until then. */
  usedUntil: (end: Promise<unknown>) => void;
}>;

export interface BlockRing {
  /** A block's memory that nobody uses any more. Throws what its last use did. */
  next(): Promise<Slot>;
  /** Resolves when nothing is in use. Throws what a use did. */
  idle(): Promise<void>;
}

export function createBlockRing(): BlockRing {
  const uses = new Map<Slot, Promise<unknown>>();
  const use = (slot: Slot, end: Promise<unknown>) => {
    // Who asks for the slot next, or for all to be idle, hears what is amiss.
    end.catch(() => undefined);
    // Set anew, so that the order of the map is that of their turns.
    uses.delete(slot);
    uses.set(slot, end);
  };
  for (let n = 0; n < SLOTS; n++) {
    const slot: Slot = {
      memory: Buffer.allocUnsafeSlow(BLOCK_BYTES),
      usedUntil: (end) => use(slot, Promise.all([uses.get(slot), end])),
    };
    use(slot, Promise.resolve());
  }
  return {
    async next() {
      for (const [slot, end] of uses) {
        use(slot, end);
        await end;
        return slot;
      }
      throw new Error("a ring without slots");
    },
    idle: async () => void (await Promise.all(uses.values())),
  };
}

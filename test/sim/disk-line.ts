import type { MoveFiles } from "#host-agent/drivers/simulated/moves.ts";
import type { IncomingDisk, MoveChannel } from "#host-agent/moves/move-channel.ts";
import type { MoveFolder } from "#host-agent/moves/move-files.ts";
import { MoveStreamError } from "#host-agent/moves/stream-error.ts";
import { createMoveLine, type MemoryDisk, type MoveLine } from "#test/drivers/move-line.ts";
import { forever, type Scheduler } from "./scheduler.ts";

/** What a host's files and its end of the line ask of the host. */
export type Owner = Readonly<{
  isDead: () => boolean;
  isCut: () => boolean;
  isFull: () => boolean;
  /** Passed before and after all that is done to the outside: its agent may die there. */
  pass: () => Promise<void>;
}>;

/** What joins all hosts of a run for the disks of moves: who loses the network, loses what is under way on it, too. */
export class DiskLine {
  readonly #line: MoveLine;

  constructor(scheduler: Scheduler) {
    this.#line = createMoveLine(scheduler.clock);
  }

  /** Everything that is under way on it ends: between two hosts there is nothing else. */
  cut(): void {
    this.#line.cut();
  }

  /** A host's end for one life of its agent. Whatever was under way in a dead one never comes back to it. */
  of(name: string, disk: MemoryDisk, owner: Owner & { dead: AbortSignal }): MoveChannel {
    const channel = this.#line.of(name, disk, owner.dead);
    const { listen } = channel;
    const living = <T>(work: Promise<T>): Promise<T> =>
      work.then(
        (value) => (owner.isDead() ? forever : value),
        (error: unknown) => (owner.isDead() ? forever : Promise.reject(error)),
      );
    const unreachable = () => new MoveStreamError("unreachable", "its network is away (simulated)");
    const incoming = (of: IncomingDisk): IncomingDisk => ({
      receive: (into) => living(of.receive(into)),
      confirm: (held, signal) => living(of.confirm(held, signal)),
    });
    return {
      listen:
        listen &&
        ((door, signal) =>
          listen(
            {
              keyOf: (moveId) => (owner.isCut() ? null : door.keyOf(moveId)),
              takerOf: (moveId) => {
                const take = owner.isCut() ? null : door.takerOf(moveId);
                return take && ((of) => take(incoming(of)));
              },
              liveOf: door.liveOf,
            },
            signal,
          )),
      send: (of) =>
        living(
          owner.isCut() ? Promise.reject(unreachable()) : owner.pass().then(() => channel.send(of)),
        ),
    };
  }
}

/** A host's files, as one life of its agent sees them: they outlive it, and one that is dead sees nothing more. */
export function filesOf(
  disk: MemoryDisk,
  { isDead, isFull, pass }: Omit<Owner, "isCut">,
): MoveFiles & MoveFolder {
  const living = async <T>(work: () => Promise<T>): Promise<T> => (isDead() ? forever : work());
  const changing = async (work: () => Promise<void>): Promise<void> => {
    await pass();
    await living(work);
    return pass();
  };
  return {
    read: (file) => living(() => disk.read(file)),
    has: (file) => living(() => disk.has(file)),
    list: (folder) => living(() => disk.list(folder)),
    freeBytes: (folder) => living(async () => (isFull() ? 0 : disk.freeBytes(folder))),
    make: (folder) => living(() => disk.make(folder)),
    write: (file, text) =>
      changing(async () => {
        if (isFull())
          throw Object.assign(new Error("ENOSPC: no space left on device (simulated)"), {
            code: "ENOSPC",
          });
        await disk.write(file, text);
      }),
    remove: (file) => changing(() => disk.remove(file)),
  };
}

import { createHash } from "node:crypto";
import type { Clock } from "#core/ports.ts";
import type { MoveFiles } from "#host-agent/drivers/simulated/moves.ts";
import type { IncomingDisk, MoveChannel, MoveDoor } from "#host-agent/moves/move-channel.ts";
import type { MoveFolder } from "#host-agent/moves/move-files.ts";
import { MoveStreamError } from "#host-agent/moves/stream-error.ts";

/** A host's disk in memory, for the simulated driver and for the agent's files of moves. */
export type MemoryDisk = MoveFiles & MoveFolder & { free: number; names(): readonly string[] };

export function createMemoryDisk(): MemoryDisk {
  const texts = new Map<string, string>();
  const disk: MemoryDisk = {
    free: 100 * 1024 ** 3,
    names: () => [...texts.keys()],
    read: async (file) => texts.get(file) ?? null,
    write: async (file, text) => void texts.set(file, text),
    remove: async (file) => void texts.delete(file),
    has: async (file) => texts.has(file),
    make: async () => undefined,
    freeBytes: async () => disk.free,
    list: async (folder) =>
      [...texts.keys()]
        .filter((file) => file.startsWith(`${folder}/`))
        .map((file) => file.slice(folder.length + 1)),
  };
  return disk;
}

const CHUNK = 16;
const CHUNK_MS = 500;

/** What joins hosts in memory: it takes its time, may be cut, and goes on where it was. */
export function createMoveLine(clock: Clock) {
  const doors = new Map<string, MoveDoor>();
  let cut = new AbortController();
  const line = {
    /** Bytes that went over it. */
    bytes: 0,
    /** Nobody gets through while it is. */
    isDown: false,
    /** What is under way ends. */
    cut() {
      cut.abort(new MoveStreamError("cut_off", "the line was cut"));
      cut = new AbortController();
    },
    /** A host's end, for one life of its agent, whose channels end with `dead`. */
    of: (host: string, disk: MemoryDisk, dead: AbortSignal): MoveChannel => ({
      async listen(door) {
        doors.set(host, door);
        dead.addEventListener("abort", () => doors.get(host) === door && doors.delete(host));
        ends.set(door, { disk, dead });
        return { host, port: 7000 };
      },
      async send({ to, moveId, key, path, progress, signal }) {
        const door = doors.get(to.host);
        const end = door && ends.get(door);
        if (line.isDown || door === undefined || end === undefined)
          throw new MoveStreamError("unreachable", "nobody is there");
        if (!door.keyOf(moveId) || !Buffer.from(door.keyOf(moveId) ?? []).equals(Buffer.from(key)))
          throw new MoveStreamError("not_admitted", "the move is not known");
        const take = door.takerOf(moveId);
        if (take === null) throw new MoveStreamError("refused", "kind");
        const text = await disk.read(path);
        if (text === null) throw new Error(`there is no ${path}`);
        const sha256 = createHash("sha256").update(text).digest("hex");
        const moved = { bytes: text.length, sha256 };
        const over = AbortSignal.any([signal, cut.signal, dead, end.dead]);
        const incoming: IncomingDisk = {
          async receive(into) {
            const part = `${into.path}.received`;
            const mine = `${into.attempt}:`;
            const before = await end.disk.read(part);
            let at = before?.startsWith(mine) ? before.length - mine.length : 0;
            while (at < text.length) {
              await clock.sleep(CHUNK_MS, AbortSignal.any([into.signal, over]));
              const next = Math.min(text.length, at + CHUNK);
              line.bytes += next - at;
              at = next;
              await end.disk.write(part, `${mine}${text.slice(0, at)}`);
              into.progress(at, text.length);
              progress(at);
            }
            await end.disk.write(into.path, text);
            return moved;
          },
          async confirm(held) {
            if (held.sha256 !== sha256)
              throw new MoveStreamError("wrong_checksum", "another came before");
          },
        };
        try {
          await Promise.race([take(incoming), aborted(over)]);
        } catch (cause) {
          signal.throwIfAborted();
          throw new MoveStreamError("cut_off", "the other host is gone", { cause });
        }
        return moved;
      },
    }),
  };
  const ends = new WeakMap<MoveDoor, { disk: MemoryDisk; dead: AbortSignal }>();
  return line;
}

const aborted = (signal: AbortSignal) =>
  new Promise<never>((_, reject) => {
    const abort = () => reject(new Error("it is over", { cause: signal.reason }));
    if (signal.aborted) abort();
    else signal.addEventListener("abort", abort, { once: true });
  });

export type MoveLine = ReturnType<typeof createMoveLine>;

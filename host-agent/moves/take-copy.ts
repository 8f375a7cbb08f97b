import { DriverError } from "#host-agent/drivers/driver.ts";
import {
  copied,
  limited,
  movesOf,
  reasonOf,
  untilAborted,
  type MoveStepPorts,
} from "./step-ports.ts";
import type { IncomingDisk } from "./move-channel.ts";
import { ownFault } from "./move-error.ts";
import { attemptOf, fileOf } from "./move-files.ts";
import type { Doing } from "./move-worker.ts";
import type { MovedFile } from "./send-disk.ts";

/**
 * The destination's part of a cold copy: takes the file, and has a VM made of it. It ends when it is aborted alone: the source's agent
 * may have died before it wrote down that all was sent, and asks again.
 */
export async function takeCopy(ports: MoveStepPorts, doing: Doing): Promise<never> {
  const { vm, signal, waitFor } = doing;
  const { move } = vm;
  const { disk, format } = move;
  const moves = movesOf(ports);
  if (disk === null) throw new DriverError("driver_failed", "nobody has said what comes");
  if ((await ports.address()) === null)
    throw new DriverError("driver_failed", "this host cannot listen for moves now");
  await ports.folder.make(moves.folder);
  const path = fileOf(moves.folder, vm);
  const receiver = await createReceiver(ports, doing, path, Number(disk.exportBytes));
  const take = (incoming: IncomingDisk) => receiver.take(incoming);
  ports.takers.set(move.id, take);
  try {
    const moved = await waitFor(receiver.received);
    await ports.taking(
      () =>
        limited(ports, { what: "the import", bytes: BigInt(disk.exportBytes), signal }, (inner) =>
          moves.importDisk(vm, { path, format, base: disk.base }, inner),
        ),
      signal,
    );
    doing.say(copied(moved));
    return await waitFor(untilAborted(signal));
  } finally {
    if (ports.takers.get(move.id) === take) ports.takers.delete(move.id);
    await receiver.end();
  }
}

/** Who comes again is served anew, once what was served before has ended: the file has one writer. */
async function createReceiver(
  { notes }: MoveStepPorts,
  { vm, signal, tell }: Doing,
  path: string,
  mostBytes: number,
) {
  const attempt = attemptOf(vm);
  const { promise: received, resolve, reject } = Promise.withResolvers<MovedFile>();
  // Heard by whoever waits for it, if anybody does.
  received.catch(() => undefined);
  const over = new AbortController();
  const abort = () => reject(reasonOf(signal));
  signal.addEventListener("abort", abort, { once: true });
  if (signal.aborted) abort();
  let held = (await notes.read(attempt)).moved;
  if (held !== null) resolve(held);
  let serving: { stop: AbortController; ended: Promise<void> } | null = null;

  async function serve(disk: IncomingDisk, stop: AbortSignal): Promise<void> {
    if (held !== null) return disk.confirm(held, stop);
    try {
      const into = { path, attempt: `${vm.move.id} ${vm.move.epoch}`, mostBytes };
      const moved = await disk.receive({ ...into, progress: tell, signal: stop });
      await notes.write(attempt, { exported: false, moved });
      held = moved;
      resolve(moved);
    } catch (error) {
      const fault = stop.aborted ? null : ownFault(error);
      if (fault !== null) reject(fault);
      throw error;
    }
  }

  return {
    received,
    async take(disk: IncomingDisk): Promise<void> {
      const before = serving;
      const stop = new AbortController();
      const next = AbortSignal.any([stop.signal, over.signal, signal]);
      before?.stop.abort(new Error("it came again"));
      const work = (async () => {
        await before?.ended;
        next.throwIfAborted();
        await serve(disk, next);
      })();
      serving = { stop, ended: work.catch(() => undefined) };
      return work;
    },
    async end(): Promise<void> {
      over.abort(new Error("it is taken no more"));
      signal.removeEventListener("abort", abort);
      await serving?.ended;
    },
  };
}

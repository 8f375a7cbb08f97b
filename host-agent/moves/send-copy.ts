import { DriverError } from "#host-agent/drivers/driver.ts";
import { pause } from "#host-agent/time-limit.ts";
import { copied, limited, movesOf, type MoveStepPorts } from "./step-ports.ts";
import { attemptOf, fileOf } from "./move-files.ts";
import type { Doing, Done } from "./move-worker.ts";

/** What a line takes that nobody limits: the stream's own pace is then never the slower one. */
const NOT_LIMITED_MBIT = 1_000_000;
const LOOK_AGAIN_MS = 1_000;

/** The source's part of a cold copy: waits until its worker has stopped the VM, writes its disk to a file, and sends that. */
export async function sendCopy(ports: MoveStepPorts, doing: Doing): Promise<Done> {
  const { vm, signal } = doing;
  const { notes, channel, folder } = ports;
  const moves = movesOf(ports);
  const { move } = vm;
  const { disk } = move;
  const attempt = attemptOf(vm);
  if (disk === null) throw new DriverError("driver_failed", "nobody has said what is to be sent");
  await untilOff(ports, doing);
  return ports.sending(async () => {
    const path = fileOf(moves.folder, vm);
    const note = await notes.read(attempt);
    if (note.moved !== null) return copied(note.moved);
    if (!note.exported || !(await folder.has(path))) {
      await folder.make(moves.folder);
      const bytes = BigInt(disk.exportBytes);
      const to = { path, format: move.format, base: disk.base };
      await limited(ports, { what: "the export", bytes, signal }, (inner) =>
        moves.exportDisk(vm, to, inner),
      );
      await notes.write(attempt, { exported: true, moved: null });
    }
    const moved = await channel.send({
      to: move.address,
      moveId: move.id,
      key: Buffer.from(move.key, "base64url"),
      path,
      mbitPerSecond: Math.min(
        move.mbitPerSecond ?? NOT_LIMITED_MBIT,
        ports.mbitPerSecond ?? NOT_LIMITED_MBIT,
      ),
      progress: doing.tell,
      signal,
    });
    await notes.write(attempt, { exported: true, moved });
    return copied(moved);
  }, signal);
}

/** Its own worker stops it, as the document says. Throws `vm_missing`, `stale_epoch`. */
async function untilOff(
  ports: MoveStepPorts,
  { vm, signal, waitFor, worker }: Doing,
): Promise<void> {
  for (;;) {
    // A start that it began before it was told otherwise may be under way, of a VM that is seen off.
    await waitFor(worker.atRest());
    const seen = (await ports.observer.look()).vms.get(vm.vmId);
    if (seen === undefined) throw new DriverError("vm_missing", `VM ${vm.vmId} is not here`);
    if (seen.ownerEpoch !== vm.ownerEpoch)
      throw new DriverError("stale_epoch", `it is here in epoch ${seen.ownerEpoch}`);
    if (seen.power === "off") return;
    await waitFor(pause(ports.clock, LOOK_AGAIN_MS, signal));
    signal.throwIfAborted();
  }
}

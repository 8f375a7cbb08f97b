import { DriverError } from "#host-agent/drivers/driver.ts";
import type { BaseImage } from "#host-agent/drivers/move-calls.ts";
import { movesOf, type MoveStepPorts } from "./step-ports.ts";
import type { Doing, Done } from "./move-worker.ts";

const MIB = 1024 ** 2;
/** A host's disk that runs full stops every VM on it. */
const RESERVE_BYTES = 1024 * MIB;
/** Cold: the file that is received, and what a driver that cannot take it as it is makes of it. Live: what the guest is copied into. */
const COPIES = { cold: 2, live: 1 } as const;

/**
 * The destination's preparations: what is to come has room, and what it stands on is here. Throws `out_of_disk`, `image_missing`,
 * `unsupported`. Until the source has said what comes there is nothing to prepare for.
 */
export async function beReady(ports: MoveStepPorts, { vm }: Doing): Promise<Done> {
  const { disk } = vm.move;
  const { folder } = movesOf(ports);
  if (ports.channel.listen === null)
    throw new DriverError("unsupported", "this host takes no VMs of others: `moves` is not set");
  if (disk === null) return { done: null };
  await ports.folder.make(folder);
  const promised = ports.promised(vm);
  const needed = COPIES[vm.move.method] * Number(disk.exportBytes) + promised + RESERVE_BYTES;
  const free = await ports.folder.freeBytes(folder);
  if (free < needed)
    throw new DriverError(
      "out_of_disk",
      `${Math.ceil(needed / MIB)} MiB are needed, with a reserve of ${RESERVE_BYTES / MIB} MiB and ${Math.ceil(promised / MIB)} MiB ` +
        `for others that come, and ${folder} has ${Math.floor(free / MIB)} MiB free`,
    );
  if (disk.base !== null) await mustHold(ports, disk.base);
  if ((await ports.address()) === null)
    throw new DriverError("driver_failed", "this host cannot listen for moves now");
  return { done: "ready" };
}

async function mustHold(ports: MoveStepPorts, { file, sha256 }: BaseImage): Promise<void> {
  const { imageFolder } = ports.driver;
  const images = ports.facts()?.images;
  // A host that cannot say is taken to hold every image; its driver looks again when it needs it.
  if (imageFolder === null && images === undefined) return;
  const told = images?.find((image) => image.file === file);
  const sum = imageFolder === null ? (told?.sha256 ?? null) : await imageFolder.sumOf(file);
  if (sum === sha256) return;
  if (sum === null && told?.sha256 === null)
    throw new DriverError("driver_failed", `image ${file} has not been read through yet`);
  throw new DriverError("image_missing", `this host does not hold image ${file} of ${sha256}`);
}

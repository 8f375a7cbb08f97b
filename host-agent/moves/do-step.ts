import { DriverError } from "#host-agent/drivers/driver.ts";
import { beReady } from "./be-ready.ts";
import { fileOf } from "./move-files.ts";
import type { Doing, Done } from "./move-worker.ts";
import { sendCopy } from "./send-copy.ts";
import { holdLive, sendLive } from "./send-live.ts";
import { briefly, movesOf, type MoveStepPorts } from "./step-ports.ts";
import { takeCopy } from "./take-copy.ts";
import { takeLive } from "./take-live.ts";

/** Does what the move asks of this host now. null: nothing. Throws `DriverError`, `MoveStreamError`, or the signal's reason. */
export async function doMoveStep(ports: MoveStepPorts, doing: Doing): Promise<Done | null> {
  const { step, role, method } = doing.vm.move;
  const isSource = role === "source";
  switch (step) {
    case "prepare":
      return isSource ? describe(ports, doing) : beReady(ports, doing);
    case "copy":
      if (method === "live") return isSource ? sendLive(ports, doing) : takeLive(ports, doing);
      return isSource ? sendCopy(ports, doing) : takeCopy(ports, doing);
    case "release":
      return isSource ? release(ports, doing) : null;
    case "hold":
      if (method === "live") return isSource ? holdLive(ports, doing) : takeLive(ports, doing);
      return isSource ? hold(ports, doing) : null;
    case "take_over":
    case "clean":
    case "drop":
    case "ended":
      // The VM's presence and power say all.
      return null;
  }
}

async function describe(ports: MoveStepPorts, { vm, signal }: Doing): Promise<Done> {
  const moves = movesOf(ports);
  const disk = await briefly(ports, "describe", signal, (inner) => moves.describe(vm, inner));
  return {
    done: "ready",
    disk: {
      format: vm.move.format,
      virtualBytes: String(disk.virtualBytes),
      exportBytes: String(disk.exportBytes),
      base: disk.base,
    },
  };
}

async function release(ports: MoveStepPorts, { vm, signal, worker }: Doing): Promise<Done> {
  const moves = movesOf(ports);
  await worker.ended();
  await briefly(ports, "release", signal, (inner) => moves.release(vm, inner));
  return { done: "released" };
}

/** Whatever was under way for the move has ended before this begins. */
async function hold(ports: MoveStepPorts, { vm, signal, worker }: Doing): Promise<Done> {
  const { moves } = ports.driver;
  await worker.ended();
  // Without these calls nothing was ever given away.
  if (moves === null) return { done: "held" };
  await ports.folder.remove(fileOf(moves.folder, vm));
  try {
    await briefly(ports, "hold", signal, (inner) => moves.hold(vm, inner));
  } catch (error) {
    if (!(error instanceof DriverError) || error.code !== "vm_missing") throw error;
  }
  return { done: "held" };
}

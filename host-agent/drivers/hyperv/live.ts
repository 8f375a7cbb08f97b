import type { Clock } from "#core/ports.ts";
import { pause, WAITED_ENOUGH } from "#host-agent/time-limit.ts";
import { DriverError, type VmRef } from "../driver.ts";
import type { LiveCalls } from "../move-calls.ts";
import { LiveFolder, SeenEnd } from "./answers.ts";
import { type Ask, wholeHardware } from "./vm-request.ts";

/**
 * Hyper-V's own live migration with nothing shared (`Move-VM`): its hosts reach each other by themselves, by names and under an account that
 * their operator has allowed to. Written from Microsoft's documentation, and run against a stand-in only.
 */
export function createHypervLive(host: {
  change: Ask;
  copy: Ask;
  refuse: (vm: Parameters<LiveCalls["prepareLive"]>[0], signal?: AbortSignal) => Promise<void>;
  clock: Clock;
}): LiveCalls {
  return {
    forwarded: null,

    async prepareLive(vm, _base, signal) {
      await host.refuse(vm, signal);
      const { os, firmware, secureBoot } = wholeHardware(vm);
      const made = await host.change("live-prepare", vm, { os, firmware, secureBoot }, signal);
      return { definition: JSON.stringify(LiveFolder.parse(made)) };
    },

    async migrateLive(vm, { target, mbitPerSecond }, signal) {
      // Hyper-V's are limits of the host, for all that it moves.
      if (mbitPerSecond !== null)
        throw new DriverError("unsupported", "Hyper-V limits no single move of a VM that runs");
      const to = readTarget(target.definition);
      signal?.throwIfAborted();
      // Without the signal: its process, killed, would leave Hyper-V at work, and nobody who hears of its end.
      const moving = host.copy("live-move", vm, to);
      const stop = () => host.change("live-stop", vm, {});
      await orStopped(moving, stop, { clock: host.clock, signal });
    },

    // It does not say.
    pauseOf: async () => null,

    seen: async (vm, signal) => SeenEnd.parse(await host.change("live-end", vm, {}, signal)).end,

    // It arrives running: only a guest that has ended meanwhile has to be started.
    async takeLive(vm: VmRef, signal) {
      await host.change("start", vm, { dropSavedState: false }, signal);
    },
  };
}

const STOP_AGAIN_MS = 2_000;

/** Ends when the work has ended. Asked to stop it, it asks again until then: Hyper-V may not have begun when it is asked first. */
async function orStopped(
  work: Promise<unknown>,
  stop: () => Promise<unknown>,
  { clock, signal }: Readonly<{ clock: Clock; signal: AbortSignal | undefined }>,
): Promise<void> {
  const over = new AbortController();
  let stopping = Promise.resolve();
  const untilOver = async () => {
    while (!over.signal.aborted) {
      // One that cannot be stopped any more goes through, which is waited for either way.
      await stop().catch(() => undefined);
      await pause(clock, STOP_AGAIN_MS, over.signal);
    }
  };
  const abort = () => {
    stopping = untilOver();
  };
  signal?.addEventListener("abort", abort, { once: true });
  try {
    await work;
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  } finally {
    signal?.removeEventListener("abort", abort);
    over.abort(WAITED_ENOUGH);
    await stopping;
  }
}

function readTarget(definition: string): LiveFolder {
  try {
    return LiveFolder.parse(JSON.parse(definition));
  } catch (cause) {
    throw new DriverError("unsupported", "the destination does not say where the VM is to go", {
      cause,
    });
  }
}

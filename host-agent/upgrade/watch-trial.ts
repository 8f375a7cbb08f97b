import type { Clock, Log } from "#core/ports.ts";
import { pause } from "#host-agent/time-limit.ts";
import { judgeTrial } from "./decide.ts";
import type { ReleaseHome } from "./release-home.ts";
import { keepRelease, takeBack } from "./swap.ts";

const LOOK_EVERY_MS = 1000;

/**
 * A release on trial judges itself, and the launcher judges one that cannot. Ends at once where there is no trial of `own`.
 * `restart` is called when the release before is to run again.
 */
export async function watchTrial(ports: {
  home: ReleaseHome;
  own: string;
  progress: () => { passDone: boolean; reached: boolean };
  clock: Clock;
  /** Milliseconds by the kernel's monotonic clock: a clock that is set meanwhile must not end the trial. */
  uptimeMs: () => number;
  log: Log;
  signal: AbortSignal;
  restart: (why: string) => void;
}): Promise<void> {
  const { home, own, clock, log, signal } = ports;
  const [version, , reached] = (await home.read("trial")) ?? [];
  if (version !== own || (await home.version("current")) !== own) return;
  const began = ports.uptimeMs();
  log.info("release_on_trial", { version });
  while (!signal.aborted) {
    const elapsedMs = ports.uptimeMs() - began;
    const verdict = judgeTrial({
      elapsedMs,
      ...ports.progress(),
      reachedBefore: reached === "yes",
    });
    if (verdict === "keep") {
      await keepRelease(home);
      log.info("release_kept", { version, elapsed_ms: Math.round(elapsedMs) });
      return;
    }
    if (verdict !== "wait") {
      const previous = await takeBack(home, verdict);
      log.error("release_taken_back", { version, why: verdict, previous });
      ports.restart(`release ${version} is taken back: ${verdict}`);
      return;
    }
    await pause(clock, LOOK_EVERY_MS, signal);
  }
}

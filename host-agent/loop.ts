import type { Clock, Log } from "#core/ports.ts";
import { IdentityRevoked } from "#host-agent/channel/control-plane.ts";
import type { ImageKeeper } from "#host-agent/images/image-keeper.ts";
import type { PassQueue } from "#host-agent/converge/pass-queue.ts";
import type { DoorbellSource } from "#host-agent/channel/rings.ts";
import type { SessionKeeper } from "#host-agent/channel/session.ts";
import { pause } from "./time-limit.ts";

/** What is done again and again, by the clock alone. */
export type Chores = {
  sampleUsage: () => Promise<number>;
  flushUsage: () => Promise<number>;
  emptyTrash: () => Promise<number>;
  guardNetwork: () => Promise<number>;
  /** null: this host's images are none that could be fetched. */
  images: Pick<ImageKeeper, "exchange" | "nextMs"> | null;
};

export type LoopPorts = {
  agent: Chores;
  passes: PassQueue;
  doorbell: DoorbellSource;
  session: SessionKeeper;
  clock: Clock;
  random: () => number;
  log: Log;
  signal: AbortSignal;
};

const TRASH_EVERY_MS = 3_600_000;
/** A firewall that was flushed by hand leaves guests unguarded for so long at most. */
const GUARD_EVERY_MS = 5 * 60_000;
/** After a pass that could not see everything, such as at boot before the hypervisor is up. */
const TRY_AGAIN_MS = 10_000;

/** Everything that the agent does by itself, until `signal` is aborted. */
export async function runLoop(ports: LoopPorts): Promise<void> {
  const { agent, passes, doorbell, session, clock, log, signal } = ports;

  const { images } = agent;

  /** A tenth more or less, so that hosts that started together do not ask together. */
  const spread = (ms: number) => ms * (0.9 + 0.2 * ports.random());

  /** What fails is logged, and done again at its next time; a key that was revoked ends the agent. */
  async function attempt(what: string, work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (error instanceof IdentityRevoked) throw error;
      if (!signal.aborted) log.error(`${what}_failed`, { error: String(error) });
    }
  }

  async function every(what: string, intervalMs: () => number, work: () => Promise<unknown>) {
    while (!signal.aborted) {
      await pause(clock, spread(intervalMs()), signal);
      if (!signal.aborted) await attempt(what, work);
    }
  }

  async function listen(): Promise<void> {
    while (!signal.aborted) {
      await attempt("doorbell", async () => {
        const ring = await doorbell.next(signal);
        // Not awaited: what rings during the pass is gathered for the next one.
        void attempt("pass", async () => {
          if (await passes.ask({ full: false, atLeast: ring.generation })) await ring.answered();
        });
      });
    }
  }

  let whole = false;
  const resync = async () => {
    whole = false;
    whole = await passes.ask({ full: true, atLeast: null });
    // For its intervals, and so that credentials are renewed in time.
    if (!signal.aborted) await session.current(signal);
  };
  const seconds = (name: keyof ReturnType<SessionKeeper["intervals"]>) => () =>
    session.intervals()[name] * 1000;

  const resyncMs = () => {
    const ms = seconds("resyncSeconds")();
    return whole ? ms : Math.min(ms, TRY_AGAIN_MS);
  };

  /** After the first pass, which brings the session and so the intervals. */
  async function keepTime(): Promise<void> {
    await attempt("resync", resync);
    await Promise.all([
      every("resync", resyncMs, resync),
      every("usage_sample", seconds("usageSampleSeconds"), agent.sampleUsage),
      every("usage_flush", seconds("usageFlushSeconds"), agent.flushUsage),
      every("trash", () => TRASH_EVERY_MS, agent.emptyTrash),
      every("guard", () => GUARD_EVERY_MS, agent.guardNetwork),
      ...(images ? [every("images", images.nextMs, images.exchange)] : []),
    ]);
  }

  await Promise.all([listen(), keepTime()]);
}

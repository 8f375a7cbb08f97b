import type { AgentSession } from "#core/contracts/agent/channel.ts";
import type { Clock, Log } from "#core/ports.ts";
import type { ControlPlane } from "./control-plane.ts";

/** The control plane's session for this host: where the doorbell is, its credentials, and the intervals to use. */
export interface SessionKeeper {
  /** The session, renewed at two thirds of its life. Throws when there is none and none can be had. */
  current(signal: AbortSignal): Promise<AgentSession>;
  /** As the last session said; defaults before the first. */
  intervals(): AgentSession["intervals"];
  /** The credentials were refused: ask for new ones next time. */
  distrust(): void;
}

const DEFAULT_INTERVALS = { resyncSeconds: 60, usageSampleSeconds: 60, usageFlushSeconds: 300 };
/** A session without credentials lives so long: intervals change, and a queue may come. */
const PLAIN_LIFE_MS = 5 * 60_000;

export function createSessionKeeper(ports: {
  controlPlane: ControlPlane;
  clock: Clock;
  log: Log;
  /** Given each session that the control plane gives. */
  heard?: (session: AgentSession) => void;
}): SessionKeeper {
  const { controlPlane, clock, log, heard } = ports;
  let held: { session: AgentSession; renewAt: number; endsAt: number } | null = null;
  let asking: Promise<AgentSession> | null = null;

  async function renew(signal: AbortSignal): Promise<AgentSession> {
    const now = clock.now().getTime();
    try {
      const session = await controlPlane.session(signal);
      const expires = session.doorbell?.credentials.expiresAt;
      const endsAt = expires === undefined ? now + PLAIN_LIFE_MS : Date.parse(expires);
      held = { session, renewAt: now + ((endsAt - now) * 2) / 3, endsAt };
      heard?.(session);
      return session;
    } catch (error) {
      // Renewal begins while the old one still works, so one failed try costs nothing.
      if (held === null || now >= held.endsAt) throw error;
      log.error("session_renewal_failed", { error: String(error) });
      held.renewAt = Math.min(held.endsAt, now + 10_000);
      return held.session;
    }
  }

  return {
    current(signal) {
      if (held !== null && clock.now().getTime() < held.renewAt)
        return Promise.resolve(held.session);
      asking ??= renew(signal).finally(() => {
        asking = null;
      });
      return asking;
    },
    intervals: () => held?.session.intervals ?? DEFAULT_INTERVALS,
    distrust() {
      held &&= { ...held, renewAt: 0, endsAt: 0 };
    },
  };
}

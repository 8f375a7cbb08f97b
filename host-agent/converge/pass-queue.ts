import { IdentityRevoked } from "#host-agent/channel/control-plane.ts";
import type { PassRequest } from "./sync.ts";

/** Passes one after another. Who asks while one runs shares the next: fifty doorbells in its time make one pass. */
export interface PassQueue {
  /** true: a pass that began after this call holds what the control plane says, and saw the host. */
  ask(request: PassRequest): Promise<boolean>;
}

export function createPassQueue(
  pass: (request: PassRequest) => Promise<boolean>,
  revoked: (error: IdentityRevoked) => void,
): PassQueue {
  let running: Promise<boolean> | null = null;
  let wanted: PassRequest | null = null;
  let next: Promise<boolean> | null = null;

  function begin(): Promise<boolean> {
    const request = wanted ?? { full: false, atLeast: null };
    wanted = null;
    running = pass(request)
      .catch((error: unknown) => {
        if (!(error instanceof IdentityRevoked)) throw error;
        revoked(error);
        return false;
      })
      .finally(() => {
        running = null;
      });
    return running;
  }

  return {
    ask({ full, atLeast }) {
      wanted = {
        full: full || (wanted?.full ?? false),
        atLeast:
          atLeast === null ? (wanted?.atLeast ?? null) : Math.max(atLeast, wanted?.atLeast ?? 0),
      };
      if (running === null && next === null) return begin();
      next ??= Promise.resolve(running)
        .catch(() => undefined)
        .then(() => {
          next = null;
          return begin();
        });
      return next;
    },
  };
}

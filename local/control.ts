import { Hono } from "hono";
import { z } from "zod";
import type { LocalClock } from "./clock.ts";
import { addDuration } from "./duration.ts";
import type { QueueWorker } from "./queue-worker.ts";
import type { StripeStandIn } from "./stripe/stand-in.ts";

const Advance = z.strictObject({ advance: z.string().max(40) });
/** Two years: further than any test of a subscription needs, and near enough that nothing overflows. */
const FURTHEST_MS = 2 * 366 * 24 * 60 * 60_000;
const QUIET_TRIES = 40;

/** `/_local/…`: what only a local stack has. Never part of a Lambda bundle. */
export function localControl(parts: {
  clock: LocalClock;
  sweep: () => Promise<void>;
  stripe: Pick<StripeStandIn, "runDue" | "webhooks">;
  workers: readonly QueueWorker[];
  keepOffset: (offsetMs: number) => Promise<void>;
}): Hono {
  const { clock } = parts;
  /** Runs what is due until a round finds nothing in work any more. */
  const runDue = async () => {
    for (let tries = 0; tries < QUIET_TRIES; tries++) {
      const due = parts.stripe.runDue();
      await parts.sweep();
      await Promise.all(parts.workers.map((w) => w.idle()));
      if (due === 0 && parts.workers.every((w) => !w.busy())) return;
    }
  };
  return new Hono()
    .get("/_local/clock", (c) => c.json({ now: clock.now().toISOString() }))
    .post("/_local/clock", async (c) => {
      const parsed = Advance.safeParse(await c.req.json().catch(() => undefined));
      const to = parsed.success ? addDuration(clock.now(), parsed.data.advance) : undefined;
      if (!to || +to - +clock.now() > FURTHEST_MS)
        return c.json(
          {
            code: "invalid_request",
            detail: 'send {"advance":"P7D"}: an ISO 8601 duration of two years at most',
          },
          400,
        );
      clock.advance(+to - +clock.now());
      await parts.keepOffset(clock.offsetMs());
      await runDue();
      return c.json({ now: clock.now().toISOString() });
    });
}

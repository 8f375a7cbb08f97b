import { Hono } from "hono";
import { z } from "zod";
import { refuseForeignPages } from "./foreign-page.ts";
import { addDuration } from "./duration.ts";
import { NotSettled, passTime, type TimeParts } from "./pass-time.ts";

const Advance = z.strictObject({ advance: z.string().max(40) });
/** Two years: further than any test of a subscription needs, and near enough that nothing overflows. */
const FURTHEST_MS = 2 * 366 * 24 * 60 * 60_000;

/** `/_local/…`: what only a local stack has. Never part of a Lambda bundle. */
export function localControl(parts: TimeParts): Hono {
  const { clock } = parts;
  /** Two that move it at once move it one after the other. */
  let last: Promise<unknown> = Promise.resolve();
  const pass = (ms: number) => {
    const mine = last.then(() => passTime(parts, ms));
    last = mine.catch(() => undefined);
    return mine;
  };
  return new Hono()
    .use("/_local/*", refuseForeignPages())
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
      try {
        await pass(+to - +clock.now());
      } catch (error) {
        if (!(error instanceof NotSettled)) throw error;
        return c.json({ code: "not_settled", detail: error.message }, 500);
      }
      return c.json({ now: clock.now().toISOString() });
    });
}

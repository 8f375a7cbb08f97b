import { z } from "@hono/zod-openapi";
import type { Context } from "hono";
import type { RequestKey } from "#commands/messages/answer-once.ts";
import { requestHash } from "#commands/messages/request-hash.ts";
import type { AccountEnv } from "./access.ts";

/** Printable ASCII, as the IETF draft on the Idempotency-Key header allows; a UUID is a good one. */
const Key = z
  .string({ error: "the Idempotency-Key header is missing" })
  .regex(/^[\x21-\x7e]{8,255}$/, "8 to 255 printable characters");

/** For what costs money: no key, no order. */
export const IdempotencyKey = z.object({ "idempotency-key": Key });
/** For the other requests that make something: with a key, they may be sent again safely. */
export const OptionalIdempotencyKey = z.object({ "idempotency-key": Key.optional() });

/** The client's key with what it was given for: this account's request, by method, path and body. */
export const requestKey = (
  c: Context<AccountEnv>,
  key: string | undefined,
  body: unknown,
): RequestKey | undefined =>
  key === undefined
    ? undefined
    : {
        accountId: c.get("who").accountId,
        key,
        requestHash: requestHash({ route: `${c.req.method} ${c.req.path}`, body }),
      };

import type { Duplex } from "node:stream";
import { z } from "zod";
import { AGENT_ERROR_CODES } from "#core/contracts/agent/report.ts";
import { LIVE_ENDS } from "#host-agent/drivers/move-calls.ts";
import { createByteReader, createByteWriter } from "./channel-bytes.ts";
import { MoveStreamError } from "./stream-error.ts";

/*
 * What the source of a live move asks its destination, past the control plane: a stream for each question, with one frame each way. A
 * frame is its length (four bytes, big-endian) and so much JSON.
 */

/** Some times as much as a definition takes. */
const MOST_BYTES = 256 * 1024;
const HEAD_BYTES = 4;

export const LiveQuestion = z.enum([
  /** What do you show of it? */
  "seen",
  /** As what will you define it? */
  "target",
  /** It is yours: let it run. */
  "take",
]);
export type LiveQuestion = z.infer<typeof LiveQuestion>;

const Asked = z.object({ ask: LiveQuestion });
export const LiveAnswer = z.union([
  z.object({ seen: z.enum(LIVE_ENDS) }),
  /** null: it is not ready. */
  z.object({ target: z.object({ definition: z.string().max(MOST_BYTES) }).nullable() }),
  z.object({ taken: z.literal(true) }),
  z.object({ error: z.object({ code: z.enum(AGENT_ERROR_CODES), detail: z.string().max(1000) }) }),
]);
export type LiveAnswer = z.infer<typeof LiveAnswer>;

/** The source's end. Throws `MoveStreamError`. */
export async function askLive(channel: Duplex, ask: LiveQuestion): Promise<LiveAnswer> {
  await say(channel, { ask });
  return await hear(channel, LiveAnswer);
}

/** The destination's end. */
export async function answerLive(
  channel: Duplex,
  answer: (question: LiveQuestion) => Promise<LiveAnswer>,
): Promise<void> {
  const { ask } = await hear(channel, Asked);
  await say(channel, await answer(ask));
}

async function say(channel: Duplex, what: z.infer<typeof Asked> | LiveAnswer): Promise<void> {
  const text = Buffer.from(JSON.stringify(what));
  const head = Buffer.alloc(HEAD_BYTES);
  head.writeUInt32BE(text.length);
  await createByteWriter(channel).write(head, text);
}

async function hear<T>(channel: Duplex, schema: z.ZodType<T>): Promise<T> {
  const reader = createByteReader(channel);
  try {
    const head = Buffer.alloc(HEAD_BYTES);
    await reader.fill(head);
    const length = head.readUInt32BE();
    if (length === 0 || length > MOST_BYTES)
      throw new MoveStreamError("bad_frame", `a frame of ${length} bytes`);
    const text = Buffer.alloc(length);
    await reader.fill(text);
    const heard = schema.safeParse(jsonOf(text.toString()));
    if (!heard.success) throw new MoveStreamError("bad_frame", "it makes no sense");
    return heard.data;
  } finally {
    reader.release();
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

import type { Context } from "hono";
import { readAnnouncement, type Announced } from "#core/contracts/agent/protocol.ts";

/** What the agent that asks says of itself. */
export const announcedBy = (c: Context): Announced =>
  readAnnouncement((name) => c.req.header(name));

/** The answer in the shape that the agent announced; who announces nothing gets that of protocol 1, field by field. */
export const spoken = <T>(c: Context, answer: T, inProtocol1: (answer: T) => T): T =>
  announcedBy(c).protocol === 1 ? inProtocol1(answer) : answer;

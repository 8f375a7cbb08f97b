import { z } from "zod";

/** Why a stream between two hosts ended: words that the control plane may rely on, and that one end tells the other. */
export const MoveStreamFault = z.enum([
  /** Nobody answers there. */
  "unreachable",
  /** The other end does not know the move, or another key of it. */
  "not_admitted",
  /** It knows the move, and has nothing for this stream, or too many of them. */
  "refused",
  /** It said and took nothing for a minute. */
  "stalled",
  /** It is gone; what is there is gone on from. */
  "cut_off",
  /** What it sent makes no sense. */
  "bad_frame",
  /** It announced more than this host is willing to take. */
  "too_big",
  /** The whole is another file than the sender's. It has been emptied, and the next attempt begins anew. */
  "wrong_checksum",
  /** The file's size changed while it was sent. */
  "file_changed",
  /** There is something else in the file's place, such as a link. */
  "not_a_file",
  /** The receiver's disk is full. */
  "no_room",
]);
export type MoveStreamFault = z.infer<typeof MoveStreamFault>;

export class MoveStreamError extends Error {
  override name = "MoveStreamError";
  readonly code: MoveStreamFault;
  constructor(code: MoveStreamFault, detail: string, options?: ErrorOptions) {
    super(`${code}: ${detail}`, options);
    this.code = code;
  }
}

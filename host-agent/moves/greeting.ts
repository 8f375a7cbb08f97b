/*
 * The one line that a client says once it is admitted, and the one that it is answered with. After them the stream is that of
 * its kind. A later version may say more in its line; what an end does not know it refuses.
 */

const VERSION = 1;

/** What a stream carries. */
export const MOVE_KINDS = ["disk", "live", "libvirt", "qemu", "nbd"] as const;
export type MoveKind = (typeof MOVE_KINDS)[number];

/** Of these, both ends give signs of life by themselves. The others' bytes are those of other programs. */
export const BEATS: Readonly<Record<MoveKind, boolean>> = {
  disk: true,
  // One question and its answer, with a limit of time of its own.
  live: false,
  libvirt: false,
  qemu: false,
  nbd: false,
};

/** Bytes of a line, which are more than one has. */
export const MOST_OF_LINE = 64;
export const ADMITTED = "admitted";

export type Refusal = "version" | "kind" | "busy";
export const refusalLine = (why: Refusal): string => `refused ${why}`;

/** Why an answer is no admission; null when it is one. */
export const refusalIn = (line: string): string | null =>
  line === ADMITTED ? null : (/^refused ([a-z]{1,16})$/.exec(line)?.[1] ?? "no answer");

export const greetingOf = (kind: MoveKind): string => `berth-move/${VERSION} ${kind}`;

export function kindIn(line: string): MoveKind | "version" | "kind" {
  const [, version, name] = /^berth-move\/(\d{1,4}) ([a-z]{1,16})$/.exec(line) ?? [];
  if (Number(version) !== VERSION) return "version";
  return MOVE_KINDS.find((kind) => kind === name) ?? "kind";
}

import type { Failure } from "../failure.ts";

/** How a word is coloured on a terminal. */
export type Tone = "good" | "bad" | "wait" | "faint";
export type Cell = string | Readonly<{ text: string; tone: Tone }>;

/**
 * `keep`: never cut, since it is copied from here, or half of it says nothing. `spare`: left out where the terminal is too
 * narrow for all columns.
 */
export type Column = Readonly<{ title: string; keep?: boolean; spare?: boolean }>;

/** Columns by their titles: `!` after one keeps it, `?` spares it. */
export const columnsOf = (...titles: readonly string[]): readonly Column[] =>
  titles.map((title) => ({
    title: title.replace(/[!?]$/, ""),
    keep: title.endsWith("!"),
    spare: title.endsWith("?"),
  }));
export type Block =
  | Readonly<{ kind: "table"; columns: readonly Column[]; rows: readonly (readonly Cell[])[] }>
  | Readonly<{ kind: "fields"; title?: string; fields: readonly (readonly [string, Cell])[] }>
  | Readonly<{ kind: "lines"; title?: string; lines: readonly string[] }>;

/** What a command answers. */
export type Shown = Readonly<{
  /** What `--json` prints. */
  json: unknown;
  /** What `--quiet` prints, a line each. */
  ids: readonly string[];
  blocks: readonly Block[];
  /** On stderr, for people: what may be done next. */
  next?: string | undefined;
  /** It was done, and ended badly all the same. */
  failed?: Failure | undefined;
}>;

const TONES: Readonly<Record<Tone, readonly string[]>> = {
  good: ["running", "active", "success", "paid", "completed", "ready", "ok", "yes", "held"],
  bad: ["error", "lost", "failed", "suspended", "unknown", "retired", "uncollectible", "offline"],
  wait: [
    "initializing",
    "starting",
    "stopping",
    "migrating",
    "rebuilding",
    "deleting",
    "awaiting_payment",
    "open",
    "cordoned",
    "draining",
    "maintenance",
    "pending",
    "paused",
  ],
  faint: ["off", "ended", "closed", "cancelled", "expired", "void", "gone"],
};
/** A word of a state in its colour. Words that are not known have none. */
export function toned(word: string): Cell {
  const tone = (["good", "bad", "wait", "faint"] as const).find((t) => TONES[t].includes(word));
  return tone === undefined ? word : { text: word, tone };
}
export const textOf = (cell: Cell): string => (typeof cell === "string" ? cell : cell.text);

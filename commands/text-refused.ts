import { sqlStateOf } from "#db/transaction.ts";

/** character_not_in_repertoire, untranslatable_character (PostgreSQL, appendix A): NUL, or half a character. */
const NO_TEXT: ReadonlySet<string> = new Set(["22021", "22P05"]);

/** True when the database refused a text as none: the request's fault, wherever its schema should have said so. */
export function isRefusedText(error: unknown): boolean {
  const state = sqlStateOf(error);
  return state !== undefined && NO_TEXT.has(state);
}

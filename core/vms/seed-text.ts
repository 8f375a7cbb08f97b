/*
 * What a guest can be given to read at its first boot. The API takes nothing else and every driver refuses the rest, by these
 * same two predicates: what one took and the other refused would be paid for and never made.
 */

/** Control characters, lone surrogates, line separators and non-characters: what readers of YAML and XML refuse or fold. */
const NOT_IN_A_LINE = /[\p{Cc}\p{Cs}\u2028\u2029\ufeff\ufffe\uffff]/u;

/** Text of one line that every format on its way to the guest keeps. */
export const isPlainLine = (text: string): boolean => !NOT_IN_A_LINE.test(text);

/** The first character that makes a text no such line, as `U+2028`; undefined when there is none. */
export function firstUnplain(text: string): string | undefined {
  const code = NOT_IN_A_LINE.exec(text)?.[0].codePointAt(0);
  return code === undefined ? undefined : `U+${code.toString(16).toUpperCase().padStart(4, "0")}`;
}

/** Text of many lines that is kept as it is: user-data. Nothing but NUL and halves of characters is none. */
export const isWholeText = (text: string): boolean => !text.includes("\0") && text.isWellFormed();

import { formatsOf, toMail } from "./letter.ts";
import { ENGLISH } from "./letters/english.ts";
import { RUSSIAN } from "./letters/russian.ts";
import type { Locale } from "./locale.ts";
import type { MailKind } from "./mail.ts";
import type { Letters, MailValues } from "./mail-values.ts";

const LETTERS: Readonly<Record<Locale, Letters>> = { en: ENGLISH, ru: RUSSIAN };

/** What stands for a secret where a letter is only shown. */
const MASKED = "••••••••";

/** A mail's subject and its words, in a language; `link` is of those that hold a secret, which is masked where it is left out. */
export function renderMail<K extends MailKind>(
  { kind, values }: Readonly<{ kind: K; values: MailValues[K] }>,
  locale: Locale,
  link: string = MASKED,
): ReturnType<typeof toMail> {
  return toMail(LETTERS[locale][kind](values, { formats: formatsOf(locale), link }), locale);
}

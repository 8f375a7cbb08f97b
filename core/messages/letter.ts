import { escapeHtml } from "#core/escape-html.ts";
import type { MoneyView } from "#core/money.ts";
import { moneyIn } from "#core/money-text.ts";
import type { Locale } from "./locale.ts";

/**
 * What a letter is made of. Letters are such blocks and never markup, so that the plain text and the HTML say the same, and no
 * value can be either.
 */
export type Block =
  | Readonly<{ kind: "text"; text: string }>
  | Readonly<{ kind: "list"; items: readonly string[] }>
  | Readonly<{ kind: "fields"; fields: readonly (readonly [label: string, value: string])[] }>
  | Readonly<{ kind: "code"; lines: readonly string[] }>
  | Readonly<{ kind: "link"; href: string }>;
export type Letter = Readonly<{ subject: string; blocks: readonly Block[] }>;

export const text = (said: string): Block => ({ kind: "text", text: said });
export const list = (items: readonly string[]): Block => ({ kind: "list", items });
export const fields = (shown: readonly (readonly [string, string])[]): Block => ({
  kind: "fields",
  fields: shown,
});
export const code = (...lines: readonly string[]): Block => ({ kind: "code", lines });
export const link = (href: string): Block => ({ kind: "link", href });

/** How values are written in a language: by Intl, and instants in UTC, since nobody told us where a customer is. */
export type Formats = Readonly<{
  money: (money: MoneyView) => string;
  day: (iso: string) => string;
  instant: (iso: string) => string;
  /** A number with the form of the word that the language wants after it. */
  count: (n: number, forms: Forms) => string;
}>;
type Forms = Readonly<Partial<Record<Intl.LDMLPluralRule, string>> & { other: string }>;

/** English as it is written outside of the US: its dates are told apart by nobody's habits. */
const TAGS: Readonly<Record<Locale, string>> = { en: "en-GB", ru: "ru" };

const made = new Map<Locale, Formats>();
/** Made once for each language: Intl takes longer for that than for all that is written with it. */
export function formatsOf(locale: Locale): Formats {
  const formats = made.get(locale) ?? makeFormats(locale);
  made.set(locale, formats);
  return formats;
}

function makeFormats(locale: Locale): Formats {
  const tag = TAGS[locale];
  const plural = new Intl.PluralRules(tag);
  const number = new Intl.NumberFormat(tag);
  const day = new Intl.DateTimeFormat(tag, { dateStyle: "long", timeZone: "UTC" });
  const instant = new Intl.DateTimeFormat(tag, {
    dateStyle: "long",
    timeStyle: "short",
    timeZone: "UTC",
  });
  return {
    money: (amount) => moneyIn(tag, amount),
    day: (iso) => day.format(new Date(iso)),
    instant: (iso) => `${instant.format(new Date(iso))} UTC`,
    count: (n, forms) => `${number.format(n)} ${forms[plural.select(n)] ?? forms.other}`,
  };
}

/** Line ends and other controls, and what turns the direction of writing: a value is one line, and shows as what it is. */
const UNSHOWN = /[\p{Cc}\u2028\u2029\u200E\u200F\u202A-\u202E\u2066-\u2069]+/gu;
const oneLine = (said: string): string => said.replaceAll(UNSHOWN, " ").trim();

/** RFC 5322 §2.1.1 allows lines of 998 octets; nobody reads as much. */
const LONGEST_SUBJECT = 150;
const subjectOf = (subject: string): string => {
  const points = Array.from(oneLine(`Berth: ${subject}`));
  return points.length <= LONGEST_SUBJECT
    ? points.join("")
    : `${points.slice(0, LONGEST_SUBJECT - 1).join("")}…`;
};

/** What a mail program may be given to open. Whatever else a link would be is shown, and opens nothing. */
const OPENS = /^https?:\/\/[^\s<>"'\\]+$/;

/** A letter as it is sent: each as plain text and as HTML, of the same words. */
export function toMail(
  letter: Letter,
  locale: Locale,
): Readonly<{ subject: string; text: string; html: string }> {
  const subject = subjectOf(letter.subject);
  const blocks = letter.blocks.filter((block) => !isEmpty(block));
  return {
    subject,
    text: `${blocks.map(toText).join("\n\n")}\n`,
    html:
      `<!doctype html>\n<html lang="${locale}"><head><meta charset="utf-8"><title>${escapeHtml(subject)}</title></head>\n` +
      `<body style="font:16px/1.5 system-ui,sans-serif;max-width:40rem;margin:1rem auto;padding:0 1rem">\n` +
      `${blocks.map(toHtml).join("\n")}\n</body></html>\n`,
  };
}

const isEmpty = (block: Block): boolean =>
  (block.kind === "list" && block.items.length === 0) ||
  (block.kind === "fields" && block.fields.length === 0);

function toText(block: Block): string {
  switch (block.kind) {
    case "text":
      return oneLine(block.text);
    case "list":
      return block.items.map((item) => `  ${oneLine(item)}`).join("\n");
    case "fields":
      return block.fields
        .map(([label, value]) => `  ${oneLine(label)}: ${oneLine(value)}`)
        .join("\n");
    case "code":
      return block.lines.map((line) => `    ${oneLine(line)}`).join("\n");
    case "link":
      return oneLine(block.href);
  }
}

const shown = (said: string): string => escapeHtml(oneLine(said));

function toHtml(block: Block): string {
  switch (block.kind) {
    case "text":
      return `<p>${shown(block.text)}</p>`;
    case "list":
      return `<ul>${block.items.map((item) => `<li>${shown(item)}</li>`).join("")}</ul>`;
    case "fields":
      return `<table>${block.fields
        .map(
          ([label, value]) =>
            `<tr><td style="padding-right:1rem;color:#555">${shown(label)}</td><td>${shown(value)}</td></tr>`,
        )
        .join("")}</table>`;
    case "code":
      return `<pre style="background:#f2f2f2;padding:.75rem">${block.lines.map(shown).join("\n")}</pre>`;
    case "link":
      return OPENS.test(block.href)
        ? `<p><a href="${escapeHtml(block.href)}">${shown(block.href)}</a></p>`
        : `<p>${shown(block.href)}</p>`;
  }
}

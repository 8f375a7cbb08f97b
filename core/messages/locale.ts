/** The languages that customers are written to in. */
export const LOCALES = ["en", "ru"] as const;
export type Locale = (typeof LOCALES)[number];

/** What a browser sends is short; of a longer one, no more is read. */
const MOST_LANGUAGES = 20;

/** The language of ours that an `Accept-Language` header (RFC 9110 §12.5.4) asks for before others; English when it names none. */
export function localeOf(acceptLanguage: string | undefined): Locale {
  const asked = (acceptLanguage ?? "")
    .split(",", MOST_LANGUAGES)
    .map((item) => {
      const [range = "", ...parameters] = item.split(";").map((part) => part.trim().toLowerCase());
      const q = parameters.find((parameter) => parameter.startsWith("q="));
      return { language: range.split("-", 1)[0], weight: q === undefined ? 1 : Number(q.slice(2)) };
    })
    .filter(({ weight }) => weight > 0)
    .sort((a, b) => b.weight - a.weight);
  for (const { language } of asked) {
    const ours = LOCALES.find((locale) => locale === language);
    if (ours !== undefined) return ours;
  }
  return "en";
}

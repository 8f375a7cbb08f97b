/** As much of a text as a line of the log holds: a path, a name that somebody sent, a word of a host. */
const MOST_CHARACTERS = 300;

/** The fields of a line with long texts cut, and how much is missing. Errors are left to whoever writes the line. */
export const withShortTexts = (fields: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, short(value)]));

function short(value: unknown): unknown {
  if (typeof value === "string" && value.length > MOST_CHARACTERS)
    return `${value.slice(0, MOST_CHARACTERS)}… (${value.length - MOST_CHARACTERS} more)`;
  return Array.isArray(value) ? value.map(short) : value;
}

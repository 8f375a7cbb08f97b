import type { Clock, Log } from "#core/ports.ts";

/** Of one text: what a host's programs say of themselves is shorter, and a path or a guest's text has no bound. */
const MOST_CHARS = 2_000;
const MOST_ITEMS = 100;
/** Of one line, which collectors cut in the middle when it is longer: then it is no JSON any more. */
const MOST_LINE_CHARS = 8_000;

export const LOG_LEVELS = ["info", "error"] as const;
/** `error`: errors alone. */
export type LogLevel = (typeof LOG_LEVELS)[number];

/** One line of JSON an event, on standard output. However long its fields are, a line is short and whole. */
export const createJsonLog = (
  write: (line: string) => void,
  clock: Clock,
  least: () => LogLevel = () => "info",
): Log => {
  const line = (level: LogLevel) => (event: string, fields: Record<string, unknown>) => {
    if (level === "info" && least() === "error") return;
    const head = { at: clock.now().toISOString(), level, event };
    const whole = JSON.stringify({ ...head, ...fields }, shortened);
    const text =
      whole.length <= MOST_LINE_CHARS
        ? whole
        : JSON.stringify({ ...head, cut: whole.slice(0, MOST_LINE_CHARS / 4) });
    write(`${text}\n`);
  };
  return { info: line("info"), error: line("error") };
};

function shortened(_key: string, value: unknown): unknown {
  if (typeof value === "string" && value.length > MOST_CHARS)
    return `${value.slice(0, MOST_CHARS)}… (${value.length} characters)`;
  if (Array.isArray(value) && value.length > MOST_ITEMS)
    return [...value.slice(0, MOST_ITEMS), `… (${value.length} in all)`];
  return value;
}

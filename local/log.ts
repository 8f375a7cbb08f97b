import { withShortTexts } from "#core/log-fields.ts";
import type { Clock, Log } from "#core/ports.ts";

const plain = (value: unknown): unknown =>
  value instanceof Error
    ? {
        name: value.name,
        // drizzle's message holds the values of the query: what the driver said is enough.
        message: value.name === "DrizzleQueryError" ? "a query failed" : value.message,
        ...(value.cause === undefined ? {} : { cause: plain(value.cause) }),
      }
    : typeof value === "bigint"
      ? value.toString()
      : value;

/** One JSON line for each event, to wherever `write` takes it. */
export function createLineLog(write: (line: string) => void, clock: Pick<Clock, "now">): Log {
  const line = (level: "info" | "error") => (event: string, fields: Record<string, unknown>) =>
    write(
      `${JSON.stringify({ at: clock.now().toISOString(), level, event, ...withShortTexts(fields) }, (_, v) => plain(v))}\n`,
    );
  return { info: line("info"), error: line("error") };
}

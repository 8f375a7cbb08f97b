import { DriverError } from "#host-agent/drivers/driver.ts";

/** One thing that a doctor looked at. As `berth-agent doctor --json` prints it. */
export type Check = Readonly<{
  name: string;
  /** false also for what could not be looked at: nobody may take silence for health. */
  ok: boolean;
  found: string;
  /** What depends on it. */
  why: string;
  /** What to do; empty when nothing is wrong. */
  fix: string;
}>;

/** What was seen, or why nothing was. */
export type Looked<T> = Readonly<{ seen: T } | { unseen: string }>;

export const seen = <T>(value: T): Looked<T> => ({ seen: value });
export const unseen = (why: string): Looked<never> => ({ unseen: why });

/** A look that fails is a finding too. */
export async function look<T>(work: () => Promise<T> | T): Promise<Looked<T>> {
  try {
    return seen(await work());
  } catch (error) {
    return unseen(error instanceof Error ? messageOf(error) : String(error));
  }
}

const MOST_CHARS = 500;

/** One line, with what caused it: `fetch failed` alone says nothing. A driver's message is whole by itself. */
function messageOf(error: Error): string {
  const { message, cause } = error;
  const isWhole = error instanceof DriverError || !(cause instanceof Error);
  const text = isWhole ? message : `${message}: ${messageOf(cause)}`;
  return text.replaceAll(/\s+/g, " ").slice(0, MOST_CHARS);
}

export type Verdict = Readonly<{ fine: string } | { wrong: string; fix: string }>;

/** `why`: what depends on it. */
export function judge<T>(
  name: string,
  why: string,
  looked: Looked<T>,
  verdict: (seen: T) => Verdict,
): Check {
  if ("unseen" in looked)
    return {
      name,
      ok: false,
      found: `could not be looked at: ${looked.unseen}`,
      why,
      fix: "mend what kept it from being looked at (another check may say how), and ask again, as root",
    };
  const said = verdict(looked.seen);
  return "fine" in said
    ? { name, ok: true, found: said.fine, why, fix: "" }
    : { name, ok: false, found: said.wrong, why, fix: said.fix };
}

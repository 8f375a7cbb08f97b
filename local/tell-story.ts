import pg from "pg";
import { moneyText } from "#core/money-text.ts";
import { PlainError } from "./main.ts";
import { BILLING_STORY } from "./billing-story.ts";
import { chargedText, endOf, Story, type StoryEnd, type StoryLine } from "./story.ts";
import type { Stack } from "./stack.ts";

/** What `--story` takes. */
export const STORIES = { billing: BILLING_STORY } as const;

export type Told = Readonly<{ lines: readonly StoryLine[] }> & StoryEnd;

/** Plays a story on a fresh stack, and writes it as it goes. Throws a `PlainError` where the books do not agree at its end. */
export async function tellStory(
  stack: Stack,
  name: keyof typeof STORIES,
  write: (text: string) => void,
): Promise<Told> {
  const story = new Story(stack, (line) => write(lineText(line)));
  const pool = new pg.Pool({ connectionString: stack.databaseUrl, max: 1 });
  try {
    for (const chapter of STORIES[name]) await chapter(story);
    const end = await endOf(story, pool);
    write(endText(end));
    const { differs } = end.provider;
    if (!end.ledger.sumsToZero || differs.length > 0)
      throw new PlainError(`the books do not agree: ${differs.join("; ") || "the ledger's sum"}`);
    return { lines: story.lines, ...end };
  } finally {
    await pool.end();
  }
}

function lineText(line: StoryLine): string {
  const charged = chargedText(line);
  const mailed =
    line.mailed.length === 0 ? "" : `\n${" ".repeat(31)}mailed: ${line.mailed.join(", ")}`;
  return `  ${line.at.slice(0, 10)}  ${charged.padStart(15)}  ${line.words}${mailed}\n`;
}

function endText({ ledger, invoices, provider }: StoryEnd): string {
  const amount = (of: Parameters<typeof moneyText>[0]) => moneyText(of).padStart(15);
  const zero = ledger.sumsToZero ? "sums to zero" : "DOES NOT SUM TO ZERO";
  const agrees =
    provider.differs.length === 0
      ? "Stripe says the same of each invoice, of what was charged, and of the credit"
      : `Stripe differs: ${provider.differs.join("; ")}`;
  return [
    "",
    "  The ledger, by account (debits are positive)",
    ...ledger.accounts.map(
      (a) => `  ${a.account.padEnd(20)}${amount(a.amount)}  of ${a.entries} entries`,
    ),
    `  ${zero}`,
    "",
    "  The invoices",
    ...invoices.map(
      (i) =>
        `  ${i.createdAt.slice(0, 10)}  ${(i.number ?? i.id).padEnd(16)}${amount(i.total)}  ${i.status}`,
    ),
    "",
    `  ${agrees}`,
    "",
    "",
  ].join("\n");
}

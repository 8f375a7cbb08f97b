import type { Answered, Given, OperationName } from "./api/client.ts";
import type { Operations } from "./api/operations.ts";
import { count, flag, optional } from "./commands/command.ts";
import type { Session } from "./session.ts";

/* Lists: how much of one is asked for, and following it page by page. */

type Page = Readonly<{ items: readonly object[]; nextCursor: string | null }>;
export type ListName = {
  [N in OperationName]: Operations[N]["answer"] extends Page ? N : never;
}[OperationName];
type Item<N extends ListName> = Operations[N]["answer"]["items"][number];

/** What every list takes. */
export const RANGE = {
  limit: count("how many at most (25)", 100_000),
  all: flag("all of them"),
  cursor: optional("go on from there: `nextCursor` of a list with the same filters"),
} as const;
export type Range = Readonly<{
  limit?: number | undefined;
  all?: boolean | undefined;
  cursor?: string | undefined;
}>;

const USUAL = 25;
const MOST_A_PAGE = 100;

/** As many of a list's items as were asked for. `json` is as one page of it. */
export async function listed<N extends ListName>(
  session: Session,
  name: N,
  given: Given<N>,
  { limit, all, cursor }: Range,
): Promise<{ items: readonly Item<N>[]; json: unknown; next: string | undefined }> {
  const client = await session.client();
  const wanted = all ? Infinity : (limit ?? USUAL);
  const items: Item<N>[] = [];
  const raw: unknown[] = [];
  let at = cursor;
  for (;;) {
    const range = { limit: Math.min(MOST_A_PAGE, wanted - items.length), cursor: at };
    const page: Answered<N> = await client.call(name, {
      ...given,
      query: { ...given.query, ...range },
    });
    items.push(...page.value.items);
    raw.push(...Object(page.raw).items);
    const { nextCursor } = page.value;
    if (nextCursor === null || items.length >= wanted)
      return {
        items,
        json: { items: raw, nextCursor },
        next: nextCursor === null ? undefined : "--all or --limit shows more",
      };
    at = nextCursor;
  }
}

import { createHash } from "node:crypto";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import type { Keyset } from "#db/keyset.ts";
import type { Page } from "./page.ts";

/** A list in one order, with what it is narrowed down to: a cursor of it is good for no other. */
export type OrderedList = Readonly<{
  list: string;
  sort: string;
  /** What the order's key is; absent: the ids are the order. */
  key?: "instant" | "text";
  filter: Readonly<Record<string, unknown>>;
}>;

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
/** Longer than any name that a list goes by. */
const MOST_OF_A_KEY = 300;

const tagOf = ({ list, sort, filter }: OrderedList): string =>
  createHash("sha256")
    .update(JSON.stringify([list, sort, Object.entries(filter).toSorted()]))
    .digest("base64url")
    .slice(0, 10);

/** Whether the database takes it for what the order goes by: a cursor comes from outside. */
const isKey = (key: string, { key: kind }: OrderedList): boolean => {
  if (kind === "text")
    return key.length <= MOST_OF_A_KEY && key.isWellFormed() && !key.includes("\0");
  if (kind === undefined) return key === "";
  const at = new Date(key);
  return !Number.isNaN(+at) && at.toISOString() === key;
};

/**
 * Where a page begins: after the item that the cursor names by its place in the order. What is no cursor begins anew, as in
 * every list; one of another list, another order or other filters is refused, since its place means nothing here.
 */
export function readKeyset(
  cursor: string | null,
  of: OrderedList,
): Result<Keyset | null, Refusal<"cursor_invalid">> {
  if (cursor === null) return ok(null);
  const [tag, key, id, ...more] = Buffer.from(cursor, "base64url").toString("utf8").split("\n");
  if (tag === undefined || key === undefined || id === undefined || more.length > 0)
    return ok(null);
  return tag === tagOf(of) && UUID.test(id) && isKey(key, of)
    ? ok({ key, id })
    : refuse("cursor_invalid", "this cursor is of another list, order or filter: begin anew");
}

/** Cuts a page out of rows that were read with one more than asked. */
export function cutKeyed<T>(
  rows: readonly T[],
  limit: number,
  placeOf: (row: T) => Keyset,
  of: OrderedList,
): Page<T> {
  const items = rows.slice(0, limit);
  const last = items.at(-1);
  if (last === undefined || rows.length <= limit) return { items, nextCursor: null };
  const { key, id } = placeOf(last);
  const nextCursor = Buffer.from([tagOf(of), key, id].join("\n"), "utf8").toString("base64url");
  return { items, nextCursor };
}

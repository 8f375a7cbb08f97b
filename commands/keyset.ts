import { createHash } from "node:crypto";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import type { Keyset } from "#db/keyset.ts";
import type { ReadPage } from "#db/read-places.ts";
import type { Page, PageRequest } from "./page.ts";

/** A list in one order, with what it is narrowed down to: a cursor of it is good for no other. */
type OrderedList = Readonly<{
  list: string;
  sort: string;
  /** What the order goes by; absent: by the ids alone. */
  key?: "instant" | "text" | undefined;
  filter: object;
}>;

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
/** Longer than any name that a list goes by. */
const MOST_OF_A_KEY = 300;

const tagOf = ({ list, sort, filter }: OrderedList): string =>
  createHash("sha256")
    .update(JSON.stringify([list, sort, filter]))
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

/** The place that a cursor names; null: what is no cursor begins anew, as in every list. */
function readCursor(
  cursor: string | null,
  of: OrderedList,
): Result<Keyset | null, Refusal<"cursor_invalid">> {
  const parts = Buffer.from(cursor ?? "", "base64url")
    .toString("utf8")
    .split("\n");
  const [tag, key = "", id = ""] = parts;
  if (parts.length !== 3) return ok(null);
  return tag === tagOf(of) && UUID.test(id) && isKey(key, of)
    ? ok({ key, id })
    : refuse("cursor_invalid", "this cursor is of another list, order or filter: begin anew");
}

/**
 * A page of a list that is read by places: what is added or taken out meanwhile moves nothing else. A cursor of another list,
 * another order or other filters is refused, since its place means nothing here. `read` is asked for one item more.
 */
export async function orderedPage<T>(
  of: OrderedList,
  { limit, cursor }: PageRequest,
  read: (page: { limit: number; after: Keyset | null }) => Promise<ReadPage<T>>,
  placeOf: (item: T) => Keyset,
): Promise<Result<Page<T>, Refusal<"cursor_invalid">>> {
  const after = readCursor(cursor, of);
  if (!after.ok) return after;
  const { rows, end } = await read({ limit: limit + 1, after: after.value });
  const items = rows.slice(0, limit);
  const last = items.at(-1);
  const at = rows.length > limit && last !== undefined ? placeOf(last) : end;
  if (at === null) return ok({ items, nextCursor: null });
  const place = [tagOf(of), at.key, at.id].join("\n");
  return ok({ items, nextCursor: Buffer.from(place, "utf8").toString("base64url") });
}

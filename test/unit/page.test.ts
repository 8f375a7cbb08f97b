import { v7 } from "uuid";
import { expect, test } from "vitest";
import { cursorToId, cutPage, pageOfAll } from "#commands/page.ts";

const ids = Array.from({ length: 5 }, () => v7());
const same = (id: string) => id;

/** All pages of a list, one after another, as a client asks for them. */
function pagesOf(page: (cursor: string | null) => ReturnType<typeof pageOfAll<string>>) {
  const pages: (readonly string[])[] = [];
  let cursor: string | null = null;
  do {
    const { items, nextCursor } = page(cursor);
    pages.push(items);
    cursor = nextCursor;
  } while (cursor !== null && pages.length < 9);
  return pages;
}

test.each([
  [1, [1, 1, 1, 1, 1]],
  [2, [2, 2, 1]],
  [4, [4, 1]],
  [5, [5]],
  [9, [5]],
])("a list that is read whole comes in pages of %d, in its order and each once", (limit, sizes) => {
  const pages = pagesOf((cursor) => pageOfAll(ids, { limit, cursor }, same));
  expect(pages.map((page) => page.length)).toEqual(sizes);
  expect(pages.flat()).toEqual(ids);
});

test("it begins anew where the cursor's item has left it, or the cursor is broken", () => {
  const { nextCursor } = pageOfAll(ids, { limit: 2, cursor: null }, same);
  const left = ids.filter((id) => id !== ids[1]);
  expect(pageOfAll(left, { limit: 2, cursor: nextCursor }, same).items).toEqual(left.slice(0, 2));
  for (const cursor of ["", "x", Buffer.from(`${ids[1]}0`).toString("base64url")]) {
    expect(cursorToId(cursor)).toBeNull();
    expect(pageOfAll(ids, { limit: 2, cursor }, same).items).toEqual(ids.slice(0, 2));
  }
});

test("a page that was read with one row more than asked says that there are more; a cursor is its last item", () => {
  const { items, nextCursor } = cutPage(ids, 4, same);
  expect(items).toEqual(ids.slice(0, 4));
  expect(cursorToId(nextCursor)).toBe(ids[3]);
  expect(cutPage(ids, 5, same)).toEqual({ items: ids, nextCursor: null });
  expect(cutPage([], 5, same)).toEqual({ items: [], nextCursor: null });
  expect(cursorToId(null)).toBeNull();
});

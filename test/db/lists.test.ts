import { afterAll, beforeAll, expect, test } from "vitest";
import { list } from "#db/named.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";

let cp: ControlPlane;
beforeAll(async () => {
  cp = await startControlPlane();
});
afterAll(() => cp.drop());

test("each text of a list comes to Postgres as it was, and what is missing as null", async () => {
  const texts = [
    ...'plain;;NULL;null;two words;a,b;{a};{};"quoted";\\;\\";it\'s;$1;a-b_c:d.e;Ümläut 𐍈;\t'.split(
      ";",
    ),
    "a;b",
    "line\nline\r\n",
    JSON.stringify({ a: ['"\\"', null] }),
    null,
    undefined,
  ];
  const rows = await cp.rows(
    "select array_to_json($1::text[]) as texts",
    list(texts, (text) => text),
  );
  expect(rows).toEqual([{ texts: texts.map((text) => text ?? null) }]);
});

test("so do whole numbers of any size, truths, instants, and no rows at all", async () => {
  const rows = [
    { n: -(2n ** 63n), i: 0, b: true, at: new Date("2026-11-29T20:41:58.123Z") },
    { n: 2n ** 63n - 1n, i: -7, b: false, at: new Date("1969-12-31T23:59:59.999Z") },
  ];
  const of = (some: typeof rows) =>
    cp.rows(
      `select n::text, i, b, (extract(epoch from at) * 1000)::int8::text as ms
       from unnest($1::int8[], $2::int[], $3::bool[], $4::timestamptz[]) as t (n, i, b, at)`,
      list(some, (r) => r.n),
      list(some, (r) => r.i),
      list(some, (r) => r.b),
      list(some, (r) => r.at),
    );
  expect(await of(rows)).toEqual(
    rows.map(({ n, i, b, at }) => ({ n: String(n), i, b, ms: String(+at) })),
  );
  expect(await of([])).toEqual([]);
});

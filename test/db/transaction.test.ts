import { sql } from "drizzle-orm";
import { afterAll, beforeAll, expect, test } from "vitest";
import { inTransaction, sqlStateOf } from "#db/transaction.ts";
import type { Tx } from "#db/client.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";

let cp: ControlPlane;
beforeAll(async () => {
  cp = await startControlPlane();
});
afterAll(() => cp.drop());

/** As Postgres refuses one of two that cannot both be. */
const fail = (tx: Tx, state: string) =>
  tx.execute(
    sql`do ${sql.raw(`$$ begin raise exception 'no' using errcode = '${state}'; end $$`)}`,
  );

test.each(["40001", "40P01"])("what Postgres asks for again (%s) is done again", async (state) => {
  let tries = 0;
  const done = await inTransaction(cp.deps.db, async (tx) => {
    if (++tries < 3) await fail(tx, state);
    return tries;
  });
  expect(done).toBe(3);
});

test("it is given up after five tries, and anything else at once", async () => {
  const triesOf = async (state: string) => {
    let tries = 0;
    const work = inTransaction(cp.deps.db, async (tx) => {
      tries++;
      await fail(tx, state);
    });
    const error: unknown = await work.catch((e: unknown) => e);
    return { tries, state: sqlStateOf(error) };
  };
  expect(await triesOf("40001")).toEqual({ tries: 5, state: "40001" });
  expect(await triesOf("23505")).toEqual({ tries: 1, state: "23505" });
});

test("inside another one it is done again with the whole, from the beginning", async () => {
  const steps: string[] = [];
  await inTransaction(cp.deps.db, async (outer) => {
    steps.push("outer");
    await inTransaction(outer, async (inner) => {
      steps.push("inner");
      if (steps.length < 4) await fail(inner, "40001");
    });
  });
  expect(steps).toEqual(["outer", "inner", "outer", "inner"]);
});

import { Socket } from "node:net";
import { sql } from "drizzle-orm";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { together } from "#db/together.ts";
import { inTransaction, sqlStateOf } from "#db/transaction.ts";
import type { Tx } from "#db/client.ts";
import { recordChange, type Change } from "#db/record-change.ts";
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

describe("4b C4: statements that go out together", () => {
  const number = async (tx: Tx, n: number) => {
    const [row] = await tx.select({ n: sql<number>`${n}::int` }).from(sql`(select) as one`);
    return row?.n;
  };

  test("answer in their order", async () => {
    const answers = await inTransaction(cp.deps.db, (tx) =>
      together([number(tx, 7), number(tx, 5), number(tx, 3)]),
    );
    expect(answers).toEqual([7, 5, 3]);
  });

  test("are one write to their connection", async () => {
    const writes = await inTransaction(cp.deps.db, async (tx) => {
      const spies = [vi.spyOn(Socket.prototype, "_write"), vi.spyOn(Socket.prototype, "_writev")];
      try {
        await together([number(tx, 7), number(tx, 5), number(tx, 3)]);
        return spies.map((spy) => spy.mock.calls.length);
      } finally {
        for (const spy of spies) spy.mockRestore();
      }
    });
    expect(writes).toEqual([0, 1]);
  });

  test("are one failure, which is that of the one that failed, wherever it stands", async () => {
    // The last one is told of first: nothing is awaited between its answer and its end.
    const afterwards = async (statement: Promise<unknown>) => {
      await statement.finally(async () => Promise.resolve().then(() => undefined));
    };
    const failing = inTransaction(cp.deps.db, (tx) =>
      together([number(tx, 7), afterwards(fail(tx, "23505")), number(tx, 3)]),
    );
    const error: unknown = await failing.catch((e: unknown) => e);
    expect(sqlStateOf(error)).toBe("23505");
  });

  test("are done again as a whole when Postgres asks for it", async () => {
    let tries = 0;
    const done = await inTransaction(cp.deps.db, (tx) => {
      tries++;
      return together([tries < 3 ? fail(tx, "40001") : number(tx, 11), number(tx, 13)]);
    });
    expect({ tries, done }).toEqual({ tries: 3, done: [11, 13] });
  });

  test("leave nothing behind when one of them fails", async () => {
    const orderId = cp.deps.ids.newId();
    const change = (action: string): Change => ({
      actor: { kind: "staff", id: "ada" },
      action,
      subject: { kind: "order", id: orderId },
      events: [],
    });
    const at = { now: cp.clock.now(), newId: cp.deps.ids.newId };
    const record = (state: string) =>
      inTransaction(cp.deps.db, (tx) =>
        together([
          recordChange(tx, change(`before ${state}`), at),
          fail(tx, state),
          recordChange(tx, change(`after ${state}`), at),
        ]),
      );
    const error: unknown = await record("23505").catch((e: unknown) => e);
    expect(sqlStateOf(error)).toBe("23505");
    expect(await cp.rows("select action from audit_log where subject_id = $1", orderId)).toEqual(
      [],
    );
  });
});

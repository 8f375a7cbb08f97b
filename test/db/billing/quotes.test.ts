import { v7 } from "uuid";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { purgeOldRows } from "#commands/purge-old-rows.ts";
import { KEPT_MS } from "#core/retention.ts";
import { insertQuote, loadQuote, takeQuote } from "#db/billing/quotes.ts";
import { inTransaction } from "#db/transaction.ts";
import { aQuote } from "#test/builders.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { aProvisionedVm, aWorld } from "#test/harness/world.ts";

/* 6a 2: what was offered stays as it was, and is taken once. */

let cp: ControlPlane;
let offered: { vmId: string; askedBy: string };
let actionId: string;
beforeAll(async () => {
  cp = await startControlPlane();
  const world = await aWorld(cp);
  const { vmId } = await aProvisionedVm(cp, world);
  offered = { vmId, askedBy: world.buyer.accountId };
  const [row] = await cp.rows("select id from actions where vm_id = $1", vmId);
  actionId = String(row?.["id"]);
});
afterAll(() => cp.drop());

const kept = async (over: Parameters<typeof aQuote>[0] = {}) => {
  const quote = aQuote({ ...offered, ...over });
  await insertQuote(cp.deps.db, quote);
  return quote;
};
const take = (id: string, by = actionId) =>
  inTransaction(cp.deps.db, (tx) => takeQuote(tx, id, { actionId: by, now: cp.clock.now() }));

describe("a quote that is kept", () => {
  test("reads as it was made, with its money and without", async () => {
    const quote = await kept();
    expect(await loadQuote(cp.deps.db, quote.id)).toEqual(quote);
    const free = await kept({
      dueNow: null,
      credit: null,
      tax: null,
      lines: [],
      from: { ...quote.from, price: null },
    });
    expect(await loadQuote(cp.deps.db, free.id)).toEqual(free);
    expect(await loadQuote(cp.deps.db, v7())).toBeUndefined();
  });

  test.each(["due_now_minor = 1", "expires_at = now()", "basis = 'x'", "offered = '{}'"])(
    "is never changed (%s), by the database's owner either",
    async (change) => {
      const { id } = await kept();
      await expect(
        cp.database.asOwner(`update resize_quotes set ${change} where id = '${id}'`),
      ).rejects.toThrow("append-only");
    },
  );
});

describe("taking a quote", () => {
  test("gives it to one action, once, whose row may come after it", async () => {
    const quote = await kept();
    expect(await take(quote.id)).toEqual(quote);
    expect(await take(quote.id)).toBeUndefined();
    expect(await take(v7())).toBeUndefined();
    await expect(
      cp.database.asOwner(`update resize_quotes set taken_by = null where id = '${quote.id}'`),
    ).rejects.toThrow("append-only");
  });

  test("by an action that is not there when it commits takes nothing", async () => {
    const quote = await kept();
    await expect(take(quote.id, v7())).rejects.toThrow("Failed query: commit");
    expect(await loadQuote(cp.deps.db, quote.id)).toEqual(quote);
    const [row] = await cp.rows("select taken_by from resize_quotes where id = $1", quote.id);
    expect(row).toEqual({ taken_by: null });
  });

  test("keeps it for good: the purge and the owner leave it", async () => {
    const [row] = await cp.rows("select id from resize_quotes where taken_by is not null");
    cp.clock.advance(2 * KEPT_MS.quotes);
    await purgeOldRows(cp.deps);
    expect(await cp.rows("select id from resize_quotes")).toEqual([{ id: row?.["id"] }]);
    await expect(cp.database.asOwner("delete from resize_quotes")).rejects.toThrow("append-only");
  });
});

import { createHash } from "node:crypto";
import { v7 } from "uuid";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { purgeOldRows } from "#commands/purge-old-rows.ts";
import { KEPT_MS, type Kept } from "#core/retention.ts";
import { insertQuote } from "#db/billing/quotes.ts";
import { inTransaction } from "#db/transaction.ts";
import { aQuote } from "#test/builders.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { aBuyer, aProvisionedVm, aWorld } from "#test/harness/world.ts";

/* 4b B7, C2: what nobody needs any more goes, when its time is over and not before. */

let cp: ControlPlane;
let accountId: string;
let quoted: { vmId: string; askedBy: string };
beforeAll(async () => {
  cp = await startControlPlane();
  // Log-ins go by the machine's clock, so the product's is brought to it, and stands.
  const [row] = await cp.rows("select now() as now");
  cp.clock.advance(Date.parse(String(row?.["now"])) - +cp.clock.now());
  ({ accountId } = await aBuyer(cp));
  quoted = { vmId: (await aProvisionedVm(cp, await aWorld(cp))).vmId, askedBy: accountId };
});
afterAll(() => cp.drop());

type Made = Readonly<{ what: Kept; table: string; make: (age: number) => Promise<unknown> }>;
const aHash = () => createHash("sha256").update(v7()).digest("base64url");
const ago = (ms: number) => new Date(+cp.clock.now() - ms);
const delivery = (id: string, at: Date | null) =>
  cp.rows(
    `insert into inbox (source, message_id, type, object_kind, body, received_at, applied_at)
     values ('stripe', $1, 'invoice.paid', 'invoice', '{}', '2000-01-01', $2)`,
    id,
    at,
  );
const event = (at: Date | null) =>
  cp.rows(
    `insert into outbox (id, name, data, created_at, sent_at) values ($1, 'order.placed.v1', $2, '2000-01-01', $3)`,
    v7(),
    JSON.stringify({ orderId: v7() }),
    at,
  );
const MADE: readonly Made[] = [
  { what: "appliedDeliveries", table: "inbox", make: (age: number) => delivery(v7(), ago(age)) },
  { what: "sentEvents", table: "outbox", make: (age: number) => event(ago(age)) },
  {
    what: "mails",
    table: "mails",
    make: (age: number) =>
      cp.rows(
        `insert into mails (id, kind, cause, about, state, created_at, ended_at)
         values ($1, 'vm_ready', $2, 'a VM', 'dropped', '2000-01-01', $3)`,
        v7(),
        v7(),
        ago(age),
      ),
  },
  {
    what: "refusingAddresses",
    table: "refusing_addresses",
    make: (age: number) =>
      cp.rows(
        `insert into refusing_addresses (address, kind, reason, mail_id, noted_at)
         values ($1, 'bounce', 'gone', $2, $3)`,
        `${v7()}@example.com`,
        v7(),
        ago(age),
      ),
  },
  {
    what: "answers",
    table: "idempotency_keys",
    make: (age: number) =>
      cp.rows(
        "insert into idempotency_keys (account_id, key, request_hash, resource_id, created_at) values ($1, $2, 'h', $3, $4)",
        accountId,
        v7(),
        v7(),
        ago(age),
      ),
  },
  {
    what: "sessions",
    table: "sessions",
    make: (age: number) =>
      cp.rows(
        `insert into sessions (id, account_id, token, expires_at, created_at, updated_at)
         values ($1, $2, $3, $4, '2000-01-01', '2000-01-01')`,
        v7(),
        accountId,
        v7(),
        ago(age),
      ),
  },
  {
    what: "verifications",
    table: "verifications",
    make: (age: number) =>
      cp.rows(
        `insert into verifications (id, identifier, value, expires_at, created_at, updated_at)
         values ($1, 'i', 'v', $2, '2000-01-01', '2000-01-01')`,
        v7(),
        ago(age),
      ),
  },
  {
    what: "spentCodes",
    table: "spent_codes",
    make: (age: number) =>
      cp.rows(
        "insert into spent_codes (account_id, code, spent_at) values ($1, $2, $3)",
        accountId,
        String(100_000 + (age % 800_000)),
        ago(age),
      ),
  },
  {
    what: "attempts",
    table: "attempts",
    make: (age: number) =>
      cp.rows(
        "insert into attempts (limit_name, counted, runs_out_at) values ('sign_in', $1, $2)",
        aHash(),
        ago(age),
      ),
  },
  {
    what: "knownNetworks",
    table: "known_networks",
    make: (age: number) =>
      cp.rows(
        "insert into known_networks (account_id, network_hash, seen_at) values ($1, $2, $3)",
        accountId,
        aHash(),
        ago(age),
      ),
  },
  {
    what: "quotes",
    table: "resize_quotes",
    make: async (age: number) =>
      insertQuote(cp.deps.db, aQuote({ ...quoted, expiresAt: ago(age) })),
  },
  {
    what: "rateLimits",
    table: "auth_rate_limits",
    make: (age: number) =>
      cp.rows(
        "insert into auth_rate_limits (id, key, count, last_request_ms) values ($1, $2, 1, $3)",
        v7(),
        v7(),
        +ago(age),
      ),
  },
];
const countOf = async (table: string) => {
  const [row] = await cp.rows(`select count(*)::int as n from ${table}`);
  return Number(row?.["n"]);
};

describe("what is past its time", () => {
  test("is told of all that goes", () => {
    expect(MADE.map(({ what }) => what).sort()).toEqual(Object.keys(KEPT_MS).sort());
  });

  test.each(MADE)(
    "$what: goes a millisecond after it, and not at it",
    async ({ what, table, make }) => {
      await purgeOldRows(cp.deps);
      const before = await countOf(table);
      await make(KEPT_MS[what]);
      await make(KEPT_MS[what] + 1);
      await make(KEPT_MS[what] - 60_000);
      expect(await purgeOldRows(cp.deps)).toMatchObject({ [what]: 1 });
      expect(await countOf(table)).toBe(before + 2);
      expect(await purgeOldRows(cp.deps)).toMatchObject({ [what]: 0 });
    },
  );

  test("goes in batches until none is left, however many there are", async () => {
    await cp.rows(
      `insert into inbox (source, message_id, type, object_kind, body, received_at, applied_at)
       select 'stripe', 'many_' || n, 'invoice.paid', 'invoice', '{}', $1, $1 from generate_series(1, 4500) n`,
      ago(50 * 24 * 60 * 60_000),
    );
    expect(await purgeOldRows(cp.deps)).toMatchObject({ appliedDeliveries: 4500 });
  });
});

test("what is not done yet stays, however old it is", async () => {
  await delivery("unapplied", null);
  await event(null);
  const unsent = "select 1 from outbox where sent_at is null and created_at < '2001-01-01'";
  await purgeOldRows(cp.deps);
  expect(await cp.rows("select 1 from inbox where message_id = 'unapplied'")).toHaveLength(1);
  expect(await cp.rows(unsent)).toHaveLength(1);
  await cp.rows("delete from inbox where message_id = 'unapplied'");
  await cp.rows("delete from outbox where sent_at is null and created_at < '2001-01-01'");
});

test("a row that somebody holds waits for the next sweep, and holds up no other", async () => {
  await delivery("held", ago(50 * 24 * 60 * 60_000));
  await delivery("free", ago(49 * 24 * 60 * 60_000));
  const [first, second] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const holding = inTransaction(cp.deps.db, async (tx) => {
    await tx.execute("select 1 from inbox where message_id = 'held' for update");
    first.resolve();
    await second.promise;
  });
  await first.promise;
  expect(await purgeOldRows(cp.deps)).toMatchObject({ appliedDeliveries: 1 });
  second.resolve();
  await holding;
  expect(await purgeOldRows(cp.deps)).toMatchObject({ appliedDeliveries: 1 });
});

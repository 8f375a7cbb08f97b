import { createHash } from "node:crypto";
import type { ControlPlane } from "./control-plane.ts";

/*
 * The state of the database and of the payment provider as lines that two runs can be compared by: ids are named in
 * the order in which they appear, instants are counted from the beginning, and what only tells how often something
 * was tried is left out.
 */

/** Columns that say how a state was reached, not what it is, or when, in a form that is no instant's. */
const VOLATILE: Record<string, readonly string[]> = {
  outbox: ["seq", "attempts", "leased_until"],
  inbox: ["body", "outcome", "rung_at"],
  orders: ["tried_at"],
  services: ["tried_at"],
  bought_changes: ["seq"],
  plan_changes: ["version", "due_at", "held_until"],
  plan_migrations: ["held_until"],
  hosts: ["heard_in"],
  usage_hours: ["hour"],
  usage_meters: ["measured"],
};
/** Columns of which only "is it set" counts. */
const WHETHER: Record<string, readonly string[]> = {
  outbox: ["sent_at"],
  inbox: ["applied_at"],
  moves: ["sealed_key"],
};

const IDS = new RegExp(
  [
    "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", // a row's id
    "[0-9a-f]{64}", // a hash of something that has ids in it
    "[0-9a-f]{32}(?:abcdefghijk)?", // an id on the wire, a test's public key
    "(?<=_)[A-Za-z0-9]{24}(?![A-Za-z0-9])", // the provider's
    "[0-9A-Z]{8}-\\d{4}(?!\\d)", // an invoice's number
    "\\d+\\.\\d+\\.\\d+\\.\\d+", // addresses
  ].join("|"),
  "g",
);
const INSTANTS = /\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d(?::?\d\d)?)/g;

/** Rows as `table {json}`, and how often each is there. */
export type Snapshot = ReadonlyMap<string, number>;

/** Everything there is now. */
export async function snapshot(cp: ControlPlane): Promise<Snapshot> {
  const tables = await cp.rows(
    // Without the partitions of a table, which has their rows, and without what only counts the hosts of all runs.
    `select relname as name from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')
       and not relispartition and relname <> 'host_counts'`,
  );
  const names = tables.map((t) => String(t["name"]));
  const all = names.map((name) => `select '${name} ' || to_jsonb(t)::text as row from ${name} t`);
  const rows = await cp.rows(all.join(" union all "));
  return counted([...rows.map((r) => String(r["row"])), ...atProvider(cp)]);
}

function counted(lines: readonly string[]): Snapshot {
  const counts = new Map<string, number>();
  for (const line of lines) counts.set(line, (counts.get(line) ?? 0) + 1);
  return counts;
}

/**
 * What came between two snapshots, and with a minus what went, in a form that does not depend on ids and times.
 * `ignore`: rows to leave out.
 */
export function changesBetween(
  before: Snapshot,
  after: Snapshot,
  startedAt: Date,
  ignore?: RegExp,
): readonly string[] {
  const changes = new Map<string, number>();
  for (const line of new Set([...before.keys(), ...after.keys()])) {
    const more = (after.get(line) ?? 0) - (before.get(line) ?? 0);
    if (more === 0 || ignore?.test(line)) continue;
    const clean = cleaned(line);
    changes.set(clean, (changes.get(clean) ?? 0) + more);
  }
  const lines = [...changes].flatMap(([line, more]) =>
    Array.from({ length: Math.abs(more) }, () => (more > 0 ? line : `- ${line}`)),
  );
  return canonical(lines, startedAt);
}

/** The same lines for the same state: sorted, with ids named by where they stand. */
export function canonical(lines: readonly string[], startedAt: Date): readonly string[] {
  const timed = lines.map((line) => line.replaceAll(INSTANTS, (at) => sinceStart(at, startedAt)));
  const colours = coloursOf(timed);
  const painted = (line: string) => line.replaceAll(IDS, (id) => colours.get(keyOf(id)) ?? "");
  const names = new Map<string, string>();
  const nameOf = (id: string) => {
    const name = names.get(keyOf(id)) ?? `#${names.size + 1}`;
    names.set(keyOf(id), name);
    return name;
  };
  return timed
    .map((line) => ({ line, order: `${masked(line)} ${painted(line)}` }))
    .sort((a, b) => (a.order < b.order ? -1 : a.order > b.order ? 1 : 0))
    .map(({ line }) => line.replaceAll(IDS, nameOf));
}

const keyOf = (id: string) => id.replaceAll("-", "");
const masked = (line: string) => line.replaceAll(IDS, "#");
/** Enough for an id to be told by what stands beside what stands beside it. */
const ROUNDS = 3;

/** Tells ids apart by the lines they stand in, so that rows that differ only in ids are always sorted alike. */
function coloursOf(lines: readonly string[]): ReadonlyMap<string, string> {
  let colours = new Map<string, string>();
  for (let round = 0; round < ROUNDS; round++) {
    const places = new Map<string, string[]>();
    for (const line of lines) {
      const painted = line.replaceAll(IDS, (id) => colours.get(keyOf(id)) ?? "#");
      for (const [n, [id]] of [...line.matchAll(IDS)].entries())
        places.set(keyOf(id), [...(places.get(keyOf(id)) ?? []), `${n} ${painted}`]);
    }
    colours = new Map(
      [...places].map(([id, at]) => [
        id,
        createHash("sha1").update(at.sort().join("\n")).digest("base64url"),
      ]),
    );
  }
  return colours;
}

function cleaned(line: string): string {
  const at = line.indexOf(" {");
  if (at < 0) return line;
  const table = line.slice(0, at);
  const value: Record<string, unknown> = JSON.parse(line.slice(at + 1));
  for (const column of VOLATILE[table] ?? []) delete value[column];
  for (const column of WHETHER[table] ?? []) value[column] = value[column] !== null;
  return `${table} ${JSON.stringify(value)}`;
}

function sinceStart(text: string, startedAt: Date): string {
  const iso = text.replace(" ", "T").replace(/([+-]\d\d)$/, "$1:00");
  return `+${Math.round(Date.parse(iso) / 1000) - Math.round(+startedAt / 1000)}s`;
}

/** What the provider has: nothing may be charged, cancelled or given back twice. */
function atProvider({ stripe }: ControlPlane): readonly string[] {
  const { store } = stripe.standIn;
  return [
    ...store.all("customer").map((o) => `stripe customer ${o.id} ${o.balance}`),
    ...store.all("price").map((o) => `stripe price ${o.id} ${o.unit_amount}`),
    ...store.all("checkout_session").map((o) => `stripe checkout ${o.id} ${o.status}`),
    ...store.all("subscription").map((o) => `stripe subscription ${o.id} ${o.status}`),
    ...store.all("invoice").map((o) => `stripe invoice ${o.id} ${o.status} ${o.amount_paid}`),
    ...store.all("refund").map((o) => `stripe refund ${o.id} ${o.status} ${o.amount}`),
  ];
}

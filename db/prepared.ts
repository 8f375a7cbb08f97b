import { Param, Placeholder, sql, type SQL } from "drizzle-orm";
import {
  PgDatabase,
  PgDialect,
  PgPreparedQuery,
  PgSession,
  type PgQueryResultHKT,
  type PreparedQueryConfig,
} from "drizzle-orm/pg-core";
import type { Db, Tx } from "./client.ts";

const dialect = new PgDialect();
type Asked = Parameters<Db["_"]["session"]["prepareQuery"]>;

class Drafted<T extends PreparedQueryConfig> extends PgPreparedQuery<T> {
  override execute(): never {
    throw new Error("a draft has no connection");
  }
}

/** Has no connection: keeps what a statement asks of one. */
class Drafting extends PgSession {
  drafted: { asked: Asked; made: object } | undefined;
  override prepareQuery<T extends PreparedQueryConfig>(...asked: Asked): Drafted<T> {
    const made = new Drafted<T>(asked[0], undefined, undefined);
    this.drafted = { asked, made };
    return made;
  }
  override transaction(): never {
    throw new Error("a draft is one statement");
  }
}

/** Where the values of a call go. */
export type Slots<V> = Readonly<{ [K in keyof V]: SQL<V[K]> }>;
/** Any of drizzle's builders. */
type Draft<R> = { prepare: (name: string) => { execute: () => Promise<R> } };

/**
 * A statement that is drafted once, with a slot for each value. Drizzle takes longer to write the text of a statement than
 * Postgres to answer most of them; this one is written at its first call, and each connection reads and plans it once, under
 * its name. For what every order, document and report asks. Its text must be the same whatever the values are.
 */
export function prepared<V extends Record<string, unknown>, R>(
  name: string,
  draft: (db: Db, at: Slots<V>) => Draft<R>,
): (db: Db | Tx, values: V) => Promise<R> {
  const write = () => {
    const drafting = new Drafting(dialect);
    const at = new Proxy<Slots<V>>(Object.create(null), {
      get: (_, slot) => sql.placeholder(String(slot)),
    });
    draft(new PgDatabase<PgQueryResultHKT>(dialect, drafting, undefined), at).prepare(name);
    if (drafting.drafted === undefined) throw new Error(`${name} is no statement`);
    const { asked, made } = drafting.drafted;
    const [{ params, ...text }, fields, , isInArrays, , metadata] = asked;
    // Which of the joined tables may be missing: drizzle sets it when the statement is made.
    const joins = { joinsNotNullableMap: Reflect.get(made, "joinsNotNullableMap") };
    return { text, values: params.map(valueOf), fields, isInArrays, metadata, joins };
  };
  let written: ReturnType<typeof write> | undefined;
  return (db, given) => {
    const { text, values, fields, isInArrays, metadata, joins } = (written ??= write());
    const query = { ...text, params: values.map((of) => of(given)) };
    const statement = db._.session.prepareQuery<PreparedQueryConfig & { execute: R }>(
      query,
      fields,
      name,
      isInArrays,
      undefined,
      metadata,
    );
    return Object.assign(statement, joins).execute();
  };
}

/** What a parameter of the draft is at a call. Drizzle's own `fillPlaceholders` would have columns encode null. */
function valueOf(param: unknown): (given: Readonly<Record<string, unknown>>) => unknown {
  if (param instanceof Placeholder) return (given) => given[param.name];
  if (!(param instanceof Param) || !(param.value instanceof Placeholder)) return () => param;
  const { encoder, value } = param;
  return (given) =>
    given[value.name] === null ? null : encoder.mapToDriverValue(given[value.name]);
}

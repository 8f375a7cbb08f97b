import type { PgDatabase, PgQueryResultHKT } from "drizzle-orm/pg-core";

/** Any Postgres behind drizzle: `pg` in production, the simulator's own in `test/sim`. */
export type Db = PgDatabase<PgQueryResultHKT>;
export type Tx = Parameters<Parameters<Db["transaction"]>[0]>[0];

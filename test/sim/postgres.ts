import { readFile } from "node:fs/promises";
import { PGlite, protocol } from "@electric-sql/pglite";
import { btree_gist } from "@electric-sql/pglite/contrib/btree_gist";
import { FIXTURE } from "./fixture.ts";
import { withoutTimers } from "./virtual-globals.ts";

/** What a statement of the simulator's own came back with: rows of texts. */
export type Rows = readonly (readonly (string | null)[])[];

/**
 * Postgres itself, compiled to WebAssembly, in this thread (PGlite). It has one session; `DbSocket` lets one
 * connection after the other have it. A call is done when it returns, so nothing of it depends on the machine.
 */
export class SimPostgres {
  readonly #lite: PGlite;
  readonly #reset: string;
  readonly #tables: readonly Table[];
  /** Prepared statements by their text: parsing and planning is half of a short statement's cost. */
  readonly #prepared = new Map<string, string>();

  private constructor(lite: PGlite, reset: string, tables: readonly Table[]) {
    this.#lite = lite;
    this.#reset = reset;
    this.#tables = tables;
  }

  /** Starts it on what `prepare-database.ts` left in a file, and keeps how to bring it back to the fixture. */
  static async start(database: string): Promise<SimPostgres> {
    const lite = await PGlite.create({
      extensions: { btree_gist },
      loadDataDir: new Blob([await readFile(database)]),
    });
    await lite.exec(SETTINGS);
    const changing = await lite.query<{ name: string }>(
      `select quote_ident(tablename) as name from pg_tables
        where schemaname = 'public' and tablename <> all ($1) order by 1`,
      [FIXTURE.standingTables],
    );
    const names = [...changing.rows.map((row) => row.name), "sim.changes"];
    const tables = await lite.query<Table>(TABLES, [FIXTURE.standingTables]);
    const postgres = new SimPostgres(
      lite,
      // What is append-only refuses even this; a replica's session asks no trigger.
      `${DROP_DAYS}; set session_replication_role = replica; truncate ${names.join(", ")} restart identity;
       set session_replication_role = origin; ${FIXTURE.changing}; truncate sim.changes restart identity`,
      tables.rows,
    );
    postgres.reset();
    return postgres;
  }

  /** As it was at the start. */
  reset(): void {
    this.run("rollback");
    this.run(this.#reset);
  }

  /** A backup: all rows that a run may change, as a text. */
  backUp(): string {
    const [[text] = []] = this.run(
      `select jsonb_object_agg(name, rows)::text from (${this.#tables
        .map(
          ({ name }) =>
            `select '${name}' as name, coalesce(jsonb_agg(to_jsonb(t)), '[]') as rows from ${name} t`,
        )
        .join(" union all ")} union all ${SEQUENCES}) as each`,
    );
    if (typeof text !== "string") throw new Error("nothing was backed up");
    return text;
  }

  /**
   * Goes back to a backup; sequences draw the same numbers again. Partitions that were made since stay: they would be made again.
   */
  restore(backup: string): void {
    const names = this.#tables.map(({ name }) => name);
    this.run(
      `begin; set local session_replication_role = replica; truncate ${names.join(", ")};
       create temporary table backup on commit drop as select '${backup.replaceAll("'", "''")}'::jsonb as rows;
       ${this.#tables
         .map(
           ({ name, columns }) =>
             `insert into ${name} (${columns}) overriding system value
                select ${columns} from jsonb_populate_recordset(null::${name}, (select rows -> '${name}' from backup))`,
         )
         .join(";")};
       select setval(key::regclass, value::bigint) from jsonb_each_text((select rows -> 'sequences' from backup));
       commit`,
    );
  }

  /** Answers a message of the wire protocol, whatever it holds. */
  answer(message: Uint8Array): Uint8Array {
    return withoutTimers(() => this.#lite.execProtocolRawSync(message));
  }

  /** Runs SQL of the simulator's own. Throws what Postgres says. */
  run(text: string): Rows {
    return rowsOf(this.answer(protocol.serialize.query(text)));
  }

  /** The changes since `seen`, as the feed holds them; by a statement that is prepared once, as it runs so often. */
  changesSince(seen: number): Rows {
    this.preparedName(CHANGES);
    const name = this.#prepared.get(CHANGES) ?? "";
    return rowsOf(
      this.answer(
        Buffer.concat([
          protocol.serialize.bind({ statement: name, values: [String(seen)] }),
          protocol.serialize.execute({}),
          protocol.serialize.sync(),
        ]),
      ),
    );
  }

  /** The name under which a statement's text is prepared; prepares it when it is new. null: it cannot be. */
  preparedName(text: string): string | null {
    const known = this.#prepared.get(text);
    if (known !== undefined) return known;
    const name = `s${this.#prepared.size}`;
    const answer = this.answer(
      Buffer.concat([protocol.serialize.parse({ name, text }), protocol.serialize.sync()]),
    );
    let failed = false;
    new protocol.Parser().parse(answer, (message) => {
      failed ||= message instanceof protocol.messages.DatabaseError;
    });
    if (failed) return null;
    this.#prepared.set(text, name);
    return name;
  }
}

/** A table, and those of its columns that are not worked out from others. */
type Table = Readonly<{ name: string; columns: string }>;
const TABLES = `select quote_ident(relname) as name, string_agg(quote_ident(attname), ', ' order by attnum) as columns
  from pg_class join pg_attribute on attrelid = pg_class.oid and attnum > 0 and not attisdropped and attgenerated = ''
  where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and not relispartition and relname <> all ($1)
  group by relname order by relname`;

const SEQUENCES = `select 'sequences', coalesce(jsonb_object_agg(quote_ident(sequencename), last_value), '{}')
  from pg_sequences where schemaname = 'public' and last_value is not null`;

const CHANGES = "select seq, tbl, gone, record from sim.changes where seq > $1 order by seq";

/** The rows of an answer; throws the error in it. */
function rowsOf(answer: Uint8Array): Rows {
  const rows: (string | null)[][] = [];
  let failed: Error | null = null;
  new protocol.Parser().parse(answer, (message) => {
    if (message instanceof protocol.messages.DataRowMessage) rows.push(message.fields);
    if (message instanceof protocol.messages.DatabaseError) failed ??= message;
  });
  if (failed !== null) throw failed;
  return rows;
}

/** Nothing outlives the process, so nothing is flushed; and a statement that is prepared once is planned once. */
/** The partitions that the sweep has made: another seed begins without them. */
const DROP_DAYS = `do $$ declare day regclass; begin
  for day in select inhrelid from pg_inherits where inhparent = 'usage_samples'::regclass
    and inhrelid <> 'usage_samples_rest'::regclass
  loop execute format('drop table %s', day); end loop;
end $$`;

const SETTINGS = "set synchronous_commit = off; set plan_cache_mode = force_generic_plan";

import { createHash, randomBytes } from "node:crypto";
import { access, mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { parentPort } from "node:worker_threads";
import { FIXTURE } from "./fixture.ts";
import { MIRRORED } from "./mirror.ts";

/*
 * The program of a thread that makes the simulator's database once and tells the name of its file. To make and to
 * migrate one takes six times as long as to load it, and every thread of the simulator needs one.
 */

const ROOT = path.join(import.meta.dirname, "../..");
const MIGRATIONS = path.join(ROOT, "db/migrations");
const FOLDER = path.join(ROOT, ".cache/sim-database");
const BREAKPOINT = "--> statement-breakpoint";

/** The file's name is a hash of all that it comes from: another schema is another file. */
async function prepareDatabase(): Promise<string> {
  const names = (await readdir(MIGRATIONS)).filter((name) => name.endsWith(".sql")).sort();
  const migrations = await Promise.all(
    names.map((name) => readFile(path.join(MIGRATIONS, name), "utf8")),
  );
  const pglite = await readFile(path.join(ROOT, "node_modules/@electric-sql/pglite/package.json"));
  const statements = [
    ...migrations.flatMap((text) => text.split(BREAKPOINT)),
    changeFeed(MIRRORED),
    FIXTURE.standing,
  ];
  const hash = createHash("sha256").update(pglite).update(JSON.stringify(statements));
  const file = path.join(FOLDER, `${hash.digest("hex").slice(0, 32)}.tar`);
  if (await isThere(file)) return file;
  // Half a second to load, for who needs it.
  const { PGlite } = await import("@electric-sql/pglite");
  const { btree_gist } = await import("@electric-sql/pglite/contrib/btree_gist");
  const lite = await PGlite.create({ extensions: { btree_gist } });
  for (const statement of statements) await lite.exec(statement);
  const dump = await lite.dumpDataDir("none");
  await lite.close();
  await mkdir(FOLDER, { recursive: true });
  // Others may be at it too: whoever comes first, the file is whole.
  const unfinished = `${file}.${randomBytes(6).toString("hex")}`;
  await writeFile(unfinished, Buffer.from(await dump.arrayBuffer()));
  await rename(unfinished, file);
  // 40 MB each: those of schemas that are gone.
  for (const name of await readdir(FOLDER))
    if (name.endsWith(".tar") && name !== path.basename(file))
      await rm(path.join(FOLDER, name), { force: true });
  return file;
}

const isThere = (file: string) =>
  access(file).then(
    () => true,
    () => false,
  );

/**
 * Writes each change of a row into a table that only the simulator reads: what a transaction did, by rows. Each is told its
 * table, since one that fires on a partition has that one's name.
 */
const changeFeed = (tables: readonly string[]): string => `
  create schema sim;
  create unlogged table sim.changes (
    seq bigint generated always as identity primary key, tbl text not null, gone boolean not null, record jsonb not null
  );
  create function sim.note() returns trigger language plpgsql as $$ begin
    if tg_op = 'DELETE' then
      insert into sim.changes (tbl, gone, record) values (tg_argv[0], true, to_jsonb(old));
    else
      insert into sim.changes (tbl, gone, record) values (tg_argv[0], false, to_jsonb(new));
    end if;
    return null;
  end $$;
  ${tables
    .map(
      (t) =>
        `create trigger sim_note after insert or update or delete on ${t} for each row execute function sim.note('${t}');`,
    )
    .join("\n")}
`;

parentPort?.postMessage(await prepareDatabase());

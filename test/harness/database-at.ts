import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { drizzle } from "drizzle-orm/node-postgres";
import { migrate } from "drizzle-orm/node-postgres/migrator";
import pg from "pg";
import { z } from "zod";

const MIGRATIONS = path.join(import.meta.dirname, "../../db/migrations");
const Journal = z.looseObject({ entries: z.array(z.looseObject({ tag: z.string() })) });

/** Brings an empty database to the schema that the migration named `tag` left, and no further. */
export async function migrateUpTo(connectionString: string, tag: string): Promise<void> {
  const folder = await mkdtemp(path.join(os.tmpdir(), "berth-migrations-"));
  const client = new pg.Client({ connectionString });
  await client.connect();
  try {
    await cp(MIGRATIONS, folder, { recursive: true });
    const file = path.join(folder, "meta/_journal.json");
    const journal = Journal.parse(JSON.parse(await readFile(file, "utf8")));
    const last = journal.entries.findIndex((entry) => entry.tag === tag);
    if (last === -1) throw new Error(`there is no migration ${tag}`);
    const entries = journal.entries.slice(0, last + 1);
    await writeFile(file, JSON.stringify({ ...journal, entries }));
    await migrate(drizzle(client), { migrationsFolder: folder });
  } finally {
    await client.end();
    await rm(folder, { recursive: true, force: true });
  }
}

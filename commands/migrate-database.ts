import type { Clock, Log } from "#core/ports.ts";
import { migrateDatabase as migrate } from "#db/migrate.ts";
import { unitOfWork } from "./unit-of-work.ts";

/** Brings the database to this version's schema. Repeating it changes nothing, and so does a failure. */
export async function migrateDatabase(
  deps: Readonly<{ clock: Clock; log: Log; databaseUrl: string }>,
): Promise<void> {
  await unitOfWork(deps, "database.migrate", {}, async () => migrate(deps.databaseUrl));
}

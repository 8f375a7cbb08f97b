import type { Clock, Log } from "#core/ports.ts";
import { ensureLogins, type DatabaseLogin } from "#db/logins.ts";
import { migrateDatabase as migrate } from "#db/migrate.ts";
import { unitOfWork } from "./unit-of-work.ts";

/**
 * Brings the database to this version's schema, and lets the functions' logins in. Repeating it changes nothing, and so does
 * a failure.
 */
export async function migrateDatabase(
  deps: Readonly<{ clock: Clock; log: Log; ownerUrl: string; logins: readonly DatabaseLogin[] }>,
): Promise<void> {
  await unitOfWork(deps, "database.migrate", {}, async () => {
    await migrate(deps.ownerUrl);
    await ensureLogins(deps.ownerUrl, deps.logins);
  });
}

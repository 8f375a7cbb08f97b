import { migrateDatabase } from "#commands/migrate-database.ts";
import { migrationRuntime } from "#commands/runtime.ts";

/** Runs at each deployment, before the Lambdas that need the new schema. A throw fails the deployment. */
export const handler = async (): Promise<void> => migrateDatabase(await migrationRuntime());

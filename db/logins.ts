import pg from "pg";

/** The role whose rights functions have (`migrations/0010_rights_of_functions.sql`). Nobody logs in as it. */
const FUNCTIONS = "berth_functions";

export type DatabaseLogin = Readonly<{ user: string; password: string }>;

/**
 * Lets these log in with the rights of functions: each is made where it is missing, and its password set. `owner` is the
 * connection string of the database's owner, and the database is migrated. Doing it again changes nothing.
 */
export async function ensureLogins(owner: string, logins: readonly DatabaseLogin[]): Promise<void> {
  const client = new pg.Client({ connectionString: owner });
  await client.connect();
  try {
    for (const { user, password } of logins) {
      const name = client.escapeIdentifier(user);
      const known = await client.query("select 1 from pg_roles where rolname = $1", [user]);
      if (known.rowCount === 0) await client.query(`create role ${name} login`);
      // By name and password alone: it may not make databases or roles, and inherits what functions may.
      await client.query(`alter role ${name} login password ${client.escapeLiteral(password)}`);
      await client.query(`grant ${FUNCTIONS} to ${name}`);
    }
  } finally {
    await client.end();
  }
}

/** The owner's connection string, as this login's. */
export function urlAs(owner: string, login: DatabaseLogin): string {
  const url = new URL(owner);
  url.username = encodeURIComponent(login.user);
  url.password = encodeURIComponent(login.password);
  return url.href;
}

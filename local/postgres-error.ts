/** Postgres cannot be had here; the message is one clear line. */
export class PostgresError extends Error {
  override name = "PostgresError";
}

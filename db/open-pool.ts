import pg from "pg";

/**
 * A pool whose connections may be lost at any time. A connection that breaks while a transaction has it refuses that
 * transaction's statements, and also says so itself; where nobody listens to that, Node ends the process, and with it
 * everything else that it was doing. The pool listens only to connections that are idle.
 */
export function openPool(config: pg.PoolConfig, lost: (error: Error) => void): pg.Pool {
  // Statements of one transaction may go out before the answers to those before them have come (`together.ts`).
  const pool = new pg.Pool({ ...config, pipeline: true });
  pool.on("connect", (client) => client.on("error", lost));
  // The same of an idle one: `lost` has been told.
  pool.on("error", () => undefined);
  return pool;
}

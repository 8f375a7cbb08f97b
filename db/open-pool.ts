import { Writable } from "node:stream";
import pg from "pg";

/**
 * A pool whose connections may be lost at any time. A connection that breaks while a transaction has it refuses that
 * transaction's statements, and also says so itself; where nobody listens to that, Node ends the process, and with it
 * everything else that it was doing. The pool listens only to connections that are idle.
 */
export function openPool(config: pg.PoolConfig, lost: (error: Error) => void): pg.Pool {
  // Statements of one transaction may go out before the answers to those before them have come (`together.ts`).
  const pool = new pg.Pool({ ...config, pipeline: true });
  pool.on("connect", (client) => {
    client.on("error", lost);
    writeTogether(client);
  });
  // The same of an idle one: `lost` has been told.
  pool.on("error", () => undefined);
  return pool;
}

/**
 * What a turn of Node writes to a connection goes out at its end, in one piece: `pg` corks each statement alone, so that six which go out
 * together would be six calls of the system, six packets, and as many times that Postgres is woken.
 */
function writeTogether(client: object): void {
  const connection: unknown = Reflect.get(client, "connection");
  const stream: unknown = connection instanceof Object ? Reflect.get(connection, "stream") : null;
  if (!(stream instanceof Writable)) return;
  const cork = stream.cork.bind(stream);
  let isHeld = false;
  stream.cork = () => {
    cork();
    if (isHeld) return;
    isHeld = true;
    cork();
    process.nextTick(() => {
      isHeld = false;
      stream.uncork();
    });
  };
}

import type pg from "pg";
import type { Logger } from "drizzle-orm/logger";
import type { Db } from "#db/client.ts";

/** What a fault that a test injected looks like: an outage, not a refusal. */
export class InjectedFault extends Error {
  override name = "InjectedFault";
}

/** A transaction's own frame: nothing of a command's happens there, and a failed rollback would only hide the fault. */
const FRAME = /^(begin|rollback|savepoint|release)/;

/**
 * The steps of a command: every statement, every commit and every call of a port. Each has a point before it, and
 * where it takes effect by itself one after it, at which the answer is lost. A run can be made to fail at one point.
 */
export class Steps {
  #points: string[] = [];
  #failAt: number | RegExp | undefined;
  #watching = false;
  #statements = 0;

  /** Statements that were sent, watched or not. */
  get statements(): number {
    return this.#statements;
  }

  point(name: string): void {
    if (!this.#watching) return;
    this.#points.push(name);
    const failAt = this.#failAt;
    const now = failAt instanceof RegExp ? failAt.test(name) : this.#points.length - 1 === failAt;
    if (!now) return;
    this.#failAt = undefined;
    throw new InjectedFault(name);
  }

  async around<T>(name: string, call: () => Promise<T>): Promise<T> {
    this.point(`before ${name}`);
    const value = await call();
    this.point(`after ${name}`);
    return value;
  }

  /**
   * Runs a command and tells the points it passed. With `failAt` it fails at that one, or at the first whose
   * name fits: what the command makes of it is its own affair, but an error that is not the injected one is thrown on.
   */
  async watch(run: () => Promise<unknown>, failAt?: number | RegExp): Promise<readonly string[]> {
    this.#points = [];
    this.#failAt = failAt;
    this.#watching = true;
    try {
      await run();
    } catch (error) {
      if (!isInjected(error)) throw error;
    } finally {
      this.#watching = false;
      this.#failAt = undefined;
    }
    return this.#points;
  }

  /** For drizzle: it tells every statement before it sends it. */
  readonly logger: Logger = {
    logQuery: (query) => {
      this.#statements++;
      if (!FRAME.test(query)) this.point(`before ${shortened(query)}`);
    },
  };
}

function isInjected(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause)
    if (at instanceof InjectedFault) return true;
  return false;
}

const shortened = (query: string) => query.replaceAll(/\s+/g, " ").slice(0, 60);

/** A port whose calls are steps. */
export function stepped<T extends object>(port: T, name: string, steps: Steps): T {
  return new Proxy(port, {
    get: (target, property) => {
      const value: unknown = Reflect.get(target, property);
      if (typeof value !== "function") return value;
      return async (...args: unknown[]): Promise<unknown> =>
        steps.around(`${name}.${String(property)}`, async () => Reflect.apply(value, target, args));
    },
  });
}

/** A database whose commits have a point after them. */
export function withCommitSteps(db: Db, steps: Steps): Db {
  return new Proxy(db, {
    get: (target, property) => {
      if (property !== "transaction") return Reflect.get(target, property);
      const transaction: Db["transaction"] = async (work, config) => {
        const value = await target.transaction(work, config);
        steps.point("after commit");
        return value;
      };
      return transaction;
    },
  });
}

/** Statements outside a transaction are commits of their own: those that write get a point after them too. */
export function addStatementSteps(pool: pg.Pool, steps: Steps): void {
  const query = pool.query.bind(pool);
  Object.assign(pool, {
    query: async (statement: string | pg.QueryConfig, values?: unknown[]) => {
      const result = await (typeof statement === "string"
        ? query(statement, values)
        : query(statement, values));
      const text = typeof statement === "string" ? statement : statement.text;
      if (!text.startsWith("select")) steps.point(`after ${shortened(text)}`);
      return result;
    },
  });
}

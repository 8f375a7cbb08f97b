import { Duplex } from "node:stream";
import { protocol } from "@electric-sql/pglite";
import type { Faults } from "./faults.ts";
import { outside, processNow, type VirtualProcess } from "./process.ts";
import type { SimPostgres } from "./postgres.ts";
import { forever, type Scheduler } from "./scheduler.ts";

/** What all connections of a run share: the one session behind them, and who has it. */
export type DbServer = {
  postgres: SimPostgres;
  scheduler: Scheduler;
  faults: Faults;
  holder: DbSocket | null;
  /** Told after each commit that wrote something. */
  committed: () => void;
  sockets: number;
  /** All that are not closed. */
  open: Set<DbSocket>;
};

const { serialize } = protocol;
const STARTUP_ANSWER = Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 0, 0x5a, 0, 0, 0, 5, 0x49]);
const PARSE_COMPLETE = Buffer.from([0x31, 0, 0, 0, 4]);
const WRITES = /^\s*(insert|update|delete|with)\b/i;
/** These touch no row, so that Postgres refuses none of them for what others have written. */
const NEVER_CONFLICTS = /^(rollback|savepoint|release)/i;
/** Raised in the place of a statement that is to fail, so that the session is in the state that it would be in. */
const serialisationFailure = serialize.query(
  "do $$ begin raise exception 'could not serialize access (simulated)' using errcode = '40001'; end $$",
);

type Message = { code: string; bytes: Buffer };

/**
 * One connection of the real `pg` client, over memory instead of TCP. It waits for its turn before a transaction, and
 * has the session until that ends. Here connections break, and transactions fail that Postgres would let through.
 */
export class DbSocket extends Duplex {
  readonly #server: DbServer;
  readonly #number: number;
  #started = false;
  #buffer: Buffer = Buffer.alloc(0);
  #batch: Message[] = [];
  /** By name, the Parse that it came with. */
  readonly #named = new Map<string, Buffer>();
  #working: Promise<void> = Promise.resolve();
  #wrote = false;
  #statements = 0;
  /** Which statement of the transaction fails; null: none. */
  #failsAt: number | null = null;
  #owner: VirtualProcess | undefined;
  readonly #ownerDied = () => this.#end();

  constructor(server: DbServer) {
    super();
    this.#server = server;
    this.#number = ++server.sockets;
    server.open.add(this);
  }

  // What `pg` asks of a TCP socket.
  connect(): this {
    const { scheduler, faults } = this.#server;
    const refused = faults.strikes("db.unavailable");
    scheduler.spawn(`db ${this.#number} connect`, () => {
      if (refused) this.#break("connect ECONNREFUSED (simulated)");
      else this.emit("connect");
    });
    return this;
  }
  setNoDelay = (): this => this;
  setKeepAlive = (): this => this;
  ref = (): this => this;
  unref = (): this => this;

  override _read(): void {
    // Everything is pushed as it comes.
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.#buffer = this.#buffer.length === 0 ? chunk : Buffer.concat([this.#buffer, chunk]);
    if (!this.#started) this.#start();
    if (this.#started) this.#cutMessages();
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#end();
    this.#server.open.delete(this);
    done(error);
  }

  #start(): void {
    if (this.#buffer.length < 4 || this.#buffer.length < this.#buffer.readInt32BE(0)) return;
    this.#buffer = this.#buffer.subarray(this.#buffer.readInt32BE(0));
    this.#started = true;
    this.push(STARTUP_ANSWER);
  }

  /** A batch ends where the client waits for an answer: at a simple query, or at a Sync. */
  #cutMessages(): void {
    while (this.#buffer.length >= 5) {
      const length = this.#buffer.readInt32BE(1) + 1;
      if (this.#buffer.length < length) return;
      const code = String.fromCharCode(this.#buffer[0] ?? 0);
      this.#batch.push({ code, bytes: this.#buffer.subarray(0, length) });
      this.#buffer = this.#buffer.subarray(length);
      if (code === "X") {
        this.#end();
        return;
      }
      if (code !== "Q" && code !== "S") continue;
      const batch = this.#unnamed(this.#batch);
      this.#batch = [];
      this.#working = this.#working.then(() => this.#serve(batch));
    }
  }

  /**
   * A statement that `pg` prepares under a name belongs to its connection, and all connections are one session here: each time it
   * is sent as if it had no name, with its text.
   */
  #unnamed(batch: readonly Message[]): Message[] {
    return batch.flatMap((message) => {
      if (message.code !== "P" && message.code !== "B") return [message];
      // Bind begins with the portal's name, which is empty.
      const at = message.code === "P" ? 5 : 6;
      const name = cStringAt(message.bytes, at);
      if (name === "") return [message];
      const rest = message.bytes.subarray(at + Buffer.byteLength(name));
      const bytes = framed(message.code, Buffer.concat([message.bytes.subarray(5, at), rest]));
      if (message.code === "P") this.#named.set(name, bytes);
      const parse = this.#named.get(name);
      const sent = batch.some(({ code }) => code === "P");
      return message.code === "P" || sent || parse === undefined
        ? [{ code: message.code, bytes }]
        : [
            { code: "P", bytes: parse },
            { code: "B", bytes },
          ];
    });
  }

  async #serve(batch: readonly Message[]): Promise<void> {
    const server = this.#server;
    const text = textOf(batch);
    if (server.holder !== this) {
      this.#takeOwner();
      await outside(server.scheduler, `db ${verbOf(text)}`, () => server.holder === null);
      if (this.destroyed) return forever;
      server.holder = this;
      this.#wrote = false;
      this.#statements = 0;
      const isTransaction = /^begin/i.test(text);
      this.#failsAt =
        isTransaction && server.faults.draws("db.serialization_failure")
          ? server.faults.dice.int(2, 8)
          : null;
    } else if (processNow()?.dead === true) return forever;
    for (const { bytes } of batch) server.scheduler.absorb(bytes);
    this.#statements++;
    this.#wrote ||= WRITES.test(text);
    const inTransaction = this.#statements > 1;
    const ends = !inTransaction || /^commit/i.test(text);
    if (ends && !/^begin/i.test(text) && server.faults.strikes("db.connection_lost_before_commit"))
      return this.#break("read ECONNRESET (simulated, before the commit)");
    const fails =
      inTransaction && this.#failsAt !== null && !NEVER_CONFLICTS.test(text)
        ? this.#statements >= this.#failsAt || ends
        : false;
    if (fails) {
      this.#failsAt = null;
      server.faults.count("db.serialization_failure");
    }
    const answer = fails ? server.postgres.answer(serialisationFailure) : this.#answer(batch);
    const status = String.fromCharCode(answer[answer.length - 1] ?? 0);
    if (status === "I") {
      this.#release();
      if (this.#wrote && !/^rollback/i.test(text)) {
        server.committed();
        if (server.faults.strikes("db.connection_lost_after_commit"))
          return this.#break("read ECONNRESET (simulated, after the commit)");
      }
    }
    this.push(answer);
    return undefined;
  }

  /** Unnamed statements are served from prepared ones, under the same answers. */
  #answer(batch: readonly Message[]): Uint8Array {
    const { postgres } = this.#server;
    const parse = batch.find((message) => message.code === "P");
    const name = parse ? postgres.preparedName(cStringAt(parse.bytes, 6)) : null;
    if (parse === undefined || name === null)
      return postgres.answer(Buffer.concat(batch.map((message) => message.bytes)));
    const rest = batch
      .filter((message) => message !== parse)
      .map((message) => (message.code === "B" ? bindTo(name, message.bytes) : message.bytes));
    return Buffer.concat([PARSE_COMPLETE, postgres.answer(Buffer.concat(rest))]);
  }

  #takeOwner(): void {
    this.#owner?.onDeath.delete(this.#ownerDied);
    this.#owner = processNow();
    this.#owner?.onDeath.add(this.#ownerDied);
  }

  /** The server that it is of is replaced. */
  cut(): void {
    this.#break("terminating connection due to administrator command (simulated)");
  }

  #break(why: string): void {
    this.#end();
    this.destroy(Object.assign(new Error(why), { code: "ECONNRESET" }));
  }

  /** The server sees the connection go: what was not committed is undone. */
  #end(): void {
    this.#owner?.onDeath.delete(this.#ownerDied);
    if (this.#server.holder !== this) return;
    this.#server.postgres.run("rollback");
    this.#release();
  }

  #release(): void {
    this.#server.holder = null;
    this.#owner?.onDeath.delete(this.#ownerDied);
  }
}

function textOf(batch: readonly Message[]): string {
  for (const { code, bytes } of batch) {
    if (code === "Q") return cStringAt(bytes, 5);
    if (code === "P") return cStringAt(bytes, 6);
  }
  return "";
}

/** `update orders`, `begin`: enough for the trace. */
const verbOf = (text: string): string =>
  /^\s*(begin|commit|rollback)/i.exec(text)?.[1]?.toLowerCase() ??
  [/^\s*(\w+)/.exec(text)?.[1], /\b(?:from|into|update)\s+"?(\w+)"?/i.exec(text)?.[1]].join(" ");

const cStringAt = (bytes: Buffer, at: number): string =>
  bytes.toString("utf8", at, bytes.indexOf(0, at));

/** A Bind of the unnamed statement, made one of `name`. Both strings are empty in what `pg` sends. */
function bindTo(name: string, bind: Buffer): Buffer {
  return framed("B", Buffer.concat([Buffer.from(`\0${name}\0`), bind.subarray(7)]));
}

function framed(code: string, body: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.write(code);
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}

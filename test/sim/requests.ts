import { PEOPLE, tokenOf, type PersonName } from "./accounts.ts";
import type { ControlPlane } from "./control-plane.ts";
import type { Mirror, Row } from "./mirror.ts";
import { fetchOver } from "./network.ts";
import { Violation, type Sim } from "./sim.ts";

/** How often a program asks again before it gives up. */
const MOST_TRIES = 6;
/** How many minutes somebody waits for what the product does by itself. */
export const MOST_WAITS = 15;

/** A request under a key, as its sender knows it. `answer` is what the API once said to that key, as text, and `claimed` when. */
export type Keyed = {
  who: PersonName;
  path: string;
  key: string;
  body: unknown;
  answer: string | null;
  claimed?: number | undefined;
};
export type Answer = { status: number; text: string };

/** How everybody asks: over the same bad network, again and again as programs do, and what may be answered to that. */
export class Requests {
  readonly #sim: Sim;
  readonly #plane: ControlPlane;
  readonly #mirror: Mirror;
  #count = 0;

  constructor(sim: Sim, parts: { plane: ControlPlane; mirror: Mirror }) {
    this.#sim = sim;
    this.#plane = parts.plane;
    this.#mirror = parts.mirror;
  }

  /** The next number of what anybody asks for. */
  next(): number {
    return ++this.#count;
  }

  newKey(of: string): string {
    return `${of}-key-${this.next()}`;
  }

  /** Asks under its key. A refusal leaves the key unused; once it has an answer, that is the answer to every repeat. */
  async askOnce(keyed: Keyed): Promise<void> {
    const known = keyed.answer;
    const { who, path, key, body } = keyed;
    const answer = await this.insist(who, "POST", path, body, { "idempotency-key": key });
    if (this.isPurged(keyed)) {
      keyed.answer = answer !== null && isTaken(answer) ? answer.text : null;
      keyed.claimed = this.#claimOf(key);
      return;
    }
    // Of two that race, the one that was refused may be heard of after the one that was not: so `known`.
    if (answer === null || (!isTaken(answer) && known === null)) return;
    if (!isTaken(answer))
      this.broken(3, `one key, one body: ${known}, and then ${answer.status} ${answer.text}`);
    else if (keyed.answer !== null && keyed.answer !== answer.text)
      this.broken(3, `one key, one body, two answers: ${keyed.answer} and ${answer.text}`);
    else {
      keyed.answer = answer.text;
      keyed.claimed = this.#claimOf(key);
    }
  }

  /** What was kept for its key is gone for its age, or with an order that ran out: the key is a new one. */
  isPurged({ key, answer, claimed }: Keyed): boolean {
    return answer !== null && this.#claimOf(key) !== claimed;
  }

  #claimOf(key: string): number | undefined {
    return this.#mirror.keys.all().find((row) => row.key === key)?.created_at;
  }

  /** A VM that is delivered, as soon as there is one, for as long as that is worth waiting for. */
  async delivered(index: number): Promise<Row<"vms"> | undefined> {
    const there = () =>
      this.#mirror.vms
        .all()
        .filter(
          (vm) => vm.presence === "present" && this.#mirror.orderOf(vm.id)?.state === "active",
        );
    for (let tries = 0; there().length === 0 && tries < MOST_WAITS; tries++)
      await this.#sim.scheduler.sleep(60_000, undefined, "waits for a VM");
    return pick(there(), index);
  }

  /** Asks until there is an answer that another try would not change; null: gave up. */
  async insist(
    who: PersonName,
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<Answer | null> {
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      const answer = await this.send(who, method, path, body, headers);
      if (answer !== null && answer.status < 500) return answer;
      await this.#sim.scheduler.sleep(2 ** tries * 1000, undefined, `${who} waits`);
    }
    return null;
  }

  async send(
    who: PersonName,
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<Answer | null> {
    const send = fetchOver(
      this.#sim,
      { name: who, isCut: () => false, isDead: () => false },
      this.#plane.api,
    );
    // A program waits so long for an answer, and no longer.
    const patience = new AbortController();
    const cancel = this.#sim.scheduler.after(30_000, `${who} gives up`, () =>
      patience.abort(new Error("no answer (simulated)")),
    );
    try {
      const answer = await send(`http://berth.test${path}`, {
        method,
        headers: {
          authorization: `Bearer ${tokenOf(who)}`,
          ...(body === undefined ? {} : { "content-type": "application/json" }),
          ...headers,
        },
        signal: patience.signal,
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      return { status: answer.status, text: await answer.text() };
    } catch {
      return null;
    } finally {
      cancel();
    }
  }

  broken(invariant: number, detail: string): void {
    this.#sim.found.violation ??= new Violation(invariant, detail);
  }
}

/** 200: an order that was open already, or no offer. */
const isTaken = ({ status }: Answer): boolean => status === 200 || status === 201 || status === 202;

export const pick = <T>(list: readonly T[], index: number): T | undefined =>
  list.length === 0 ? undefined : list[index % list.length];

export const ownerOf = (vm: Row<"vms">): PersonName =>
  PEOPLE.find((p) => p.accountId === vm.account_id)?.name ?? "ada";

import { AsyncLocalStorage } from "node:async_hooks";
import { forever } from "./scheduler.ts";
import type { Sim } from "./sim.ts";

/** Who sends: a host's agent, a customer's program. */
export type Sender = Readonly<{
  name: string;
  /** Nothing goes through now. */
  isCut: () => boolean;
  /** Nobody waits for the answer any more. */
  isDead: () => boolean;
}>;
export type Serve = (request: Request) => Promise<Response>;

const replay = new AsyncLocalStorage<true>();
/** Whether what goes on now was begun by a request that had been answered before. */
export const isReplayNow = (): boolean => replay.getStore() === true;
/** Sends again, byte for byte, what was answered once. */
export const sendAgain = (serve: Serve, request: Request): Promise<Response> =>
  replay.run(true, () => serve(request));

const LOST = "network: connection reset (simulated)";

/** A `fetch` over a network that loses, doubles and delays what goes over it, in both directions. */
export function fetchOver(sim: Sim, sender: Sender, serve: Serve): typeof fetch {
  const { scheduler, faults, dice } = sim;

  /** A lost message is silence until the caller's time-out, or a connection that is reset. */
  const lost = async (): Promise<never> => {
    if (dice.chance(0.3)) return forever;
    throw new TypeError(LOST);
  };

  async function carry(make: () => Request, what: string, body: string | null): Promise<Response> {
    await scheduler.turn(`${sender.name} > ${what}`);
    if (body !== null) scheduler.absorb(body);
    if (sender.isCut()) return forever;
    if (faults.strikes("net.request_lost")) return lost();
    if (faults.strikes("net.delayed"))
      await scheduler.sleep(dice.int(200, dice.chance(0.4) ? 120_000 : 20_000));
    if (faults.strikes("net.request_doubled"))
      scheduler.after(dice.int(0, 60_000), `${sender.name} > ${what} again`, () => {
        // Whatever the second one comes to, nobody hears of it.
        serve(make()).catch(() => undefined);
      });
    const answer = await serve(make());
    await scheduler.turn(`${sender.name} < ${what} ${answer.status}`);
    if (sender.isDead()) return forever;
    if (sender.isCut()) return forever;
    if (faults.strikes("net.answer_lost")) return lost();
    return answer;
  }

  return (input, init) => {
    const make = () => new Request(input, { ...init, signal: null });
    const url = new URL(input instanceof Request ? input.url : input);
    const what = `${init?.method ?? "GET"} ${url.pathname.replaceAll(/[0-9a-f]{32}|[0-9a-f-]{36}/g, "…")}`;
    const body = typeof init?.body === "string" ? init.body : null;
    return untilAborted(init?.signal, carry(make, what, body));
  };
}

/** `work`, or the signal's reason if that is first. */
export function untilAborted<T>(
  signal: AbortSignal | null | undefined,
  work: Promise<T>,
): Promise<T> {
  if (!signal) return work;
  return new Promise((resolve, reject) => {
    const abort = () =>
      reject(signal.reason instanceof Error ? signal.reason : new Error("aborted (simulated)"));
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}

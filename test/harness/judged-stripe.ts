import { afterAll, afterEach } from "vitest";
import { ABSENT, stripeDescription } from "./stripe-description.ts";

type Fetch = (request: Request) => Promise<Response>;

const found = new Set<string>();
/** How many calls and events of this process were held against Stripe's own description. */
export const judged = { calls: 0, events: 0 };

/*
 * Whatever a test's stand-in was asked and answers, and each webhook that it sends, is held against Stripe's own
 * description; what does not fit fails the test. Where the description is absent, `stripe-description.test.ts` says so.
 * A client that reads a thrown error as a lost connection must not swallow it, so it is kept until the test's end.
 */

export const judgedCalls = (fetch: Fetch): Fetch =>
  ABSENT !== null
    ? fetch
    : async (request) => {
        const { method } = request;
        const { pathname, search } = new URL(request.url);
        if (!pathname.startsWith("/v1/")) return fetch(request);
        const form = method === "GET" ? "" : await request.clone().text();
        const answer = await fetch(request);
        const call = {
          method,
          path: pathname,
          parameters: [search.slice(1), form].filter((part) => part !== "").join("&"),
          status: answer.status,
          body: await answer.clone().text(),
        };
        judged.calls++;
        keep(() => stripeDescription().misfitsOf(call));
        return answer;
      };

export const judgedWebhooks = (deliver: Fetch): Fetch =>
  ABSENT !== null
    ? deliver
    : async (request) => {
        judged.events++;
        const event: unknown = await request.clone().json();
        keep(() => stripeDescription().misfitsOfEvent(event));
        return deliver(request);
      };

function keep(look: () => string[]): void {
  try {
    for (const misfit of look()) found.add(misfit);
  } catch (error) {
    found.add(`not to be judged: ${String(error)}`);
  }
}

/** What does not fit so far; it is told once. */
export function takeMisfits(): string[] {
  const misfits = [...found];
  found.clear();
  return misfits;
}

function failOnMisfits(): void {
  const misfits = takeMisfits();
  if (misfits.length > 0)
    throw new Error(`not as Stripe's own description has it:\n${misfits.join("\n")}`);
}
afterEach(failOnMisfits);
afterAll(failOnMisfits);

import { createHash } from "node:crypto";
import { inject } from "vitest";
import { z } from "zod";
import type { Looked } from "./judge-setup.ts";
import { ABSENT } from "./stripe-file.ts";

type Fetch = (request: Request) => Promise<Response>;

let waiting: Looked[] = [];
let waitingChars = 0;
const MOST_WAITING_CHARS = 4 * 1024 * 1024;
const found = new Set<string>();
/** What was looked at in this test: a page of a list that is asked for each minute of a day is judged once. */
const lookedAt = new Set<string>();
/** How many calls and events of this process were held against Stripe's own description. */
export const judged = { calls: 0, events: 0 };

/*
 * Whatever a test's stand-in was asked and answers, and each webhook that it sends, is held against Stripe's own
 * description; what does not fit fails the test, at its end (`judged-setup.ts`): a client would read what is thrown before
 * as a lost connection. Where the description is absent, `stripe-description.test.ts` says so.
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
        await look({
          method,
          path: pathname,
          parameters: [search.slice(1), form].filter((part) => part !== "").join("&"),
          status: answer.status,
          body: await answer.clone().text(),
        });
        judged.calls++;
        return answer;
      };

export const judgedWebhooks = (deliver: Fetch): Fetch =>
  ABSENT !== null
    ? deliver
    : async (request) => {
        await look({ event: await request.clone().text() });
        judged.events++;
        return deliver(request);
      };

async function look(looked: Looked): Promise<void> {
  const hash = createHash("sha1");
  for (const part of Object.values(looked)) hash.update(`${part}\0`);
  const digest = hash.digest("base64");
  if (lookedAt.has(digest)) return;
  lookedAt.add(digest);
  waiting.push(looked);
  waitingChars += ("event" in looked ? looked.event : looked.body).length;
  if (waitingChars > MOST_WAITING_CHARS) await judge();
}

async function judge(): Promise<void> {
  if (waiting.length === 0) return;
  const body = JSON.stringify(waiting);
  waiting = [];
  waitingChars = 0;
  const answer = await fetch(inject("stripeJudge"), { method: "POST", body });
  if (!answer.ok) throw new Error(`the judge failed: ${await answer.text()}`);
  for (const misfit of z.array(z.string()).parse(await answer.json())) found.add(misfit);
}

/** What does not fit so far; it is told once. */
export async function takeMisfits(): Promise<string[]> {
  await judge();
  const misfits = [...found];
  found.clear();
  lookedAt.clear();
  return misfits;
}

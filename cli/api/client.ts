import { Problem } from "#core/contracts/problem.ts";
import { kindOfRefusal } from "../exit-codes.ts";
import { Failure } from "../failure.ts";
import { wayOutOf } from "../way-out.ts";
import type { World } from "../world.ts";
import { OPERATIONS, type Operations } from "./operations.ts";
import { readAnswer } from "./read-answer.ts";

export type OperationName = keyof Operations;
type Part<Key extends string, T> = [keyof T] extends [never] ? unknown : Readonly<Record<Key, T>>;
export type Given<N extends OperationName> = Part<"path", Operations[N]["path"]> &
  Readonly<{ query?: Operations[N]["query"]; key?: string | undefined }> &
  (Operations[N]["body"] extends undefined ? unknown : Readonly<{ body: Operations[N]["body"] }>);
/** `raw` is the answer as it came, with what only a newer program knows. */
export type Answered<N extends OperationName> = Readonly<{
  value: Operations[N]["answer"];
  raw: unknown;
}>;

export type Request = Readonly<{
  method: string;
  /** From the API's origin on, with its query. */
  path: string;
  body?: unknown;
  key?: string | undefined;
  /** It changes nothing when it is sent again. */
  repeatable: boolean;
}>;

export type Client = Readonly<{
  call: <N extends OperationName>(name: N, given: Given<N>) => Promise<Answered<N>>;
  /** Any request: the status and the body of a good answer, null for none. */
  send: (request: Request) => Promise<{ status: number; body: unknown }>;
}>;

/** After each attempt but the last. */
const WAITS_MS = [300, 1_000, 3_000];
const LONGEST_WAIT_MS = 15_000;
/** Nothing was done, or it is not known: asked again, it may go through. */
const TRY_AGAIN: ReadonlySet<number> = new Set([408, 429, 502, 503, 504]);

/**
 * A client of the API at `origin`. Whatever is no good answer is thrown as a `Failure`. What may be repeated (a read, and
 * what bears a key) is tried again when nobody answers or the answer says so, with the same key.
 */
export function createClient(
  world: Pick<World, "fetch" | "clock" | "newKey">,
  origin: URL,
  token: string | undefined,
): Client {
  async function sendOnce({ method, path, body, key }: Request): Promise<Response | Failure> {
    try {
      return await world.fetch(new URL(path, origin), {
        method,
        headers: {
          accept: "application/json",
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
          ...(key === undefined ? {} : { "idempotency-key": key }),
          ...(body === undefined ? {} : { "content-type": "application/json" }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
    } catch (cause) {
      return new Failure(
        "unreachable",
        "no_answer",
        `${origin.origin} does not answer: ${reasonOf(cause)}`,
        { cause, wayOut: wayOutOf("no_answer", "unreachable") },
      );
    }
  }

  async function send(request: Request): Promise<{ status: number; body: unknown }> {
    for (let attempt = 0; ; attempt++) {
      const answer = await sendOnce(request);
      const wait = request.repeatable ? waitAfter(answer, attempt) : undefined;
      if (wait === undefined) return answered(answer, origin);
      if (answer instanceof Response) await answer.body?.cancel();
      await world.clock.sleep(wait);
    }
  }

  return {
    send,
    call: async (name, given) => {
      const { path = {}, query, body, key }: Loose = Object(given);
      const operation = OPERATIONS[name];
      const { status, body: raw } = await send({
        method: operation.method,
        path: withValues(operation.path, path) + queryOf(query),
        body,
        key: operation.keyed ? (key ?? world.newKey()) : undefined,
        repeatable: operation.method === "GET" || operation.keyed,
      });
      const load = operation.answers[status];
      if (load === undefined) throw unreadable(origin, `${name} answered ${status}`);
      const read = readAnswer(await load(), raw);
      if (!read.ok) throw unreadable(origin, `${name}: ${read.why}`);
      return { value: read.value, raw };
    },
  };
}

type Loose = {
  path?: Record<string, string>;
  query?: object;
  body?: unknown;
  key?: string | undefined;
};

/** How long to wait before it is tried again; undefined: not any more. */
function waitAfter(answer: Response | Failure, attempt: number): number | undefined {
  const usual = WAITS_MS[attempt];
  if (usual === undefined) return undefined;
  if (answer instanceof Failure) return usual;
  if (!TRY_AGAIN.has(answer.status)) return undefined;
  const asked = Number(answer.headers.get("retry-after") ?? "0") * 1_000;
  return asked > LONGEST_WAIT_MS ? undefined : Math.max(usual, asked || 0);
}

async function answered(answer: Response | Failure, origin: URL) {
  if (answer instanceof Failure) throw answer;
  const text = await answer.text().catch((cause: unknown) => {
    throw unreadable(origin, `the answer broke off: ${reasonOf(cause)}`);
  });
  const { status } = answer;
  if (status >= 300 && status < 400)
    throw unreadable(origin, `it sends on to ${answer.headers.get("location") ?? "elsewhere"}`);
  const body = text === "" ? null : jsonOf(text);
  if (status >= 200 && status < 300) {
    if (body === undefined) throw unreadable(origin, `the answer is no JSON (${status})`);
    return { status, body };
  }
  const problem = readAnswer(Problem, body);
  if (!problem.ok) throw unreadable(origin, `it answered ${status}, and not as Berth does`);
  const { code, detail, instance, errors } = problem.value;
  const kind = kindOfRefusal(status, code);
  throw new Failure(kind, code, detail, {
    wayOut: wayOutOf(code, kind),
    request: instance,
    fields: errors,
  });
}

/** undefined: it is none. */
function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const unreadable = (origin: URL, why: string) =>
  new Failure("unreachable", "answer_unreadable", `${origin.origin} is not understood: ${why}`, {
    wayOut: "is this the address of a Berth API, and this berth new enough for it?",
  });

/** `fetch` says what is wrong in the cause of its error. */
const reasonOf = (cause: unknown): string => {
  const inner = cause instanceof Error ? (cause.cause ?? cause) : cause;
  return inner instanceof Error ? inner.message || inner.name : String(inner);
};

const withValues = (path: string, values: Readonly<Record<string, string>>): string =>
  path.replaceAll(/\{(\w+)\}/g, (_, name: string) => {
    const value = values[name] ?? "";
    // It would name another path, however it is escaped (WHATWG URL, double-dot segments).
    if (/^\.{0,2}$/.test(value))
      throw new Failure("usage", "id_invalid", `"${value}" is no ${name}`);
    return encodeURIComponent(value);
  });

function queryOf(query: object | undefined): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {}))
    if (value !== undefined) search.set(name, String(value));
  return search.size === 0 ? "" : `?${search.toString()}`;
}

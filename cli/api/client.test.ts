import { describe, expect, it } from "vitest";
import { aProblem } from "#test/harness/cli-world.ts";
import { Failure } from "../failure.ts";
import { createClient } from "./client.ts";

type Reply = () => Response | Promise<Response>;
const json =
  (status: number, body: unknown, headers: Record<string, string> = {}): Reply =>
  () =>
    Response.json(body, { status, headers });
const noAnswer: Reply = () =>
  Promise.reject(new TypeError("fetch failed", { cause: new Error("refused") }));

const TOKEN = {
  id: "t1",
  name: "n",
  start: "b",
  scopes: [],
  currency: null,
  createdAt: "2026-03-01T12:00:00.000Z",
  expiresAt: null,
  lastUsedAt: null,
};
const MADE = json(201, { token: TOKEN, secret: "s" });
const ME = json(200, {
  id: "acct_0199f0a2b3c47d5e8f90a1b2c3d4e5f6",
  email: "ada@example.com",
  name: "Ada",
  role: "customer",
  scopes: ["vms:read"],
  currency: null,
  locale: "en",
});

/** A client whose requests are answered in turn, the last again and again. */
function aClient(...replies: readonly Reply[]) {
  const asked: { url: URL; headers: Headers; body: unknown }[] = [];
  const slept: number[] = [];
  let keys = 0;
  const client = createClient(
    {
      fetch: async (url, { headers, body }) => {
        const reply = replies[Math.min(asked.length, replies.length - 1)];
        asked.push({ url, headers: new Headers(headers), body });
        if (reply === undefined) throw new Error("nothing answers");
        return reply();
      },
      clock: { now: () => new Date(0), sleep: async (ms) => void slept.push(ms) },
      newKey: () => `key-${++keys}`,
    },
    new URL("https://api.example.com"),
    "secret",
  );
  return { client, asked, slept };
}

const failing = async (promise: Promise<unknown>): Promise<Failure> => {
  const error = await promise.catch((e: unknown) => e);
  if (error instanceof Failure) return error;
  throw new Error(`it did not fail as it should: ${String(error)}`);
};

describe("what is asked again (6a item 7)", () => {
  it.each([
    ["nobody answers", noAnswer],
    ["the server is busy", json(503, aProblem("busy", 503))],
    ["it is told to come again", json(429, aProblem("rate_limited", 429))],
  ])("a read, when %s", async (_, reply) => {
    const { client, asked, slept } = aClient(reply, reply, ME);
    expect((await client.call("showMe", {})).value.name).toBe("Ada");
    expect(asked).toHaveLength(3);
    expect(slept).toEqual([300, 1_000]);
  });

  it("what makes something, with one key over all tries", async () => {
    const { client, asked } = aClient(
      noAnswer,
      json(502, aProblem("payment_provider_unavailable", 502)),
      MADE,
    );
    await client.call("createToken", { body: { name: "n", scopes: ["vms:read"] } });
    expect(asked.map(({ headers }) => headers.get("idempotency-key"))).toEqual([
      "key-1",
      "key-1",
      "key-1",
    ]);
  });

  it("no other write: nobody knows whether it was done", async () => {
    const { client, asked } = aClient(noAnswer);
    const failure = await failing(
      client.call("changeVm", { path: { id: "vm_1" }, body: { label: "x" } }),
    );
    expect(failure).toMatchObject({ kind: "unreachable", code: "no_answer" });
    expect(asked).toHaveLength(1);
    expect(asked[0]?.headers.has("idempotency-key")).toBe(false);
  });

  it("as long after as the server says, unless that is too long to wait", async () => {
    const busy = (seconds: string) => json(503, aProblem("busy", 503), { "retry-after": seconds });
    const patient = aClient(busy("7"), ME);
    await patient.client.call("showMe", {});
    expect(patient.slept).toEqual([7_000]);
    const hopeless = aClient(busy("600"));
    expect(await failing(hopeless.client.call("showMe", {}))).toMatchObject({ code: "busy" });
    expect(hopeless.slept).toEqual([]);
  });

  it("four times at most", async () => {
    const { client, asked } = aClient(noAnswer);
    await failing(client.call("showMe", {}));
    expect(asked).toHaveLength(4);
  });

  it("never what was refused", async () => {
    const { client, asked } = aClient(json(409, aProblem("vm_locked", 409)));
    await failing(client.call("requestAction", { path: { id: "vm_1" }, body: { type: "start" } }));
    expect(asked).toHaveLength(1);
  });
});

it("a value of a path stays in its place, and a query has what was given", async () => {
  const { client, asked } = aClient(json(404, aProblem("vm_not_found", 404)));
  await failing(client.call("showVm", { path: { id: "../../staff?x=1#y" } }));
  await failing(client.call("listVms", { query: { limit: 5, cursor: undefined } }));
  for (const id of ["", ".", ".."])
    expect(await failing(client.call("revokeToken", { path: { id } }))).toMatchObject({
      kind: "usage",
    });
  expect(asked.map(({ url }) => url.href)).toEqual([
    "https://api.example.com/v1/vms/..%2F..%2Fstaff%3Fx%3D1%23y",
    "https://api.example.com/v1/vms?limit=5",
  ]);
  expect(asked[0]?.headers.get("authorization")).toBe("Bearer secret");
});

it.each([
  ["a page of another server", () => new Response("<html>"), "is no JSON"],
  [
    "a redirect",
    () => new Response(null, { status: 302, headers: { location: "https://x.test" } }),
    "sends on to https://x.test",
  ],
  ["an error of a gateway", () => new Response("<h1>", { status: 504 }), "answered 504"],
  ["another document", json(200, { hello: "world" }), "showMe: id: "],
  ["a status that nobody awaits", json(206, {}), "answered 206"],
])("%s is told as what it is", async (_, reply, why) => {
  const failure = await failing(aClient(reply).client.call("showMe", {}));
  expect(failure).toMatchObject({ kind: "unreachable", code: "answer_unreadable" });
  expect(failure.message).toContain(why);
});

it("a refusal keeps its code, its words and its fields, also of a newer server", async () => {
  const problem = {
    ...aProblem("moon_full", 409),
    errors: [{ path: "label", message: "too long" }],
  };
  const failure = await failing(aClient(json(409, problem)).client.call("showMe", {}));
  expect(failure).toMatchObject({
    kind: "refused",
    code: "moon_full",
    message: "it is moon_full",
    more: { request: "req-1", fields: problem.errors },
  });
});

import { createHash } from "node:crypto";
import { runInNewContext } from "node:vm";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { aWorld } from "#test/harness/world.ts";

/* 4b B7: what stands on every answer. */

let cp: ControlPlane;
beforeAll(async () => {
  cp = await startControlPlane();
  await aWorld(cp);
});
afterAll(() => cp.drop());

const ask = (path: string, init: RequestInit = {}) =>
  cp.fetch(new Request(`http://berth.test${path}`, init));

const ON_ALL = {
  "strict-transport-security": "max-age=31536000",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
};
const NOTHING = "default-src 'none'; frame-ancestors 'none'";
const headersOf = (answer: Response, ...names: readonly string[]) =>
  Object.fromEntries(names.map((name) => [name, answer.headers.get(name)]));

test.each<[string, number, RequestInit?]>([
  ["/v1/plans?limit=nonsense", 400],
  ["/v1/vms", 401],
  ["/agent/v1/desired", 401],
  ["/v1/auth/get-session", 404],
  ["/nowhere", 404],
  ["/v1/plans", 405, { method: "DELETE" }],
  ["/v1/orders", 415, { method: "POST", headers: { "content-type": "text/plain" }, body: "x" }],
  ["/healthz", 200],
  ["/", 302],
])(
  "%s (%i) is for this one reader, and no browser does anything with it",
  async (path, status, init) => {
    const answer = await ask(path, init);
    expect(answer.status).toBe(status);
    expect(headersOf(answer, ...Object.keys(ON_ALL))).toEqual(ON_ALL);
    expect(answer.headers.get("cache-control")).toBe("no-store");
    expect(answer.headers.get("content-security-policy")).toBe(NOTHING);
  },
);

test("so do answers to Stripe", async () => {
  for (const method of ["POST", "GET"]) {
    const answer = await cp.webhook(new Request("http://berth.test/webhooks/stripe", { method }));
    expect(headersOf(answer, ...Object.keys(ON_ALL))).toEqual(ON_ALL);
    expect(answer.headers.get("cache-control")).toBe("no-store");
  }
});

describe("what is the same to everybody", () => {
  test.each([
    ["/v1/plans", 5],
    ["/v1/images", 5],
    ["/v1/locations", 5],
    ["/openapi.json", 300],
    ["/docs", 300],
  ])("%s may be kept for %i seconds, and is then asked for by its ETag", async (path, seconds) => {
    const kept = `public, max-age=${seconds}`;
    const first = await ask(path);
    expect(headersOf(first, "cache-control", ...Object.keys(ON_ALL))).toEqual({
      "cache-control": kept,
      ...ON_ALL,
    });
    const etag = first.headers.get("etag") ?? "";
    expect(etag).toMatch(/^(W\/)?"[^"]{10,}"$/);
    const again = await ask(path, { headers: { "if-none-match": etag } });
    expect(again.status).toBe(304);
    expect(await again.text()).toBe("");
    expect(headersOf(again, "cache-control", "etag")).toEqual({ "cache-control": kept, etag });
    const other = await ask(path, { headers: { "if-none-match": '"something-else"' } });
    expect(other.status).toBe(200);
    expect(await other.text()).toBe(await first.text());
  });
});

describe("pages", () => {
  const PAGES = [
    "/docs",
    "/checkout/done",
    "/checkout/cancelled",
    "/account/verify-email",
    "/account/reset-password",
    "/account/change-email",
  ];
  const inner = (html: string, tag: string) =>
    [...html.matchAll(new RegExp(`<${tag}>(.*?)</${tag}>`, "gs"))].map((m) => m[1] ?? "");
  const sourceOf = (text: string) =>
    `'sha256-${createHash("sha256").update(text).digest("base64")}'`;

  test.each(PAGES)(
    "%s says by hash which style and script a browser may use, and has no others",
    async (path) => {
      const answer = await ask(path);
      expect(answer.status).toBe(200);
      const html = await answer.text();
      const policy = Object.fromEntries(
        (answer.headers.get("content-security-policy") ?? "")
          .split("; ")
          .map((directive): [string, string[]] => {
            const [name = "", ...sources] = directive.split(" ");
            return [name, sources];
          }),
      );
      const scripts = inner(html, "script");
      expect(policy).toEqual({
        "default-src": ["'none'"],
        "style-src": inner(html, "style").map(sourceOf),
        ...(scripts.length === 0
          ? {}
          : { "script-src": scripts.map(sourceOf), "connect-src": ["'self'"] }),
        "base-uri": ["'none'"],
        "form-action": ["'none'"],
        "frame-ancestors": ["'none'"],
      });
      // What a policy of hashes would keep a browser from doing.
      expect(html).not.toMatch(
        /<[^>]+\s(style|on\w+)=|<(script|style)[^>]+>|<(link|img|iframe|object)/i,
      );
    },
  );

  test("the script of a mailed link's page sends the secret when its button is pressed, and says what came of it", async () => {
    const html = await (await ask("/account/reset-password")).text();
    const listeners: ((event: object) => Promise<void>)[] = [];
    const said = { textContent: "" };
    const fields: Record<string, object> = {
      password: { value: "a new long password" },
      tokens: { checked: true },
    };
    const form = {
      hidden: false,
      elements: { namedItem: (name: string) => fields[name] ?? null },
      addEventListener: (_: string, listener: (event: object) => Promise<void>) =>
        listeners.push(listener),
    };
    const sent: unknown[] = [];
    runInNewContext(inner(html, "script")[0] ?? "", {
      document: { getElementById: (id: string) => (id === "form" ? form : said) },
      location: { hash: "#the-secret" },
      fetch: async (route: string, init: { body: string }) => {
        sent.push([route, JSON.parse(init.body)]);
        return { ok: true };
      },
    });
    await listeners[0]?.({ preventDefault: () => undefined });
    expect(sent).toEqual([
      [
        "/v1/auth/reset-password",
        { token: "the-secret", newPassword: "a new long password", revokeTokens: true },
      ],
    ]);
    expect(said.textContent).toBe("Done. You can close this page.");
    expect(form.hidden).toBe(true);
  });
});

test("a path of 9 KB makes no answer and no line of the log that long", async () => {
  const answer = await ask(`/${"a".repeat(9000)}`);
  expect(answer.status).toBe(404);
  expect((await answer.text()).length).toBeLessThan(1000);
});

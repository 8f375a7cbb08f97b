import { execFile } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import {
  bundleAgent,
  bundleCli,
  bundleFunctions,
  type Bundle,
  type FunctionBundles,
} from "#cdk/bundle/bundle.ts";
import { leanPackages } from "#cdk/bundle/lean-packages.ts";
import { FUNCTION_NAMES, type FunctionName } from "#cdk/functions.ts";
import { ENTRANCE_HEADER } from "#core/network/entrance-headers.ts";
import { SWEEPS } from "#functions/sweep.ts";
import { Answer, httpEvent, signed, sqsEvent } from "./events.ts";
import { invoke, startLambdaWorld, type LambdaWorld } from "./lambda-world.ts";

const ROOT = path.join(import.meta.dirname, "..", "..");
/** Inside the repository, where the AWS SDK that Lambda brings is found. */
const OUT = path.join(ROOT, ".cache", "test-bundles");

let world: LambdaWorld;
let bundles: FunctionBundles;
let agent: Bundle;
let cli: Bundle;
beforeAll(async () => {
  [world, bundles, agent, cli] = await Promise.all([
    startLambdaWorld(),
    bundleFunctions(OUT),
    bundleAgent(path.join(OUT, "agent")),
    bundleCli(path.join(OUT, "cli")),
  ]);
});
afterAll(() => world.stop());

/** Part 4a's limits. Each later part of the product may add a tenth; who needs more says why in an ADR. */
const BASE_BYTES: Readonly<Record<FunctionName, number>> = {
  api: 700_000,
  "agent-api": 500_000,
  "log-in": 750_000,
  "stripe-webhook": 500_000,
  "billing-events": 500_000,
  "outbox-events": 500_000,
  "mail-events": 300_000,
  sweep: 500_000,
  migrate: 300_000,
  // 6a item 6
  "add-staff": 300_000,
};
/** 4b is one, and 5, and 6a, and 6b, and 7a, which is two: its prices and paying, and its life. */
const LATER_PARTS = 6;
/** ADR 0050: changes that are paid on a page are followed by whoever drops one, too. */
/** And 0053: the sweep and the API each hold all of a move, its drain among it, and of a plan migration that moves (0060). */
const MORE_BYTES: Partial<Record<FunctionName, number>> = { api: 60_000, sweep: 60_000 };
test.each(FUNCTION_NAMES)("the bundle of %s is no larger than it may be", (name) => {
  const most = BASE_BYTES[name] * (1 + LATER_PARTS / 10) + (MORE_BYTES[name] ?? 0);
  expect(bundles[name].bytes).toBeLessThanOrEqual(most);
});

// 6a item 7: ADR 0049 has its figures. 7a adds mails.
test("the command line is one small file, with these packages and no other", async () => {
  expect(cli.bytes).toBeLessThanOrEqual(385_000);
  await expect(`${cli.packages.join("\n")}\n`).toMatchFileSnapshot("packages/cli.txt");
});

test.each(FUNCTION_NAMES)("the bundle of %s holds these packages and no other", async (name) => {
  await expect(`${bundles[name].packages.join("\n")}\n`).toMatchFileSnapshot(
    `packages/${name}.txt`,
  );
});

test("only the function that logs people in holds the accounts' library", () => {
  const holders = FUNCTION_NAMES.filter((name) =>
    bundles[name].packages.some((held) => /better-(auth|call)/.test(held)),
  );
  expect(holders).toEqual(["log-in"]);
});

describe("the bundles, each in a fresh Node with nothing but a Lambda's environment", () => {
  beforeAll(async () => {
    // Twice: the second finds everything done.
    await invoke(bundles.migrate.file, { ...world.env, ...world.migrationEnv }, [{}, {}]);
  });

  // 4b B1
  test.each([
    ["api", "GET", "/healthz"],
    ["agent-api", "GET", "/agent/v1/desired"],
    ["log-in", "GET", "/v1/auth/get-session"],
    ["stripe-webhook", "POST", "/webhooks/stripe"],
  ] as const)("%s serves nobody who does not come through CloudFront", async (name, method, at) => {
    const { answers } = await invoke(bundles[name].file, world.env, [
      httpEvent(method, at, undefined, { [ENTRANCE_HEADER]: "" }),
      httpEvent(method, at, undefined, { [ENTRANCE_HEADER]: "f".repeat(64) }),
    ]);
    const refused = { statusCode: 403, body: { code: "forbidden" } };
    expect(answers.map((a) => Answer.parse(a))).toMatchObject([refused, refused]);
  });

  test("the agents' channel refuses who signs nothing, and serves nothing else", async () => {
    const { answers } = await invoke(bundles["agent-api"].file, world.env, [
      httpEvent("GET", "/agent/v1/desired"),
      httpEvent("POST", "/agent/v1/session"),
      httpEvent("GET", "/v1/plans"),
      httpEvent("POST", "/agent/v1/enroll", { joinToken: "x".repeat(30) }),
    ]);
    expect(answers.map((a) => Answer.parse(a))).toMatchObject([
      { statusCode: 401, body: { code: "unauthenticated" } },
      { statusCode: 401, body: { code: "unauthenticated" } },
      { statusCode: 404, body: { code: "not_found" } },
      { statusCode: 400, body: { code: "invalid_request" } },
    ]);
  });

  test("the API answers, describes itself, and refuses who did not log in, and serves no log-in and no agent", async () => {
    const { answers } = await invoke(bundles.api.file, world.env, [
      httpEvent("GET", "/healthz"),
      httpEvent("GET", "/openapi.json"),
      httpEvent("GET", "/v1/vms"),
      httpEvent("POST", "/v1/auth/sign-in/email", { email: "ada@example.com", password: "x" }),
      httpEvent("GET", "/agent/v1/desired"),
      httpEvent("GET", "/v1/vms", undefined, { cookie: "__Host-berth.session_token=a.b" }),
      httpEvent("TRACE", "/v1/plans"),
      httpEvent("CONNECT", "/v1/orders"),
    ]);
    const [health, openapi, ...refused] = answers.map((a) => Answer.parse(a));
    expect(health).toMatchObject({ statusCode: 200, body: { ok: true, unsentRows: 0 } });
    expect(openapi?.body).toMatchObject({
      openapi: "3.1.0",
      paths: { "/v1/orders": { post: { requestBody: { required: true } } } },
    });
    expect(refused).toMatchObject([
      { statusCode: 401, body: { code: "unauthenticated" } },
      { statusCode: 404, body: { code: "not_found" } },
      { statusCode: 404, body: { code: "not_found" } },
      { statusCode: 401, body: { code: "token_invalid" } },
      { statusCode: 405, body: { code: "method_not_allowed" } },
      { statusCode: 405, body: { code: "method_not_allowed" } },
    ]);
  });

  test("a customer signs up, logs in, turns on a second factor, and is known to the API by the cookie", async () => {
    const account = { email: "ada@example.com", name: "Ada", password: "correct horse" };
    const { email, password } = account;
    /** With the session of the last answer that began one. */
    const then = (method: string, at: string, body?: object) => (answers: readonly unknown[]) => {
      const cookies = answers.flatMap((a) => Answer.parse(a).cookies);
      const session = cookies.findLast((c) => c.startsWith("__Host-berth.session_token="));
      return httpEvent(method, at, body, {
        cookie: session?.split(";")[0] ?? "",
        origin: world.env["BERTH_PUBLIC_URL"] ?? "",
      });
    };
    const { answers } = await invoke(bundles["log-in"].file, world.env, [
      httpEvent("POST", "/v1/auth/sign-up/email", account),
      httpEvent("POST", "/v1/auth/sign-in/email", { email, password: "wrong horse" }),
      httpEvent("POST", "/v1/auth/sign-in/email", { email, password }),
      then("POST", "/v1/auth/two-factor/enable", { password }),
      httpEvent("GET", "/v1/vms"),
      httpEvent("POST", "/v1/auth/sign-in/social", { provider: "google" }),
      httpEvent("GET", "/v1/auth/error"),
    ]);
    expect(answers.map((a) => Answer.parse(a))).toMatchObject([
      { statusCode: 200, body: { user: { email } } },
      { statusCode: 401 },
      { statusCode: 200, body: { user: { email } } },
      { statusCode: 200, body: { totpURI: expect.stringContaining("otpauth://totp/Berth") } },
      { statusCode: 404, body: { code: "not_found" } },
      { statusCode: 404, body: { code: "not_found" } },
      { statusCode: 404, body: { code: "not_found" } },
    ]);
    const atTheApi = await invoke(bundles.api.file, world.env, [
      then("GET", "/v1/vms")(answers),
      then("POST", "/v1/tokens", { name: "ci", scopes: ["vms:read"] })(answers),
    ]);
    expect(atTheApi.answers.map((a) => Answer.parse(a))).toMatchObject([
      { statusCode: 200, body: { items: [] } },
      { statusCode: 201, body: { secret: expect.stringMatching(/^berth_/) } },
    ]);
  });

  test("the webhook stores a signed delivery and rings the worker, and refuses a forged one", async () => {
    const delivery = JSON.stringify({
      id: "evt_bundle",
      object: "event",
      type: "invoice.paid",
      data: { object: { id: "in_1", object: "invoice" } },
    });
    const { answers } = await invoke(bundles["stripe-webhook"].file, world.env, [
      httpEvent("POST", "/webhooks/stripe", delivery, { "stripe-signature": signed(delivery) }),
      httpEvent("POST", "/webhooks/stripe", delivery, { "stripe-signature": "t=1,v1=00" }),
    ]);
    expect(answers.map((a) => Answer.parse(a).statusCode)).toEqual([200, 400]);
    expect(world.sent).toContainEqual({
      queueUrl: world.env["BERTH_BILLING_EVENTS_URL"],
      body: { source: "stripe", messageId: "evt_bundle" },
    });
  });

  test.each(["billing-events", "outbox-events"] as const)(
    "%s asks for a message again that it cannot read",
    async (name) => {
      const { answers } = await invoke(bundles[name].file, world.env, [sqsEvent("not json")]);
      expect(answers).toEqual([{ batchItemFailures: [{ itemIdentifier: "m1" }] }]);
    },
  );

  // 6a item 6
  test("who may invoke functions makes the first member of staff, and no line of log has the link", async () => {
    const { answers, output } = await invoke(bundles["add-staff"].file, world.env, [
      { email: "Grace@Staff.example", role: "owner" },
      { email: "grace", role: "king" },
    ]);
    expect(answers).toMatchObject([
      { ok: true, link: expect.stringMatching(/^https:\/\/api\.example\.com\/account\/.+#.{40}/) },
      { ok: false, code: "invalid_request" },
    ]);
    expect(output).not.toContain("/account/");
    expect(output).not.toContain("staff.example");
  });

  test("the sweep does everything it lists", async () => {
    const { output } = await invoke(bundles.sweep.file, world.env, [{}]);
    const done = output
      .split("\n")
      .filter((line) => line.includes('"message":"sweep.'))
      .map((line) =>
        z.object({ message: z.string(), outcome: z.literal("ok") }).parse(JSON.parse(line)),
      )
      .map(({ message }) => message);
    expect(done).toEqual(["measure", ...Object.keys(SWEEPS)].map((name) => `sweep.${name}`));
    // 5 item 5: nobody scrapes a function; CloudWatch makes metrics of such lines.
    expect(output).toMatch(/^\{"_aws":\{.*"berth_hosts_silent":0\}$/m);
  });

  test("the agent says its version and its options", async () => {
    const run = promisify(execFile);
    const version = await run(process.execPath, [agent.file, "--version"]);
    expect(version.stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
    expect(await readdir(agent.folder)).toContain("agent.ps1");
  });
});

describe("what is left out", () => {
  test("every call that the adapters make exists on the lean Stripe client", async () => {
    const file = path.join(OUT, "lean-stripe.mjs");
    await build({
      stdin: {
        contents: `import Stripe from "stripe"; export const stripe = new Stripe("sk_test_x");`,
        resolveDir: ROOT,
      },
      bundle: true,
      platform: "node",
      format: "esm",
      outfile: file,
      plugins: [leanPackages],
    });
    const lean: { stripe: object } = await import(pathToFileURL(file).href);
    const calls = await stripeCalls();
    expect(calls.length).toBeGreaterThan(5);
    for (const call of calls)
      expect(typeof at(lean.stripe, call.split(".")), `stripe.${call}()`).toBe("function");
    expect(() => at(lean.stripe, ["issuing", "cards", "create"])).toThrow(/was left out/);
  });
});

/** `stripe.checkout.sessions.create(` and the like, in all adapters. */
async function stripeCalls(): Promise<string[]> {
  const folder = path.join(ROOT, "adapters");
  const sources = await Promise.all(
    (await readdir(folder))
      .filter((name) => !name.endsWith(".test.ts"))
      .map((name) => readFile(path.join(folder, name), "utf8")),
  );
  const found = sources.flatMap((s) => [...s.matchAll(/\bstripe\.((?:\w+\.)*\w+)\(/g)]);
  return [...new Set(found.map((m) => m[1] ?? ""))];
}

function at(object: unknown, keys: readonly string[]): unknown {
  return keys.reduce<unknown>(
    (o, key) => (o instanceof Object ? Reflect.get(o, key) : undefined),
    object,
  );
}

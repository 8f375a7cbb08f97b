import { request } from "node:http";
import { connect } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { Problem, PROBLEM_TYPE } from "#core/contracts/problem.ts";
import { openStack, type TestStack } from "#test/harness/stack.ts";

let stack: TestStack;
/** Each path with the methods that it takes. */
let paths: ReadonlyMap<string, readonly string[]>;
beforeAll(async () => {
  stack = await openStack();
  const Doc = z.object({ paths: z.record(z.string(), z.record(z.string(), z.unknown())) });
  const document = Doc.parse(await (await fetch(`${stack.apiUrl}/openapi.json`)).json());
  paths = new Map(
    Object.entries(document.paths).map(([path, item]) => [
      path.replaceAll(/\{\w+\}/g, "x"),
      Object.keys(item).map((method) => method.toUpperCase()),
    ]),
  );
});
afterAll(() => stack.close());

type Answer = { status: number; allow: string | undefined; type: string; code: string };

/** Sends a method that Node's client can send; `fetch` refuses some of them. */
const ask = (method: string, path: string) =>
  new Promise<Answer>((resolve, reject) => {
    request(`${stack.apiUrl}${path}`, { method, agent: false }, (answer) => {
      let text = "";
      answer.setEncoding("utf8").on("data", (part: string) => (text += part));
      answer.on("end", () =>
        resolve({
          status: answer.statusCode ?? 0,
          allow: answer.headers.allow,
          type: answer.headers["content-type"] ?? "",
          code: text === "" ? "" : Problem.parse(JSON.parse(text)).code,
        }),
      );
    })
      .once("error", reject)
      .end();
  });

/** Writes a request line by hand, and reads the answer to the end of the connection. */
const askRaw = (line: string) =>
  new Promise<Answer>((resolve, reject) => {
    const { hostname, port } = new URL(stack.apiUrl);
    const socket = connect(Number(port), hostname, () =>
      socket.write(`${line} HTTP/1.1\r\nHost: ${hostname}\r\nConnection: close\r\n\r\n`),
    );
    let text = "";
    socket.setEncoding("utf8").on("data", (part: string) => (text += part));
    socket.once("error", reject);
    socket.once("end", () => {
      const [head = "", body = ""] = text.split("\r\n\r\n");
      const header = (name: string) => new RegExp(`^${name}: (.*)$`, "im").exec(head)?.[1];
      resolve({
        status: Number(head.split(" ")[1]),
        allow: header("allow"),
        type: header("content-type") ?? "",
        code: body === "" ? "" : Problem.parse(JSON.parse(body)).code,
      });
    });
  });

const allowed = (methods: readonly string[]) =>
  ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"].filter(
    (method) => methods.includes(method) || (method === "HEAD" && methods.includes("GET")),
  );
const refusal = (methods: readonly string[]): Answer => ({
  status: 405,
  allow: allowed(methods).join(", "),
  type: PROBLEM_TYPE,
  code: "method_not_allowed",
});
const NO_ROUTE: Answer = { status: 404, allow: undefined, type: PROBLEM_TYPE, code: "not_found" };

test("every path answers each method that it does not take with 405, and with what it takes", async () => {
  expect(paths.size).toBeGreaterThan(35);
  const methods = [
    "GET",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "OPTIONS",
    "TRACE",
    "PROPFIND",
    "QUERY",
  ];
  const answers: Record<string, Answer> = {};
  const wanted: Record<string, Answer> = {};
  for (const [path, takes] of paths)
    for (const method of methods.filter((m) => !takes.includes(m))) {
      answers[`${method} ${path}`] = await ask(method, path);
      wanted[`${method} ${path}`] = refusal(takes);
    }
  expect(answers).toEqual(wanted);
});

test.each(["TRACE", "OPTIONS", "PUT"])("%s of a path that is not there is 404", async (method) => {
  expect(await ask(method, "/v1/nothing")).toEqual(NO_ROUTE);
});

test.each(["CONNECT", "TRACK", "track", "get", "BREW", "TRACE"])(
  "%s, written by hand, is 405 on a path and 404 on none",
  async (method) => {
    expect(await askRaw(`${method} /v1/plans`)).toEqual(refusal(["GET"]));
    expect(await askRaw(`${method} /v1/orders?x=1`)).toEqual(refusal(["POST"]));
    expect(await askRaw(`${method} /v1/nothing`)).toEqual(NO_ROUTE);
  },
);

test("CONNECT to an address, as of a proxy, is 404", async () => {
  expect(await askRaw("CONNECT example.com:443")).toEqual(NO_ROUTE);
});

test.each(["GET", "DELETE", "TRACE"])("Stripe's webhook answers %s with 405", async (method) => {
  expect(await ask(method, "/webhooks/stripe")).toEqual(refusal(["POST"]));
});

test.each(["GARBAGE", "GET /v1/plans HTTP/9.9\r\nX:"])(
  "%j, which is no HTTP, is 400 as before",
  async (line) => {
    expect((await askRaw(line)).status).toBe(400);
  },
);

test("HEAD is answered where GET is, without a body", async () => {
  expect(await ask("HEAD", "/v1/plans")).toMatchObject({ status: 200, code: "" });
});

test("none of it was an error of ours", () => {
  expect(stack.statuses.filter((status) => status >= 500)).toEqual([]);
  expect(stack.errors).toEqual([]);
});

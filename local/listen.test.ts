import { Agent, request, type IncomingMessage } from "node:http";
import { connect } from "node:net";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import type { ServerType } from "@hono/node-server";
import { Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { afterEach, describe, expect, test } from "vitest";
import { closeServer, listen } from "./listen.ts";

const LIMIT = 128 * 1024;
const open: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).toReversed()) await close();
});

/** Refuses as the product does: some before the body is looked at, some in the middle of it. */
async function served(linger?: {
  ms: number;
  bytes: number;
}): Promise<{ url: string; port: number }> {
  const app = new Hono();
  app.use("/limited", bodyLimit({ maxSize: LIMIT, onError: (c) => c.text("too large", 413) }));
  app.post("/limited", async (c) => c.text(String((await c.req.text()).length)));
  app.post("/unread", (c) => c.text("who are you?", 401));
  app.delete("/gone", (c) => c.body(null, 204));
  const server: ServerType = await listen(app.fetch, 0, linger);
  open.push(() => closeServer(server));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  const { port } = address;
  return { url: `http://127.0.0.1:${port}`, port };
}

/** A connection of its own, so that what is written when is known. */
async function dialled(port: number) {
  const socket = connect(port, "127.0.0.1");
  const failures: Error[] = [];
  socket.on("error", (error) => failures.push(error));
  open.push(() => void socket.destroy());
  await once(socket, "connect");
  let got = "";
  socket.setEncoding("utf8");
  socket.on("data", (chunk: string) => (got += chunk));
  const until = async (found: RegExp) => {
    while (!found.test(got)) await once(socket, "data");
    return got;
  };
  const happened = (event: string) =>
    new Promise<void>((resolve) => void socket.once(event, () => resolve()));
  return { socket, until, failures, ended: happened("end"), closed: happened("close") };
}

const large = "x".repeat(3 * LIMIT);
const REFUSED = [
  { name: "a body that is too large, with its length", path: "/limited", chunked: false, is: 413 },
  { name: "a body that is too large, in chunks", path: "/limited", chunked: true, is: 413 },
  { name: "a body that nobody looks at", path: "/unread", chunked: false, is: 401 },
  { name: "a body that nobody looks at, in chunks", path: "/unread", chunked: true, is: 401 },
  { name: "a path that is not there", path: "/nowhere", chunked: true, is: 404 },
];

describe.each(REFUSED)("after $name", ({ path, chunked, is }) => {
  test("fetch's next requests are answered", async () => {
    const { url } = await served();
    for (let n = 0; n < 30; n++) {
      const body = chunked ? new Blob([large]).stream() : large;
      const init = { method: "POST", body, duplex: "half" } as const;
      const refused = await fetch(`${url}${path}`, init);
      expect(refused.status).toBe(is);
      await refused.text();
      const next = await fetch(`${url}/limited`, { method: "POST", body: "hello" });
      expect(await next.text()).toBe("5");
    }
  });

  test("a keep-alive agent's next requests are answered", async () => {
    const { url } = await served();
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    open.push(() => agent.destroy());
    const post = async (to: string, body: string) => {
      const headers = chunked
        ? { "transfer-encoding": "chunked" }
        : { "content-length": body.length };
      const answer = await new Promise<IncomingMessage>((resolve, reject) => {
        request(`${url}${to}`, { agent, method: "POST", headers }, resolve)
          .once("error", reject)
          .end(body);
      });
      return { status: answer.statusCode, text: await text(answer) };
    };
    for (let n = 0; n < 30; n++) {
      expect((await post(path, large)).status).toBe(is);
      expect(await post("/limited", "hello")).toEqual({ status: 200, text: "5" });
    }
  });
});

test("who is refused while it sends is told that the connection ends, and may send the rest", async () => {
  const { port } = await served();
  const { socket, until, failures, ended } = await dialled(port);
  const size = 40 * LIMIT;
  socket.write(`POST /limited HTTP/1.1\r\nHost: a\r\nContent-Length: ${size}\r\n\r\n`);
  const answer = await until(/too large$/);
  expect(answer).toMatch(/^HTTP\/1\.1 413 .*\r\nconnection: close\r\n/is);
  expect(answer).toMatch(/\r\ncontent-length: 9\r\n/i);
  socket.write("x".repeat(size));
  await ended;
  expect(failures).toEqual([]);
});

test("an answer without a body is given when the rest was sent", async () => {
  const { port } = await served();
  const { socket, until, ended } = await dialled(port);
  socket.write("DELETE /gone HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe");
  socket.write("llo");
  expect(await until(/\r\n\r\n$/)).toMatch(/^HTTP\/1\.1 204 /);
  socket.end();
  await ended;
});

test("a body that has arrived unread leaves the connection open for the next", async () => {
  const { port } = await served();
  const { socket, until } = await dialled(port);
  const unread = "POST /unread HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
  socket.write(unread + unread.replace("/unread", "/limited"));
  const both = await until(/\r\n\r\n5$/);
  expect(both).toMatch(/^HTTP\/1\.1 401 /);
  expect(both).not.toMatch(/connection: close/i);
});

test.each([
  { name: "too long", linger: { ms: 20, bytes: 1e9 }, rest: "x" },
  { name: "too much", linger: { ms: 1e9, bytes: 1000 }, rest: "x".repeat(2000) },
])("who goes on sending for $name is cut off", async ({ linger, rest }) => {
  const { port } = await served(linger);
  const { socket, until, closed } = await dialled(port);
  socket.write("POST /unread HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\nx");
  expect(await until(/who are you\?$/)).toMatch(/^HTTP\/1\.1 401 /);
  socket.write(rest);
  await closed;
});

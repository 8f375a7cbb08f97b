import { STATUS_CODES, type Server } from "node:http";
import type { Duplex } from "node:stream";
import { heldMethod } from "#functions/methods.ts";

type Fetch = (request: Request) => Response | Promise<Response>;

/** The first line of a request that Node's parser does not take (RFC 9112 §3). */
const REQUEST_LINE = /^([!#$%&'*+.^_`|~0-9A-Za-z-]{1,40}) (\/\S{0,4000}) HTTP\/1\.[01]\r?\n/;

/**
 * Lets a server answer every method, also one that no `Request` holds or that Node does not know: by `fetch`, as any
 * method that the path does not take. Call it before the server listens. API Gateway does the same on AWS.
 */
export function takeEveryMethod(server: Server, fetch: Fetch): void {
  server.prependListener("request", (request) => {
    if (request.method !== undefined) request.method = heldMethod(request.method);
  });
  const answer = async (socket: Duplex, method: string, target: string) => {
    const url = URL.parse(target.startsWith("/") ? target : `/${target}`, "http://localhost");
    // Never by its own name: Node refuses a `get`, of which a `Request` would make a GET.
    const asked = new Request(url ?? "http://localhost/", { method: `X-${method}` });
    socket.end(await asText(await fetch(asked)));
  };
  // Node hands these over without a response to write to, and closes the connection of whom nobody answers.
  server.on("connect", (request, socket) => {
    socket.on("error", () => socket.destroy());
    answer(socket, "CONNECT", request.url ?? "/").catch(() => socket.destroy());
  });
  server.on("clientError", (error: Error & { code?: string; rawPacket?: Buffer }, socket) => {
    const line =
      error.code === "HPE_INVALID_METHOD"
        ? REQUEST_LINE.exec(error.rawPacket?.toString("latin1") ?? "")
        : null;
    const [, method, target] = line ?? [];
    if (!socket.writable || error.code === "ECONNRESET") return void socket.destroy();
    if (method === undefined || target === undefined)
      return void socket.end("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
    answer(socket, method, target).catch(() => socket.destroy());
  });
}

async function asText(answer: Response): Promise<Buffer> {
  const body = Buffer.from(await answer.arrayBuffer());
  const headers = new Headers(answer.headers);
  headers.set("content-length", String(body.length));
  headers.set("connection", "close");
  const head = [
    `HTTP/1.1 ${answer.status} ${STATUS_CODES[answer.status] ?? ""}`,
    ...[...headers].map(([name, value]) => `${name}: ${value}`),
  ];
  return Buffer.concat([Buffer.from(`${head.join("\r\n")}\r\n\r\n`, "latin1"), body]);
}

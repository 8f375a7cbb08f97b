import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { setImmediate as turn } from "node:timers/promises";

export type Asked = Readonly<{
  url: string;
  range: string | undefined;
  ifRange: string | undefined;
  encoding: string | undefined;
}>;
export type Behave = (request: IncomingMessage, response: ServerResponse, nth: number) => void;

/** An HTTP server that answers as a test says. `next` is who answers from then on. */
export async function startImageServer(first: Behave) {
  const asked: Asked[] = [];
  let behave = first;
  const server = createServer((request, response) => {
    const { range, "if-range": ifRange, "accept-encoding": encoding } = request.headers;
    asked.push({
      url: request.url ?? "",
      range,
      ifRange: typeof ifRange === "string" ? ifRange : undefined,
      encoding: typeof encoding === "string" ? encoding : undefined,
    });
    behave(request, response, asked.length);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("it listens on no port");
  const { port } = address;
  return {
    url: `http://127.0.0.1:${port}/images/debian.qcow2?secret=s3cret`,
    asked,
    next: (then: Behave) => {
      behave = then;
    },
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** As a good server of files does: ranges, and a tag by which they are asked for. */
export const serveFile =
  (bytes: Buffer, etag = '"one"'): Behave =>
  (request, response) => {
    const { range, "if-range": ifRange } = request.headers;
    const from = /^bytes=(\d+)-$/.exec(range ?? "")?.[1];
    if (from === undefined || (ifRange !== undefined && ifRange !== etag)) {
      response.writeHead(200, { "content-length": bytes.length, etag });
      response.end(bytes);
    } else if (Number(from) >= bytes.length) {
      response.writeHead(416, { "content-range": `bytes */${bytes.length}` });
      response.end();
    } else {
      response.writeHead(206, {
        "content-range": `bytes ${from}-${bytes.length - 1}/${bytes.length}`,
        "content-length": bytes.length - Number(from),
        etag,
      });
      response.end(bytes.subarray(Number(from)));
    }
  };

/** Promises all, and cuts the connection once the first bytes, so many, have arrived where they are kept. */
export const cutAfter =
  (bytes: Buffer, sent: number, arrived: () => Promise<number>, etag = '"one"'): Behave =>
  (_, response) => {
    response.writeHead(200, { "content-length": bytes.length, etag });
    response.write(bytes.subarray(0, sent));
    const cut = async () => {
      while ((await arrived()) < sent) await turn();
      response.destroy();
    };
    void cut();
  };

import { once } from "node:events";
import { access, mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, expect, test } from "vitest";
import { FORWARDED, type Forwarded, type LiveSockets } from "#host-agent/drivers/move-calls.ts";
import { connectForwarded, type ForwardedSockets, listenForwarded } from "./forward-sockets.ts";

let folder: string;
let source: LiveSockets;
let destination: LiveSockets;
const servers: ReturnType<typeof createServer>[] = [];
let forwarded: ForwardedSockets | null;
const failures: [Forwarded, string][] = [];
const failed = (kind: Forwarded, error: unknown) => void failures.push([kind, String(error)]);

const socketsIn = (end: string): LiveSockets => ({
  libvirt: path.join(folder, `${end}.libvirt`),
  qemu: path.join(folder, `${end}.qemu`),
  nbd: path.join(folder, `${end}.nbd`),
});

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "berth-forward-"));
  [source, destination] = [socketsIn("source"), socketsIn("destination")];
  forwarded = null;
  failures.length = 0;
});
afterEach(async () => {
  await forwarded?.close();
  for (const server of servers.splice(0)) server.close();
  await rm(folder, { recursive: true, force: true });
});

/** Something at the destination that listens on a socket. */
async function served(kind: Forwarded, serve: (socket: Socket) => void): Promise<void> {
  const server = createServer({ allowHalfOpen: true }, serve).listen(destination[kind]);
  servers.push(server);
  await once(server, "listening");
}
const listen = async () =>
  (forwarded = await listenForwarded(
    source,
    (kind) => connectForwarded(destination, kind),
    failed,
  ));

/** A client that hangs up when the other side does, as hypervisors do; `closed` comes true however it ends. */
function client(kind: Forwarded) {
  const socket = connect(source[kind]).on("error", () => undefined);
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  return { socket: socket.resume(), closed };
}

test("each socket leads to its own at the other end, for several at once, both ways", async () => {
  for (const kind of FORWARDED)
    await served(
      kind,
      (socket) => void text(socket).then((said) => socket.end(`${kind}: ${said}`)),
    );
  await listen();
  const answers = await Promise.all(
    [...FORWARDED, ...FORWARDED].map(async (kind, n) => {
      const socket = await connectForwarded(source, kind);
      // The answer comes after this half has ended.
      socket.end(`${n} `.repeat(100_000));
      return text(socket);
    }),
  );
  expect(answers).toEqual(
    [...FORWARDED, ...FORWARDED].map((kind, n) => `${kind}: ${`${n} `.repeat(100_000)}`),
  );
  expect(failures).toEqual([]);
});

test("a connection that breaks at one end breaks at the other", async () => {
  const arrived = Promise.withResolvers<Socket>();
  await served("qemu", arrived.resolve);
  await listen();
  const near = client("qemu");
  near.socket.write("x");
  (await arrived.promise).destroy();
  await near.closed;
  await forwarded?.close();
  expect(near.socket.destroyed).toBe(true);
});

test("where nothing listens at the other end, whoever connects is hung up on, and it is told", async () => {
  await listen();
  await client("nbd").closed;
  expect(failures).toEqual([["nbd", expect.stringContaining("ENOENT")]]);
});

test("closed, it has ended every connection and left no socket", async () => {
  const arrived = Promise.withResolvers<Socket>();
  await served("qemu", (socket) => arrived.resolve(socket.on("error", () => undefined).resume()));
  await listen();
  const near = client("qemu");
  near.socket.write("x");
  await arrived.promise;
  await forwarded?.close();
  await near.closed;
  for (const kind of FORWARDED)
    await expect(access(source[kind])).rejects.toMatchObject({ code: "ENOENT" });
  expect(failures).toEqual([]);
});

test("what an agent that was killed left in its place is no hindrance", async () => {
  await writeFile(source.libvirt, "");
  await served("libvirt", (socket) => socket.end("hello"));
  await listen();
  expect(await text(connect(source.libvirt))).toBe("hello");
});

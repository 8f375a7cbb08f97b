import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import type { Duplex } from "node:stream";
import { text } from "node:stream/consumers";
import {
  connect as connectTls,
  createServer as createTlsServer,
  getCACertificates,
  setDefaultCACertificates,
  type ConnectionOptions,
} from "node:tls";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Clock } from "#core/ports.ts";
import { eventually, randomIds, realClock } from "#test/drivers/builders.ts";
import { portOf, someBytes, sumOf, turns } from "#test/drivers/move-stream.ts";
import { createVirtualClock, type VirtualClock } from "#test/drivers/virtual-clock.ts";
import { connectTo, createMoveServer, type MoveHandler, type MoveServer } from "./channel.ts";
import { receiveDisk } from "./receive-disk.ts";
import { sendDisk } from "./send-disk.ts";

const HOST = "127.0.0.1";
const MOVE = randomIds.newId();
const KEY = someBytes(32);
const coded = (code: string) => expect.objectContaining({ code });

const PSK: ConnectionOptions = {
  host: HOST,
  minVersion: "TLSv1.3",
  ciphers: "TLS_AES_128_GCM_SHA256",
  ca: [],
};

let life: AbortController;
let logged: string[];
let keys: Map<string, Buffer>;
let handlers: Map<string, MoveHandler>;
let server: MoveServer;
beforeEach(() => {
  life = new AbortController();
  logged = [];
  keys = new Map([[MOVE, KEY]]);
  handlers = new Map();
});
afterEach(async () => {
  life.abort();
  await server.close();
});

const note = (event: string, fields: object) =>
  void logged.push(`${event} ${JSON.stringify(fields)}`);

async function listen(clock: Clock = realClock): Promise<void> {
  server = await createMoveServer({
    listen: { host: HOST, port: 0 },
    keyOf: (moveId) => keys.get(moveId) ?? null,
    handlerOf: (moveId, kind) => handlers.get(`${moveId} ${kind}`) ?? null,
    log: { info: note, error: note },
    clock,
    signal: life.signal,
  });
}

const dial = (over: Partial<Parameters<typeof connectTo>[0]> = {}) =>
  connectTo({
    host: HOST,
    port: server.port,
    moveId: MOVE,
    key: KEY,
    kind: "disk",
    clock: realClock,
    signal: life.signal,
    ...over,
  });

/** As `dial` does, and then what it says is the test's. */
const dialTls = () =>
  connectTls({ ...PSK, port: server.port, pskCallback: () => ({ psk: KEY, identity: MOVE }) });

/** Says back what it hears. */
const echo: MoveHandler = async (channel) => {
  for await (const chunk of channel) await new Promise((resolve) => channel.write(chunk, resolve));
};
/** Holds the channel until it is closed, and gives it to the test. */
function holding() {
  const held: Duplex[] = [];
  const handler: MoveHandler = async (channel) => {
    held.push(channel);
    channel.resume();
    await overOf(channel);
  };
  return { held, handler };
}

async function dialPlain(): Promise<Socket> {
  const socket = connect(server.port, HOST);
  socket.on("error", () => undefined);
  await once(socket, "connect");
  return socket;
}

/** Why it is over, once it is. */
const overOf = (channel: Duplex): Promise<Error | null> =>
  new Promise((resolve) => {
    channel.on("error", () => undefined);
    channel.once("close", () => resolve(channel.errored));
  });

/** Lets time go by in steps, with the sockets' events in between. */
async function pass(clock: VirtualClock, ms: number): Promise<void> {
  for (let at = 0; at < ms; at += 1000) {
    await clock.advance(1000);
    await turns(5);
  }
}

describe("who has a move's key", () => {
  test("is connected with what its move has for that kind, by TLS 1.3", async () => {
    handlers.set(`${MOVE} nbd`, echo);
    await listen();
    const channel = await dial({ kind: "nbd" });
    expect(channel).toMatchObject({ encrypted: true });
    channel.end("said with the key");
    expect(await text(channel)).toBe("said with the key");
  });

  test("what it says with its first line, before it was answered, is not lost", async () => {
    handlers.set(`${MOVE} disk`, echo);
    await listen();
    const socket = dialTls();
    await once(socket, "secureConnect");
    socket.end("berth-move/1 disk\nat once");
    expect(await text(socket)).toBe("admitted\nat once");
  });

  test("several moves and streams share the port, and each is its own move's", async () => {
    const other = { moveId: randomIds.newId(), key: someBytes(32) };
    keys.set(other.moveId, other.key);
    await listen();
    for (const moveId of [MOVE, other.moveId])
      for (const kind of ["libvirt", "qemu"])
        handlers.set(
          `${moveId} ${kind}`,
          async (channel) => void channel.write(`${moveId} ${kind}`),
        );
    for (const who of [{}, other])
      for (const kind of ["libvirt", "qemu"] as const)
        expect(await text(await dial({ ...who, kind }))).toBe(
          `${who === other ? other.moveId : MOVE} ${kind}`,
        );
  });

  test("is refused what its move has no use for, and too much of what it has", async () => {
    const { held, handler } = holding();
    handlers.set(`${MOVE} nbd`, handler);
    await listen();
    await expect(dial({ kind: "disk" })).rejects.toThrow("refused: kind");
    for (let n = 0; n < 12; n++) await dial({ kind: "nbd" });
    await expect(dial({ kind: "nbd" })).rejects.toThrow("refused: busy");
    held[0]?.destroy();
    await eventually("there is room again", () => dial({ kind: "nbd" }).catch(() => null));
  });

  test.each(["berth-move/2 disk", "berth-move/1 shell", "GET / HTTP/1.1"])(
    "and says what is not known is refused: %s",
    async (line) => {
      handlers.set(`${MOVE} disk`, echo);
      await listen();
      const socket = dialTls();
      await once(socket, "secureConnect");
      socket.write(`${line}\n`);
      expect(await text(socket)).toMatch(/^refused (version|kind)\n$/);
    },
  );

  test("and says a line without an end is cut off", async () => {
    await listen();
    const socket = dialTls();
    socket.on("error", () => undefined);
    await once(socket, "secureConnect");
    socket.write("x".repeat(1000));
    await once(socket, "close");
    expect(logged).toEqual([expect.stringContaining('"code":"bad_frame"')]);
  });

  test("sends a disk through it", async () => {
    const folder = await mkdtemp(path.join(tmpdir(), "berth-move-"));
    try {
      const [from, to] = [path.join(folder, "from"), path.join(folder, "to")];
      const bytes = someBytes(300_000);
      await writeFile(from, bytes);
      const ends = { clock: realClock, signal: life.signal, progress: () => undefined };
      const received = Promise.withResolvers<unknown>();
      handlers.set(`${MOVE} disk`, async (channel) =>
        received.resolve(
          await receiveDisk({ ...ends, channel, path: to, attempt: "a1", mostBytes: 1e6 }),
        ),
      );
      await listen();
      const sent = await sendDisk({
        ...ends,
        channel: await dial(),
        path: from,
        mbitPerSecond: 1e6,
      });
      expect(sent).toEqual({ bytes: 300_000, sha256: sumOf(bytes) });
      expect(await received.promise).toEqual(sent);
      expect(await readFile(to)).toEqual(bytes);
      expect(logged).toEqual([]);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

describe("who has none", () => {
  const { held, handler } = holding();
  beforeEach(() => handlers.set(`${MOVE} disk`, handler));

  test.each([
    ["another key", { key: someBytes(32) }],
    ["a move that is not known", { moveId: randomIds.newId() }],
    ["a key that is too short", { key: KEY.subarray(1) }],
  ])("has no way in: %s", async (_, over) => {
    await listen();
    await expect(dial(over)).rejects.toEqual(coded("not_admitted"));
    expect(held).toEqual([]);
  });

  test("a key of the host's own that is too short is none", async () => {
    keys.set(MOVE, KEY.subarray(16));
    await listen();
    await expect(dial({ key: KEY.subarray(16) })).rejects.toEqual(coded("not_admitted"));
  });

  test("a key that is over is none, though its last session was kept", async () => {
    handlers.set(`${MOVE} nbd`, echo);
    await listen();
    const first = dialTls();
    let session: Buffer | undefined;
    first.on("session", (ticket) => (session = ticket));
    first.end("berth-move/1 nbd\nonce");
    expect(await text(first)).toBe("admitted\nonce");
    keys.clear();
    expect(session).toBeInstanceOf(Buffer);
    const again = connectTls({ ...PSK, port: server.port, ...(session && { session }) });
    await expect(once(again, "secureConnect")).rejects.toThrow("handshake failure");
    await expect(dial()).rejects.toEqual(coded("not_admitted"));
  });

  test.each(["GET / HTTP/1.1\r\n\r\n", "\u0016\u0003\u0001\u00ff\u00ff", "berth-move/1 disk\n"])(
    "speaks in the clear, and is let go of: %j",
    async (words) => {
      const clock = createVirtualClock();
      await listen(clock);
      const socket = await dialPlain();
      socket.write(words, "latin1");
      socket.resume();
      const closed = once(socket, "close");
      await pass(clock, 10_000);
      await closed;
      expect(held).toEqual([]);
    },
  );

  test("a client that says a byte now and then is let go of after ten seconds", async () => {
    const clock = createVirtualClock();
    await listen(clock);
    const socket = await dialPlain();
    const words = Buffer.from("160301010001", "hex");
    socket.resume();
    const closed = once(socket, "close");
    for (const word of words) {
      socket.write(Buffer.of(word));
      await pass(clock, 1000);
    }
    expect(socket.destroyed).toBe(false);
    await pass(clock, 4000);
    await closed;
    expect(held).toEqual([]);
  });

  test("a client that has the key, and does not say what for, is let go of as soon", async () => {
    const clock = createVirtualClock();
    await listen(clock);
    const socket = dialTls();
    socket.on("error", () => undefined);
    await once(socket, "secureConnect");
    const closed = once(socket, "close");
    await pass(clock, 10_000);
    await closed;
    expect(held).toEqual([]);
  });

  test("hundreds who say nothing keep nobody out", async () => {
    handlers.set(`${MOVE} nbd`, echo);
    await listen(createVirtualClock());
    for (let n = 0; n < 200; n++) await dialPlain();
    const channel = await dial({ kind: "nbd" });
    channel.end("in");
    expect(await text(channel)).toBe("in");
  });
});

/** For this machine, signed by itself, with its key. It is no secret of anybody. */
const CERTIFIED = `-----BEGIN CERTIFICATE-----
MIIBjzCCATagAwIBAgIUHN8kbRlO3XtiQqBerMJA5yoKpngwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJMTI3LjAuMC4xMCAXDTI2MTEzMDA3NTcxM1oYDzIxMjYxMTA2
MDc1NzEzWjAUMRIwEAYDVQQDDAkxMjcuMC4wLjEwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAASD5l9CgwWmMs/GXQxUXLRY/9cvFpeu/Hy2x+XrrWayPF0n4DHDLe4y
EQq5lZYG11hPNGl8Z8Ty646FVJKR9sSjo2QwYjAdBgNVHQ4EFgQUzyp2YJppz9ac
QKuXUmzw8c56Qp0wHwYDVR0jBBgwFoAUzyp2YJppz9acQKuXUmzw8c56Qp0wDwYD
VR0TAQH/BAUwAwEB/zAPBgNVHREECDAGhwR/AAABMAoGCCqGSM49BAMCA0cAMEQC
IBmGsCkPN+kL4TQnWzTho+gETtHzHWjSj8CXUxe4VeelAiAAvQ7EpGhBzlqXctwT
YVbWwDKtE+4uYxlsN+eKAM4R7A==
-----END CERTIFICATE-----
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgLvjvp9ziC1g7jQfo
nsWVX5Oma1fKiZSMtBzmXWSAxamhRANCAASD5l9CgwWmMs/GXQxUXLRY/9cvFpeu
/Hy2x+XrrWayPF0n4DHDLe4yEQq5lZYG11hPNGl8Z8Ty646FVJKR9sSj
-----END PRIVATE KEY-----
`;

describe("a client", () => {
  beforeEach(() => listen());

  test("that finds nobody says so", async () => {
    await server.close();
    await expect(dial()).rejects.toEqual(coded("unreachable"));
  });

  test("gives up on one who accepts and says nothing", async () => {
    const clock = createVirtualClock();
    const silent = createServer((socket) => socket.resume());
    silent.listen(0, HOST);
    await once(silent, "listening");
    const dialled = dial({ port: portOf(silent), clock }).catch((error: unknown) => error);
    await once(silent, "connection");
    await pass(clock, 10_000);
    expect(await dialled).toEqual(coded("unreachable"));
    silent.close();
    await once(silent, "close");
  });

  test("goes to nobody who has a certificate in the key's place, though this machine trusts it", async () => {
    const trusted = getCACertificates("default");
    const other = createTlsServer(
      { key: CERTIFIED, cert: CERTIFIED, minVersion: "TLSv1.3" },
      (socket) => socket.end("admitted\n"),
    );
    other.on("tlsClientError", () => undefined);
    other.listen(0, HOST);
    await once(other, "listening");
    try {
      setDefaultCACertificates([CERTIFIED]);
      const usual = connectTls({ host: HOST, port: portOf(other) });
      await once(usual, "secureConnect");
      usual.destroy();
      await expect(dial({ port: portOf(other) })).rejects.toEqual(coded("not_admitted"));
    } finally {
      setDefaultCACertificates(trusted);
      life.abort();
      other.close();
      await once(other, "close");
    }
  });

  test("that is called off ends with why, before and after", async () => {
    const why = new Error("the move is over");
    await expect(dial({ signal: AbortSignal.abort(why) })).rejects.toBe(why);
    const { handler } = holding();
    handlers.set(`${MOVE} disk`, handler);
    const off = new AbortController();
    const channel = await dial({ signal: off.signal });
    const closed = once(channel, "close");
    off.abort(why);
    await closed;
  });
});

describe("a cable that was cut", () => {
  let clock: VirtualClock;
  const { held, handler } = holding();
  beforeEach(async () => {
    held.splice(0);
    clock = createVirtualClock();
    handlers.set(`${MOVE} disk`, handler);
    handlers.set(`${MOVE} nbd`, handler);
    await listen(clock);
  });
  const far = () => eventually("it was admitted", () => held[0]);

  test("ends a disk's stream a minute after the last sign of life", async () => {
    const channel = await dial({ clock: createVirtualClock() });
    const end = await far();
    const ended = overOf(end);
    for (let n = 0; n < 4; n++) {
      await pass(clock, 30_000);
      await new Promise((resolve) => channel.write("alive", resolve));
      await turns(1);
    }
    expect(end.destroyed).toBe(false);
    await pass(clock, 80_000);
    expect(await ended).toEqual(coded("stalled"));
  });

  test("ends no stream on which nobody need say anything", async () => {
    await dial({ kind: "nbd", clock: createVirtualClock() });
    const end = await far();
    await pass(clock, 600_000);
    expect(end.destroyed).toBe(false);
  });

  test("ends a stream whose other end takes nothing of what is to be sent", async () => {
    const channel = await dial({ kind: "nbd", clock: createVirtualClock() });
    channel.pause();
    const end = await far();
    const ended = overOf(end);
    for (let n = 0; n < 40; n++) end.write(Buffer.alloc(1024 ** 2));
    let left = -1;
    const isFull = () => end.writableLength === left || ((left = end.writableLength), false);
    await eventually("it takes no more", isFull, 60_000, 100);
    await pass(clock, 80_000);
    expect(await ended).toEqual(coded("stalled"));
  });
});

test("a server that is called off ends all that is under way, and listens no more", async () => {
  const { handler } = holding();
  handlers.set(`${MOVE} disk`, handler);
  await listen();
  const channel = await dial();
  const closed = once(channel, "close");
  life.abort();
  await closed;
  await expect(dial({ signal: new AbortController().signal })).rejects.toEqual(
    coded("unreachable"),
  );
  expect(logged).toEqual([]);
});

test("a handler that fails ends its channel alone, and the log has why", async () => {
  handlers.set(`${MOVE} disk`, async () => {
    throw new Error("no such disk");
  });
  handlers.set(`${MOVE} nbd`, echo);
  await listen();
  const other = await dial({ kind: "nbd" });
  const channel = await dial();
  channel.resume();
  await once(channel, "close");
  expect(logged).toEqual([
    `move_stream_failed {"move_id":"${MOVE}","error":"Error: no such disk"}`,
  ]);
  other.end("still here");
  expect(await text(other)).toBe("still here");
});

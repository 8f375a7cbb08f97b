import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { aSigningHost, signed } from "#test/harness/agent-requests.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { aWorld } from "#test/harness/world.ts";

/* 4b B7: 4 MiB were read before an agent's token was looked at. */

let cp: ControlPlane;
let host: Awaited<ReturnType<typeof aSigningHost>>;
beforeAll(async () => {
  cp = await startControlPlane();
  host = await aSigningHost(cp, (await aWorld(cp)).locationId);
});
afterAll(() => cp.drop());

/** What Node asks for with a body that is a stream. */
const STREAMING = { duplex: "half" };
const MIB = 1024 * 1024;
const KIB = 1024;

/** A body of so many bytes that comes in pieces, and how much of it was taken. */
function aStream(bytes: number) {
  let taken = 0;
  const piece = new Uint8Array(64 * KIB).fill(0x20);
  const body = new ReadableStream<Uint8Array>(
    {
      pull: (controller) => {
        if (taken >= bytes) return controller.close();
        taken += piece.length;
        controller.enqueue(piece);
      },
    },
    { highWaterMark: 0 },
  );
  return { body, taken: () => taken };
}

const post = (target: string, token: string | undefined, body: ReadableStream) =>
  cp.fetch(
    new Request(`http://berth.test${target}`, {
      method: "POST",
      body,
      ...STREAMING,
      headers: {
        "content-type": "application/json",
        "transfer-encoding": "chunked",
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      },
    }),
  );
const tokenFor = (target: string, body = "", over = {}) =>
  signed(host, { method: "POST", target, body }, cp.clock.now(), over);

describe.each(["/agent/v1/reports", "/agent/v1/usage", "/agent/v1/session"])(
  "a body for %s",
  (target) => {
    test.each<[string, () => Promise<string | undefined>, number]>([
      ["no token", async () => undefined, 401],
      ["a token that is none", async () => "a.b.c", 401],
      ["a token for another route", () => tokenFor("/agent/v1/other"), 401],
      ["a token of long ago", () => tokenFor(target, "", { iat: 1000, exp: 1060 }), 401],
    ])("is left unread with %s", async (_, token, status) => {
      const { body, taken } = aStream(4 * MIB);
      const answer = await post(target, await token(), body);
      expect(answer.status).toBe(status);
      expect(taken()).toBe(0);
    });
  },
);

test.each([
  ["/agent/v1/reports", 4 * MIB],
  ["/agent/v1/usage", 4 * MIB],
  ["/agent/v1/session", 128 * KIB],
])(
  "with a good token %s takes a body of %i bytes, and reads no more of a longer one",
  async (target, most) => {
    const longer = aStream(2 * most);
    const answer = await post(target, await tokenFor(target), longer.body);
    expect(await answer.json()).toMatchObject({ status: 413, code: "body_too_large" });
    expect(longer.taken()).toBeLessThanOrEqual(most + 64 * KIB);
    const asLong = aStream(most);
    // It is read, and is not the body that was signed.
    expect((await post(target, await tokenFor(target), asLong.body)).status).toBe(401);
    expect(asLong.taken()).toBe(most);
  },
);

test("who enrols, and has no token yet, sends 128 KiB at most", async () => {
  const longer = aStream(MIB);
  const answer = await post("/agent/v1/enroll", undefined, longer.body);
  expect(await answer.json()).toMatchObject({ status: 413, code: "body_too_large" });
  expect(longer.taken()).toBeLessThanOrEqual(192 * KIB);
});

import { createHash, randomUUID } from "node:crypto";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { canonicalJson } from "#core/contracts/canonical-json.ts";
import { createHttpControlPlane, IdentityRevoked } from "#host-agent/channel/control-plane.ts";
import { desiredHash } from "#host-agent/converge/desired.ts";
import { createSimulatedDriver } from "#host-agent/drivers/simulated/driver.ts";
import { memoryWorld } from "#host-agent/drivers/simulated/world.ts";
import { createSigner, enroll, loadIdentity } from "#host-agent/channel/identity.ts";
import { createSessionKeeper } from "#host-agent/channel/session.ts";
import { memoryStore } from "#host-agent/state/state-store.ts";
import { aDesiredVm, randomIds, realClock } from "#test/drivers/builders.ts";
import { createFakeControlPlane, unreachable } from "#test/drivers/fake-control-plane.ts";
import { startHttpPlane } from "#test/drivers/http-plane.ts";
import { createVirtualClock } from "#test/drivers/virtual-clock.ts";

const facts = () =>
  createSimulatedDriver({ world: memoryWorld(), clock: realClock, ids: randomIds }).facts();

describe("the agent's wire", () => {
  let http: Awaited<ReturnType<typeof startHttpPlane>>;
  beforeEach(async () => {
    http = await startHttpPlane();
  });
  afterEach(() => http.close());

  async function enrolled() {
    const fake = createFakeControlPlane();
    const apiUrl = http.add("host", fake);
    const store = memoryStore();
    const open = createHttpControlPlane({ apiUrl, fetch, clock: realClock, sign: null });
    const identity = await enroll(store, open, {
      joinToken: "a-join-token-for-the-test",
      facts: await facts(),
    });
    const sign = await createSigner(identity, { clock: realClock, ids: randomIds });
    return {
      fake,
      store,
      plane: createHttpControlPlane({ apiUrl, fetch, clock: realClock, sign }),
    };
  }

  test("every request is signed for its method, target and body", async () => {
    const { fake, plane } = await enrolled();
    fake.want([aDesiredVm()]);
    const document = await plane.desired({ etag: null, atLeast: 7 });
    expect(document).toEqual(fake.document());
    const etag = `${document?.generation}-${document?.hash}`;
    expect(await plane.desired({ etag, atLeast: null })).toBeNull();
    expect(await plane.session()).toEqual(fake.session_);
    await plane.report({ desiredGeneration: 1, vms: [], actions: [], strangers: [], facts: null });
    expect(fake.reports).toHaveLength(1);
  });

  test("a key that was replaced is told apart from an outage", async () => {
    const { plane } = await enrolled();
    http.revoke("host");
    await expect(plane.session()).rejects.toThrow(IdentityRevoked);
  });

  test("an answer that is not understood, a proxy's page and a silent server are errors of their own", async () => {
    const answers: Record<string, Response> = {
      "an answer": new Response('{"hostId":"no uuid"}'),
      "a page": new Response("<html>gateway</html>", { status: 502 }),
      "a problem": Response.json({ code: "rate_limited", detail: "slow down" }, { status: 429 }),
    };
    const codes: string[] = [];
    for (const answer of Object.values(answers)) {
      const plane = createHttpControlPlane({
        apiUrl: "http://127.0.0.1:9",
        fetch: async () => answer,
        clock: realClock,
        sign: null,
      });
      codes.push(await plane.session().then(String, (error: { code: string }) => error.code));
    }
    expect(codes).toEqual(["bad_answer", "http_502", "rate_limited"]);

    const silent = createHttpControlPlane({
      apiUrl: "http://127.0.0.1:9",
      fetch: (_url, init) =>
        new Promise((_resolve, reject) => {
          init?.signal?.addEventListener("abort", () => reject(new Error("aborted")));
        }),
      clock: realClock,
      sign: null,
      timeLimitMs: 20,
    });
    await expect(silent.session()).rejects.toMatchObject({ code: "unreachable", status: null });
  });
});

describe("enrolment", () => {
  test("that was cut short goes on with the same key", async () => {
    const store = memoryStore();
    const keys: string[] = [];
    const plane = createFakeControlPlane();
    const losing = {
      ...plane,
      enroll: async (request: Parameters<typeof plane.enroll>[0]) => {
        keys.push(request.publicKey.x);
        if (keys.length === 1) throw unreachable();
        return { hostId: plane.hostId, identityEpoch: 1 };
      },
    };
    const request = { joinToken: "a-join-token-for-the-test", facts: await facts() };
    await expect(enroll(store, losing, request)).rejects.toThrow("down for the test");
    expect(await loadIdentity(store)).toBeNull();
    await enroll(store, losing, request);
    expect(keys[1]).toBe(keys[0]);
    expect((await loadIdentity(store))?.enrolled.hostId).toBe(plane.hostId);
    // Enrolling once more makes a new key.
    await enroll(store, losing, request);
    expect(keys[2]).not.toBe(keys[0]);
  });
});

describe("a session", () => {
  const doorbell = (expiresAt: Date, accessKeyId = "a") => ({
    queueUrl: "http://127.0.0.1:9/q",
    region: "eu-central-1",
    credentials: {
      accessKeyId,
      secretAccessKey: "s",
      sessionToken: null,
      expiresAt: expiresAt.toISOString(),
    },
  });
  const quiet = { info: () => undefined, error: () => undefined };

  test("says how often to sample and to look from its first one on, and until then there is a default", async () => {
    const plane = createFakeControlPlane();
    const clock = createVirtualClock();
    const keeper = createSessionKeeper({ controlPlane: plane, clock, log: quiet });
    expect(keeper.intervals()).toEqual({
      resyncSeconds: 60,
      usageSampleSeconds: 60,
      usageFlushSeconds: 300,
    });
    await keeper.current(new AbortController().signal);
    expect(keeper.intervals()).toEqual(plane.session_.intervals);
  });

  test("is renewed at two thirds of its life, and an outage then costs nothing until its end", async () => {
    const clock = createVirtualClock();
    const plane = createFakeControlPlane();
    const keeper = createSessionKeeper({ controlPlane: plane, clock, log: quiet });
    const signal = new AbortController().signal;
    const inMinutes = (minutes: number) => new Date(clock.now().getTime() + minutes * 60_000);
    const keyNow = async () => (await keeper.current(signal)).doorbell?.credentials.accessKeyId;
    plane.session_ = { ...plane.session_, doorbell: doorbell(inMinutes(60), "first") };
    expect(await keyNow()).toBe("first");
    plane.session_ = { ...plane.session_, doorbell: doorbell(inMinutes(120), "second") };
    await clock.advance(39 * 60_000);
    expect(await keyNow()).toBe("first");
    plane.outage = unreachable();
    await clock.advance(2 * 60_000);
    expect(await keyNow()).toBe("first");
    plane.outage = null;
    await clock.advance(60_000);
    expect(await keyNow()).toBe("second");
    plane.outage = unreachable();
    await clock.advance(120 * 60_000);
    await expect(keyNow()).rejects.toThrow("down for the test");
  });
});

describe("canonical JSON", () => {
  test("is one text whatever the order of keys, and keeps the order of lists", () => {
    expect(canonicalJson({ b: [2, 1, { d: null, c: "é\n" }], a: true })).toBe(
      '{"a":true,"b":[2,1,{"c":"é\\n","d":null}]}',
    );
    expect(canonicalJson({ a: 1, b: undefined })).toBe('{"a":1}');
    expect(() => canonicalJson({ a: Number.NaN })).toThrow("finite");
    expect(() => canonicalJson(1n)).toThrow("bigint");
  });

  test("is what the desired hash is made of", () => {
    const vm = aDesiredVm({ vmId: randomUUID() });
    const shuffled = Object.fromEntries(Object.entries(vm).toReversed());
    const hash = createHash("sha256")
      .update(canonicalJson([vm]))
      .digest("hex");
    expect(desiredHash([shuffled])).toBe(hash);
  });
});

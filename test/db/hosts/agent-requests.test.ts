import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { SignJWT } from "jose";
import { v7 } from "uuid";
import { enrollHost } from "#commands/hosts/enroll-host.ts";
import { addHost, issueJoinToken } from "#commands/hosts/add-host.ts";
import { anAgentReport, aSample, hostFacts } from "#test/builders.ts";
import {
  anAgentKey,
  aSigningHost,
  send,
  signed,
  type AgentKey,
  type Call,
} from "#test/harness/agent-requests.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { anActiveVm, aWorld, reportOf, SYSTEM, valueOf, type World } from "#test/harness/world.ts";

let cp: ControlPlane;
let world: World;
let host: { hostId: string; key: AgentKey };
beforeAll(async () => {
  cp = await startControlPlane();
  world = await aWorld(cp);
  // A location of its own, so that no VM of this world lands on it.
  host = await aSigningHost(cp, (await aWorld(cp)).locationId);
});
afterAll(() => cp.drop());

const DESIRED: Call = { method: "GET", target: "/agent/v1/desired" };
const REPORT: Call = {
  method: "POST",
  target: "/agent/v1/reports",
  body: JSON.stringify(anAgentReport()),
};
const code = async (answer: Response) => {
  const body: unknown = await answer.json();
  return { status: answer.status, code: Object(body).code };
};

describe("an agent's token", () => {
  test("opens the very request that it was signed for, also when that is repeated", async () => {
    const token = await signed(host, REPORT, cp.clock.now());
    expect((await send(cp, REPORT, token)).status).toBe(200);
    expect((await send(cp, REPORT, token)).status).toBe(200);
  });

  test.each([
    { name: "another path", call: { ...REPORT, target: "/agent/v1/usage" } },
    { name: "another query", call: { ...REPORT, target: "/agent/v1/reports?x=1" } },
    { name: "another method", call: { method: "GET", target: REPORT.target } },
    { name: "another body", call: { ...REPORT, body: `${REPORT.body} ` } },
  ] as const)("is refused on $name", async ({ call }) => {
    const token = await signed(host, REPORT, cp.clock.now());
    const answer = await send(cp, call, token);
    // A method that the path does not have is refused before anybody looks at who asks.
    const refused = { status: 401, code: "agent_token_invalid" };
    expect(await code(answer)).toEqual(
      call.method === "GET" ? { status: 405, code: "method_not_allowed" } : refused,
    );
  });

  test.each([
    { name: "that ended two minutes ago", over: { iat: -180, exp: -120 }, why: "agent_clock_off" },
    { name: "that lives for an hour", over: { iat: 0, exp: 3600 }, why: "agent_token_invalid" },
    { name: "that ends before it begins", over: { iat: 0, exp: -1 }, why: "agent_token_invalid" },
    {
      name: "that begins in a year",
      over: { iat: 31_536_000, exp: 31_536_060 },
      why: "agent_clock_off",
    },
  ])("$name is refused", async ({ over, why }) => {
    const now = Math.floor(+cp.clock.now() / 1000);
    const token = await signed(host, DESIRED, cp.clock.now(), {
      iat: now + over.iat,
      exp: now + over.exp,
    });
    expect(await code(await send(cp, DESIRED, token))).toEqual({
      status: 401,
      code: why,
    });
  });

  test.each([
    { name: "for another audience", over: { aud: "someone-else" } },
    { name: "without the body's hash", over: { bsha256: undefined } },
    { name: "without an id of its own", over: { jti: undefined } },
  ])("$name is refused", async ({ over }) => {
    const token = await signed(host, DESIRED, cp.clock.now(), over);
    expect(await code(await send(cp, DESIRED, token))).toEqual({
      status: 401,
      code: "agent_token_invalid",
    });
  });

  test("signed by another key, or in another host's name, opens nothing", async () => {
    const other = await aSigningHost(cp, world.locationId);
    const now = cp.clock.now();
    for (const forged of [
      await signed({ hostId: host.hostId, key: await anAgentKey() }, DESIRED, now),
      await signed({ hostId: host.hostId, key: other.key }, DESIRED, now),
    ])
      expect(await code(await send(cp, DESIRED, forged))).toEqual({
        status: 401,
        code: "identity_revoked",
      });
  });

  test("without a signature, or with one that anybody can make, opens nothing", async () => {
    const now = Math.floor(+cp.clock.now() / 1000);
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
    const claims = { iss: host.hostId, aud: "berth-agent-api", iat: now, exp: now + 60 };
    const none = `${part({ alg: "none" })}.${part(claims)}.`;
    const hmac = await new SignJWT(claims)
      .setProtectedHeader({ alg: "HS256" })
      .sign(new TextEncoder().encode(host.key.x));
    expect((await send(cp, DESIRED, none)).status).toBe(401);
    expect((await send(cp, DESIRED, hmac)).status).toBe(401);
    expect(await code(await send(cp, DESIRED, undefined))).toEqual({
      status: 401,
      code: "unauthenticated",
    });
  });

  test("of the old key is worth nothing once the host has enrolled again", async () => {
    const before = await aSigningHost(cp, world.locationId);
    expect((await send(cp, DESIRED, await signed(before, DESIRED, cp.clock.now()))).status).toBe(
      200,
    );
    const key = await anAgentKey();
    const { joinToken } = valueOf(await issueJoinToken(cp.deps, SYSTEM, before.hostId));
    const publicKey = { kty: "OKP", crv: "Ed25519", x: key.x } as const;
    valueOf(await enrollHost(cp.deps, { joinToken, publicKey, facts: hostFacts() }));
    // The new key works at once; the old one may be believed for the ten seconds that keys are remembered.
    const after = { hostId: before.hostId, key };
    expect((await send(cp, DESIRED, await signed(after, DESIRED, cp.clock.now()))).status).toBe(
      200,
    );
    cp.clock.advance(11_000);
    expect(
      await code(await send(cp, DESIRED, await signed(before, DESIRED, cp.clock.now()))),
    ).toEqual({
      status: 401,
      code: "identity_revoked",
    });
  });

  test("of a host that staff have retired opens nothing, as soon as its key is looked at again", async () => {
    const retired = await aSigningHost(cp, world.locationId);
    const ask = async () => send(cp, DESIRED, await signed(retired, DESIRED, cp.clock.now()));
    expect((await ask()).status).toBe(200);
    await cp.rows("update hosts set state = 'retired' where id = $1", retired.hostId);
    cp.clock.advance(11_000);
    const revoked = { status: 401, code: "identity_revoked" };
    expect(await code(await ask())).toEqual(revoked);
    // Nor is the key of before remembered.
    expect(await code(await ask())).toEqual(revoked);
  });

  test("of a host that anybody's call has shown to be retired opens nothing, fresh though its key was", async () => {
    const retired = await aSigningHost(cp, world.locationId);
    const ask = async (who = retired) =>
      code(await send(cp, DESIRED, await signed(who, DESIRED, cp.clock.now())));
    expect(await ask()).toMatchObject({ status: 200 });
    await cp.rows("update hosts set state = 'retired' where id = $1", retired.hostId);
    const revoked = { status: 401, code: "identity_revoked" };
    // A signature that does not fit makes us look again, and what was believed is forgotten with it.
    expect(await ask({ ...retired, key: await anAgentKey() })).toEqual(revoked);
    expect(await ask()).toEqual(revoked);
  });

  test("of a host that there is not, or that has not enrolled, is refused and no error of ours", async () => {
    const key = await anAgentKey();
    const host = { name: v7(), locationId: world.locationId, testOnly: false, cpuOvercommit: 4 };
    const added = valueOf(await addHost(cp.deps, SYSTEM, host));
    for (const hostId of [v7(), added.host.id]) {
      const answer = await send(
        cp,
        DESIRED,
        await signed({ hostId, key }, DESIRED, cp.clock.now()),
      );
      expect(await code(answer)).toEqual({ status: 401, code: "identity_revoked" });
    }
  });
});

describe("the desired document", () => {
  const poll = async (etag?: string, query = "") => {
    const call = { method: "GET", target: `/agent/v1/desired${query}` } as const;
    const token = await signed(host, call, cp.clock.now());
    return send(cp, call, token, etag === undefined ? {} : { "if-none-match": etag });
  };
  const etagOf = (answer: Response) => answer.headers.get("etag") ?? "";

  test("comes with an ETag, and is answered with 304 while it is the same", async () => {
    const first = await poll();
    expect(first.status).toBe(200);
    expect(await first.json()).toMatchObject({ hostId: host.hostId, vms: [] });
    const second = await poll(etagOf(first));
    expect(second.status).toBe(304);
    expect(await second.text()).toBe("");
  });

  test("costs an idle poll no statement at all", async () => {
    const etag = etagOf(await poll());
    await poll(etag);
    const before = cp.steps.statements;
    for (let n = 0; n < 10; n++) expect((await poll(etag)).status).toBe(304);
    expect(cp.steps.statements).toBe(before);
  });

  test("is looked up again when a doorbell names a later generation", async () => {
    const first = await poll();
    await cp.rows(
      "update hosts set desired_generation = desired_generation + 1 where id = $1",
      host.hostId,
    );
    // Remembered for a quarter of the resync interval …
    expect((await poll(etagOf(first))).status).toBe(304);
    // … unless the agent knows better.
    const [row] = await cp.rows("select desired_generation from hosts where id = $1", host.hostId);
    const rung = await poll(etagOf(first), `?atLeast=${Number(row?.["desired_generation"])}`);
    expect(rung.status).toBe(200);
    expect(etagOf(rung)).not.toBe(etagOf(first));
  });

  test("is looked up again after a quarter of the resync interval", async () => {
    const first = await poll();
    await cp.rows(
      "update hosts set desired_generation = desired_generation + 1 where id = $1",
      host.hostId,
    );
    cp.clock.advance(15_000);
    expect((await poll(etagOf(first))).status).toBe(200);
  });

  test("names only this host's VMs", async () => {
    await anActiveVm(cp, world);
    cp.clock.advance(15_000);
    expect(await (await poll()).json()).toMatchObject({ vms: [] });
  });
});

describe("what an agent says is not trusted", () => {
  const post = async (who: typeof host, target: string, body: object) => {
    const call = { method: "POST", target, body: JSON.stringify(body) } as const;
    return send(cp, call, await signed(who, call, cp.clock.now()));
  };
  /** A host, and a VM that runs on it. */
  async function aHostWithVm() {
    const own = await aSigningHost(cp, (await aWorld(cp)).locationId);
    const { vmId } = await anActiveVm(cp, await aWorld(cp));
    await cp.rows("update vms set host_id = $1 where id = $2", own.hostId, vmId);
    return { own, vmId, report: await reportOf(cp, vmId) };
  }

  test("text that no database keeps is replaced, and the rest of the report counts", async () => {
    const { own, vmId, report } = await aHostWithVm();
    const error = { code: "driver_failed", detail: "qemu said \0 and \ud800" } as const;
    const observed = { ...report.observed, bootEpoch: "boot\0" };
    const vms = [{ ...report, observed, error }];
    const answer = await post(own, "/agent/v1/reports", { ...anAgentReport(), vms });
    expect(await answer.json()).toEqual({ accepted: 1, ignored: 0 });
    expect(
      await cp.rows("select boot_epoch, last_error_detail from vms where id = $1", vmId),
    ).toEqual([{ boot_epoch: "boot\ufffd", last_error_detail: "qemu said \ufffd and \ufffd" }]);
  });

  test("an epoch past every column is foreign", async () => {
    const { own, report } = await aHostWithVm();
    const vms = [{ ...report, ownerEpoch: 2 ** 40 }];
    const answer = await post(own, "/agent/v1/reports", anAgentReport({ vms }));
    expect(await answer.json()).toEqual({ accepted: 0, ignored: 1 });
  });

  test.each([
    { name: "whose sequence no column holds", over: { seq: 2 ** 40 } },
    { name: "without an epoch", over: { bootEpoch: "" } },
    { name: "with a count that is none", over: { cpuNs: "-1" } },
    { name: "of a day that there is not", over: { from: "2026-02-30T12:00:00.000Z" } },
  ])("a sample $name is a bad request", async ({ over }) => {
    const { own, vmId } = await aHostWithVm();
    const answer = await post(own, "/agent/v1/usage", {
      samples: [{ ...aSample({ vmId }), ...over }],
    });
    expect(await code(answer)).toEqual({ status: 400, code: "invalid_request" });
  });
});

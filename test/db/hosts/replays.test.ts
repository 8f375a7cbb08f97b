import { v7 } from "uuid";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { addHost, issueJoinToken } from "#commands/hosts/add-host.ts";
import { enrollHost } from "#commands/hosts/enroll-host.ts";
import { forgetSpentAgentTokens } from "#commands/hosts/forget-agent-tokens.ts";
import { recordReport } from "#commands/moves/record-report.ts";
import type { AgentReport, VmReport } from "#core/contracts/agent/report.ts";
import { anAgentReport, hostFacts } from "#test/builders.ts";
import { aSigningHost, send, signed, type Call } from "#test/harness/agent-requests.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import {
  aProvisionedVm,
  aPublicKey,
  aWorld,
  reportOf,
  SYSTEM,
  valueOf,
} from "#test/harness/world.ts";

/* 4b B4: what was sent once is worth nothing when it is sent again. */

let cp: ControlPlane;
let locationId: string;
beforeAll(async () => {
  cp = await startControlPlane();
  ({ locationId } = await aWorld(cp));
});
afterAll(() => cp.drop());

const key = () => ({ kty: "OKP", crv: "Ed25519", x: aPublicKey() }) as const;
const codeOf = async (answer: Response) => Object(await answer.json()).code;

describe("a report", () => {
  const numbered = (process: number, seq: number, vms: VmReport[] = []): AgentReport =>
    anAgentReport({ vms, serial: { process, seq } });
  const stale = { ok: false, error: expect.objectContaining({ code: "report_stale" }) };
  const taken = (accepted: number) => ({ ok: true, value: { accepted, ignored: 0 } });

  async function aHostWithVm() {
    const world = await aWorld(cp);
    const { vmId } = await aProvisionedVm(cp, world);
    const power = async () =>
      (await cp.rows("select observed_power from vms where id = $1", vmId))[0]?.["observed_power"];
    const seen = async (is: "running" | "off") =>
      reportOf(cp, vmId, { observed: { power: is, bootEpoch: is === "off" ? null : "boot-1" } });
    const tell = (report: AgentReport) => recordReport(cp.deps, world.hostId, report);
    return { ...world, vmId, power, seen, tell };
  }

  test("that is sent again byte for byte does not flip the power back", async () => {
    const signing = await aSigningHost(cp, (await aWorld(cp)).locationId);
    const { vmId, power, seen } = await aHostWithVm();
    await cp.rows("update vms set host_id = $1 where id = $2", signing.hostId, vmId);
    const callOf = async (report: AgentReport) => {
      const call: Call = {
        method: "POST",
        target: "/agent/v1/reports",
        body: JSON.stringify(report),
      };
      return { call, token: await signed(signing, call, cp.clock.now()) };
    };
    const old = await callOf(numbered(3, 8, [await seen("running")]));
    const newer = await callOf(numbered(3, 9, [await seen("off")]));
    expect((await send(cp, old.call, old.token)).status).toBe(200);
    expect((await send(cp, newer.call, newer.token)).status).toBe(200);
    const again = await send(cp, old.call, old.token);
    expect({ status: again.status, code: await codeOf(again) }).toEqual({
      status: 409,
      code: "report_stale",
    });
    expect(await power()).toBe("off");
  });

  test("of an earlier life of the agent, or as new as the last, changes nothing and is told to staff", async () => {
    const { hostId, power, seen, tell } = await aHostWithVm();
    expect(await tell(numbered(2, 7, [await seen("off")]))).toEqual(taken(1));
    const heard = () => cp.rows("select last_seen_at from hosts where id = $1", hostId);
    const before = await heard();
    cp.clock.advanceMinutes(1);
    for (const [process, seq] of [
      [2, 7],
      [2, 6],
      [1, 900],
    ] as const)
      expect(await tell(numbered(process, seq, [await seen("running")]))).toEqual(stale);
    expect(await power()).toBe("off");
    expect(await heard()).toEqual(before);
    expect(cp.log.errors.filter((line) => line["host_id"] === hostId)).toEqual([
      { event: "agent_report.stale", host_id: hostId, process: 2, seq: 7 },
      { event: "agent_report.stale", host_id: hostId, process: 2, seq: 6 },
      { event: "agent_report.stale", host_id: hostId, process: 1, seq: 900 },
    ]);
    expect(await tell(numbered(3, 1, [await seen("running")]))).toEqual(taken(1));
    expect(await power()).toBe("running");
  });

  test("that comes ten times at once counts once", async () => {
    const { tell, seen } = await aHostWithVm();
    const report = numbered(1, 1, [await seen("off")]);
    const answers = await Promise.all(Array.from({ length: 10 }, () => tell(report)));
    expect(answers.filter((answer) => answer.ok)).toHaveLength(1);
  });

  test("of an agent that does not count is taken as before, also after one that does", async () => {
    const { seen, power, tell } = await aHostWithVm();
    await tell(numbered(4, 4, [await seen("running")]));
    expect(await tell(anAgentReport({ vms: [await seen("off")] }))).toEqual(taken(1));
    expect(await power()).toBe("off");
    expect(await tell(numbered(4, 4))).toEqual(stale);
  });

  test("of a host that lost its count is taken once it has enrolled again", async () => {
    const { hostId, tell } = await aHostWithVm();
    valueOf(await tell(numbered(9, 9)));
    expect(await tell(numbered(1, 1))).toEqual(stale);
    const { joinToken } = valueOf(await issueJoinToken(cp.deps, SYSTEM, hostId));
    valueOf(await enrollHost(cp.deps, { joinToken, publicKey: key(), facts: hostFacts() }));
    expect(await tell(numbered(1, 1))).toEqual(taken(0));
  });
});

describe("a token of what hands something out", () => {
  const SESSION: Call = { method: "POST", target: "/agent/v1/session", body: "{}" };

  test("gives a session once; the next one opens the next", async () => {
    const host = await aSigningHost(cp, locationId);
    const token = await signed(host, SESSION, cp.clock.now());
    const first = await send(cp, SESSION, token);
    expect(await first.json()).toMatchObject({ doorbell: { credentials: {} } });
    const again = await send(cp, SESSION, token);
    expect(again.status).toBe(401);
    expect(await again.json()).toEqual(
      expect.objectContaining({ code: "agent_token_used", status: 401 }),
    );
    const another = await signed(host, SESSION, cp.clock.now());
    expect((await send(cp, SESSION, another)).status).toBe(200);
  });

  test("gives no password a second time either", async () => {
    const host = await aSigningHost(cp, locationId);
    const target = `/agent/v1/vms/${v7()}/initial-password`;
    const call: Call = { method: "POST", target, body: "{}" };
    const token = await signed(host, call, cp.clock.now());
    expect(await codeOf(await send(cp, call, token))).toBe("vm_not_found");
    expect(await codeOf(await send(cp, call, token))).toBe("agent_token_used");
  });

  test("sent ten times at once opens one session", async () => {
    const host = await aSigningHost(cp, locationId);
    const token = await signed(host, SESSION, cp.clock.now());
    const answers = await Promise.all(
      Array.from({ length: 10 }, async () => (await send(cp, SESSION, token)).status),
    );
    expect(answers.filter((status) => status === 200)).toHaveLength(1);
    expect(answers.filter((status) => status === 401)).toHaveLength(9);
  });

  test("is remembered until it is worth nothing, and then forgotten", async () => {
    const host = await aSigningHost(cp, locationId);
    const token = await signed(host, SESSION, cp.clock.now());
    await send(cp, SESSION, token);
    const kept = () =>
      cp.rows("select jti from spent_agent_tokens where host_id = $1", host.hostId);
    // Its 60 seconds, and the 30 by which clocks may differ.
    cp.clock.advance(89_000);
    await forgetSpentAgentTokens(cp.deps);
    expect(await kept()).toHaveLength(1);
    expect(await codeOf(await send(cp, SESSION, token))).toBe("agent_token_used");
    cp.clock.advance(2_000);
    expect(await codeOf(await send(cp, SESSION, token))).toBe("agent_clock_off");
    await forgetSpentAgentTokens(cp.deps);
    expect(await kept()).toEqual([]);
  });
});

describe("a host's id", () => {
  test("is one host with one queue, however it is spelt", async () => {
    const host = await aSigningHost(cp, locationId);
    const urls = new Set<unknown>();
    for (const hostId of [
      host.hostId,
      host.hostId.toUpperCase(),
      host.hostId.replace(/[a-f]/, (hex) => hex.toUpperCase()),
    ]) {
      const call: Call = { method: "POST", target: "/agent/v1/session", body: "{}" };
      const token = await signed({ ...host, hostId }, call, cp.clock.now());
      const answer = await send(cp, call, token);
      expect(answer.status).toBe(200);
      urls.add(Object(await answer.json()).doorbell.queueUrl);
    }
    expect([...urls]).toEqual([expect.stringContaining(host.hostId)]);
  });
});

describe("an enrolment", () => {
  test("spends all of the host's join tokens", async () => {
    const input = { name: v7(), locationId, testOnly: false, cpuOvercommit: 4 };
    const { host, joinToken } = valueOf(await addHost(cp.deps, SYSTEM, input));
    const second = valueOf(await issueJoinToken(cp.deps, SYSTEM, host.id)).joinToken;
    const enrol = (token: string, publicKey = key()) =>
      enrollHost(cp.deps, { joinToken: token, publicKey, facts: hostFacts() });
    const mine = key();
    expect(await enrol(joinToken, mine)).toMatchObject({ ok: true });
    expect(await enrol(second)).toMatchObject({ error: { code: "join_token_invalid" } });
    // The answer that was lost may still be asked for again.
    expect(await enrol(joinToken, mine)).toMatchObject({ value: { identityEpoch: 1 } });
    // Of another host nothing is spent.
    const other = valueOf(await addHost(cp.deps, SYSTEM, { ...input, name: v7() }));
    expect(await enrol(other.joinToken)).toMatchObject({ ok: true });
  });

  test("by two tokens at once is one enrolment", async () => {
    const input = { name: v7(), locationId, testOnly: false, cpuOvercommit: 4 };
    const { host, joinToken } = valueOf(await addHost(cp.deps, SYSTEM, input));
    const others = await Promise.all(
      Array.from({ length: 5 }, () => issueJoinToken(cp.deps, SYSTEM, host.id)),
    );
    const tokens = [joinToken, ...others.map((other) => valueOf(other).joinToken)];
    const answers = await Promise.all(
      tokens.map((token) =>
        enrollHost(cp.deps, { joinToken: token, publicKey: key(), facts: hostFacts() }),
      ),
    );
    expect(answers.filter((answer) => answer.ok)).toHaveLength(1);
  });
});

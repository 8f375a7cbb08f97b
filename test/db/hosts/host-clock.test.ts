import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { showHost } from "#commands/hosts/show-hosts.ts";
import { recordReport } from "#commands/moves/record-report.ts";
import { toHostView } from "#functions/views.ts";
import { anAgentReport } from "#test/builders.ts";
import {
  anAgentKey,
  aSigningHost,
  send,
  signed,
  type AgentKey,
  type Call,
} from "#test/harness/agent-requests.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { aWorld, valueOf } from "#test/harness/world.ts";

/* 4b B8: a host whose clock is off is told so, and by how much; and so are staff. */

let cp: ControlPlane;
let host: { hostId: string; key: AgentKey };
beforeAll(async () => {
  cp = await startControlPlane();
  host = await aSigningHost(cp, (await aWorld(cp)).locationId);
});
afterAll(() => cp.drop());

const DESIRED: Call = { method: "GET", target: "/agent/v1/desired" };
const after = (seconds: number) => new Date(+cp.clock.now() + seconds * 1000);
const told = (hostId: string) => cp.log.errors.filter((line) => line["host_id"] === hostId);

describe("a request of a host whose clock is off", () => {
  test.each([
    { by: 31, words: "31 s ahead of" },
    { by: 7200, words: "7200 s ahead of" },
    { by: -95, words: "95 s behind" },
  ])("by $by s is refused with how much", async ({ by, words }) => {
    const answer = await send(cp, DESIRED, await signed(host, DESIRED, after(by)));
    expect(answer.status).toBe(401);
    expect(await answer.json()).toMatchObject({
      code: "agent_clock_off",
      detail: `the token was made ${words} this control plane's time: set the host's clock`,
    });
    expect(answer.headers.get("date")).toBe(cp.clock.now().toUTCString());
    expect(told(host.hostId).at(-1)).toEqual({
      event: "host.clock_off",
      host_id: host.hostId,
      offset_seconds: by,
    });
  });

  test.each([30, 0, -89])("by %d s is answered, with our time", async (by) => {
    const answer = await send(cp, DESIRED, await signed(host, DESIRED, after(by)));
    expect(answer.status).toBe(200);
    expect(answer.headers.get("date")).toBe(cp.clock.now().toUTCString());
  });

  test("is told nothing of it when its signature is not good, or it is for another request", async () => {
    const stranger = { ...host, key: await anAgentKey() };
    const forged = await send(cp, DESIRED, await signed(stranger, DESIRED, after(500)));
    expect(await forged.json()).toMatchObject({ code: "identity_revoked" });
    const moved = await signed(host, { ...DESIRED, target: "/agent/v1/other" }, after(500));
    expect(await (await send(cp, DESIRED, moved)).json()).toMatchObject({
      code: "agent_token_invalid",
    });
  });
});

describe("how far a host's clock is off", () => {
  const reports = async (hostId: string, clockOffsetSeconds?: number) =>
    valueOf(
      await recordReport(
        cp.deps,
        hostId,
        anAgentReport(clockOffsetSeconds === undefined ? {} : { clockOffsetSeconds }),
      ),
    );
  const seen = async (hostId: string) =>
    toHostView(valueOf(await showHost(cp.deps, hostId)).host, []).clockOffsetSeconds;

  test("is shown to staff as its agent last said, and told when it becomes large", async () => {
    const { hostId } = await aSigningHost(cp, (await aWorld(cp)).locationId);
    expect(await seen(hostId)).toBeNull();
    await reports(hostId, -30);
    expect(await seen(hostId)).toBe(-30);
    expect(told(hostId)).toEqual([]);
    await reports(hostId, 400);
    await reports(hostId, 401);
    expect(await seen(hostId)).toBe(401);
    expect(told(hostId)).toMatchObject([{ event: "finding.opened", kind: "clock_off" }]);
    await reports(hostId);
    expect(await seen(hostId)).toBeNull();
  });
});

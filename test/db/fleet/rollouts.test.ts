import { v7 } from "uuid";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { beginRollout } from "#commands/fleet/begin-rollout.ts";
import { changeRollout, showRollout } from "#commands/fleet/change-rollout.ts";
import { followRollouts } from "#commands/fleet/follow-rollouts.ts";
import { noteOldAgents } from "#commands/fleet/note-old-agents.ts";
import { allReleases, registerRelease } from "#commands/fleet/register-release.ts";
import { changeHost } from "#commands/hosts/change-host.ts";
import { openAgentSession } from "#commands/hosts/open-agent-session.ts";
import { showHost } from "#commands/hosts/show-hosts.ts";
import { recordReport } from "#commands/moves/record-report.ts";
import type { AgentReport } from "#core/contracts/agent/report.ts";
import { UPGRADE_TIME_LIMIT_MS } from "#core/fleet/rollout.ts";
import { openRolloutIds } from "#db/fleet/rollouts.ts";
import { toHostView } from "#functions/views.ts";
import { anAgentReport, hostFacts } from "#test/builders.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { emits } from "#test/harness/emits.ts";
import { anEnrolledHost, aWorld, SYSTEM, valueOf } from "#test/harness/world.ts";

/* 5 items 2 and 3: which version of the agent hosts are to have, and how it comes to them. */

let cp: ControlPlane;
let locationId: string;
const KEY = "k".repeat(43);
beforeAll(async () => {
  cp = await startControlPlane({ releaseKey: KEY });
  ({ locationId } = await aWorld(cp, { places: 0 }));
});
afterAll(() => cp.drop());
// The sweep follows all of them: each test's own is the only one.
beforeEach(async () => {
  for (const id of await openRolloutIds(cp.deps.db))
    valueOf(await changeRollout(cp.deps, SYSTEM, id, { state: "cancelled" }));
});

let minor = 1;
/** A release of a version that nobody has yet, newer than all before it. */
async function aRelease() {
  const version = `1.${minor++}.0`;
  const manifestUrl = `https://releases.example/${version}/manifest.json`;
  return valueOf(await registerRelease(cp.deps, SYSTEM, { version, manifestUrl }));
}
const says = async (hostId: string, over: Partial<AgentReport> = {}) =>
  valueOf(await recordReport(cp.deps, hostId, anAgentReport(over)));
const comesTo = (hostId: string, agentVersion: string) =>
  says(hostId, { facts: hostFacts({ agentVersion }) });
const wanted = async (hostId: string) =>
  (await openAgentSession(cp.deps, hostId)).releases?.wanted?.version ?? null;
const findings = (hostId: string, kind: string) =>
  cp.rows(
    "select detail, ended_at is null as open from findings where host_id = $1 and kind = $2 order by id",
    hostId,
    kind,
  );
const code = (of: string) => ({ ok: false, error: { code: of } });

/** Hosts of a group of their own, in the order in which they are told. */
async function aGroup(size: number) {
  const group = `rack-${v7()}`;
  const hostIds: string[] = [];
  for (let n = 0; n < size; n++) {
    const hostId = await anEnrolledHost(cp, { locationId, places: 1 });
    valueOf(await changeHost(cp.deps, SYSTEM, hostId, { group }));
    hostIds.push(hostId);
  }
  return { group, hostIds: hostIds.sort() };
}
async function aRollout(size: number, pace: { atATime?: number; stopAfterFailed?: number } = {}) {
  const [release, { group, hostIds }] = [await aRelease(), await aGroup(size)];
  const { version } = release;
  const asked = { version, hosts: { group }, atATime: 1, stopAfterFailed: 1, ...pace };
  const { id } = valueOf(await beginRollout(cp.deps, SYSTEM, asked));
  return {
    id,
    version,
    release,
    group,
    hostIds,
    state: async () => {
      const { state, hosts } = valueOf(await showRollout(cp.deps, id));
      return { state, ...hosts };
    },
    wanted: () => Promise.all(hostIds.map(wanted)),
    heard: () => Promise.all(hostIds.map((hostId) => says(hostId))),
    change: (change: Parameters<typeof changeRollout>[3]) =>
      changeRollout(cp.deps, SYSTEM, id, change),
  };
}

describe("a release", () => {
  test("is registered once: the same again is the same, and another place for it is refused", async () => {
    const release = { version: "0.5.0", manifestUrl: "https://a.example/m.json" };
    const made = valueOf(
      await emits(cp, ["agent_release.registered.v1"], () =>
        registerRelease(cp.deps, SYSTEM, release),
      ),
    );
    expect(await emits(cp, [], () => registerRelease(cp.deps, SYSTEM, release))).toEqual({
      ok: true,
      value: made,
    });
    const moved = { ...release, manifestUrl: "https://b.example/m.json" };
    expect(await registerRelease(cp.deps, SYSTEM, moved)).toMatchObject(code("release_exists"));
  });
});

describe("a rollout", () => {
  test("is begun where releases are signed, of a release that is known, for hosts that are there, in one at a time", async () => {
    const [{ version }, { group, hostIds }] = [await aRelease(), await aGroup(2)];
    const pace = { atATime: 1, stopAfterFailed: 1 };
    const begin = (over: object, deps = cp.deps) =>
      beginRollout(deps, SYSTEM, { version, ...pace, hosts: { group }, ...over });
    const unsigned = { ...cp.deps, settings: { ...cp.deps.settings, releaseKey: undefined } };
    expect(await begin({}, unsigned)).toMatchObject(code("releases_not_signed"));
    expect(await begin({ version: "9.9.9" })).toMatchObject(code("agent_release_not_found"));
    expect(await begin({ hosts: { group: "nobodys" } })).toMatchObject(
      code("rollout_without_hosts"),
    );
    expect(await begin({ hosts: { ids: [hostIds[0], v7()] } })).toMatchObject(
      code("rollout_without_hosts"),
    );
    valueOf(
      await emits(cp, ["agent_rollout.began.v1"], () => begin({ hosts: { ids: [hostIds[0]] } })),
    );
    expect(await begin({})).toMatchObject(code("rollout_open"));
  });

  test("tells so many hosts at a time, by their sessions, and goes on as they come", async () => {
    const rollout = await aRollout(3, { atATime: 2 });
    const [a = "", b = "", c = ""] = rollout.hostIds;
    expect(await rollout.wanted()).toEqual([null, null, null]);
    await followRollouts(cp.deps);
    expect(await rollout.wanted()).toEqual([rollout.version, rollout.version, null]);
    expect((await openAgentSession(cp.deps, a)).releases).toEqual({
      key: KEY,
      wanted: { version: rollout.version, manifestUrl: rollout.release.manifestUrl },
    });
    await emits(cp, [], () => followRollouts(cp.deps));
    await comesTo(b, rollout.version);
    await emits(cp, ["host.upgrade_ended.v1", "host.upgrade_asked_for.v1"], () =>
      followRollouts(cp.deps),
    );
    expect(await wanted(c)).toBe(rollout.version);
    expect(await rollout.state()).toMatchObject({ state: "running", told: 2, upgraded: 1 });
    await comesTo(a, rollout.version);
    await comesTo(c, rollout.version);
    await followRollouts(cp.deps);
    expect(await rollout.state()).toMatchObject({ state: "done", told: 0, upgraded: 3 });
    // What it is to have, it is to have: should somebody put the older one back, it comes again.
    expect(await wanted(a)).toBe(rollout.version);
  });

  test("passes over a silent host, and tells it when it is heard of again", async () => {
    const rollout = await aRollout(2);
    const [silent = "", other = ""] = rollout.hostIds;
    cp.clock.advanceMinutes(6);
    await says(other);
    await followRollouts(cp.deps);
    expect(await rollout.wanted()).toEqual([null, rollout.version]);
    await comesTo(other, rollout.version);
    await followRollouts(cp.deps);
    expect(await rollout.state()).toMatchObject({ state: "running", waiting: 1 });
    await says(silent);
    await followRollouts(cp.deps);
    expect(await wanted(silent)).toBe(rollout.version);
  });

  test("stops by itself when so many could not, tells the reason, and goes on when staff say so", async () => {
    const rollout = await aRollout(3);
    const [a = "", b = "", c = ""] = rollout.hostIds;
    await followRollouts(cp.deps);
    const detail = "1.x: the archive's signature is not this key's";
    await says(a, { findings: [{ code: "upgrade_failed", detail }] });
    await emits(cp, ["host.upgrade_ended.v1", "agent_rollout.changed.v1"], () =>
      followRollouts(cp.deps),
    );
    expect(await rollout.state()).toMatchObject({ state: "paused", failed: 1, waiting: 2 });
    expect(await findings(a, "upgrade_failed")).toEqual([{ detail, open: true }]);
    expect(cp.log.errors).toContainEqual({
      event: "agent_rollout.stopped",
      rollout_id: rollout.id,
    });
    expect(await rollout.wanted()).toEqual([null, null, null]);
    valueOf(await rollout.change({ state: "running" }));
    await followRollouts(cp.deps);
    expect(await rollout.wanted()).toEqual([null, rollout.version, null]);
    await comesTo(b, rollout.version);
    // By whatever way it came to the version: it is over.
    await comesTo(a, rollout.version);
    await followRollouts(cp.deps);
    expect(await findings(a, "upgrade_failed")).toEqual([{ detail, open: false }]);
    expect(await wanted(c)).toBe(rollout.version);
  });

  test("counts a host as failed that does not come in time, tells it, and goes on with the next", async () => {
    const rollout = await aRollout(2, { stopAfterFailed: 5 });
    const [late = "", next = ""] = rollout.hostIds;
    await followRollouts(cp.deps);
    cp.clock.advance(UPGRADE_TIME_LIMIT_MS - 1);
    await rollout.heard();
    await followRollouts(cp.deps);
    expect(await rollout.wanted()).toEqual([rollout.version, null]);
    cp.clock.advance(1);
    await emits(
      cp,
      ["finding.opened.v1", "host.upgrade_ended.v1", "host.upgrade_asked_for.v1"],
      () => followRollouts(cp.deps),
    );
    expect(await rollout.wanted()).toEqual([null, rollout.version]);
    expect(await findings(late, "upgrade_failed")).toMatchObject([{ open: true }]);
    // Told anew, by another rollout: what it could not before is no word on this one.
    await comesTo(next, rollout.version);
    await followRollouts(cp.deps);
    const pace = { version: rollout.version, atATime: 1, stopAfterFailed: 1 };
    const again = valueOf(await beginRollout(cp.deps, SYSTEM, { ...pace, hosts: { ids: [late] } }));
    await followRollouts(cp.deps);
    expect(await wanted(late)).toBe(rollout.version);
    expect(await findings(late, "upgrade_failed")).toMatchObject([{ open: false }]);
    await followRollouts(cp.deps);
    expect(valueOf(await showRollout(cp.deps, again.id)).state).toBe("running");
  });

  test("is paused, given another pace, and cancelled: what was told is withdrawn, and the hosts are free", async () => {
    const rollout = await aRollout(3);
    valueOf(await rollout.change({ state: "paused" }));
    await emits(cp, [], () => rollout.change({ state: "paused" }));
    await followRollouts(cp.deps);
    expect(await rollout.wanted()).toEqual([null, null, null]);
    valueOf(await rollout.change({ state: "running", atATime: 2 }));
    await followRollouts(cp.deps);
    const { version } = rollout;
    expect(await rollout.wanted()).toEqual([version, version, null]);
    valueOf(await rollout.change({ state: "cancelled" }));
    expect(await rollout.wanted()).toEqual([null, null, null]);
    expect(await rollout.state()).toMatchObject({ state: "cancelled", withdrawn: 3 });
    expect(await rollout.change({ state: "running" })).toMatchObject(code("rollout_wrong_state"));
    const pace = { version, atATime: 1, stopAfterFailed: 1, hosts: { group: rollout.group } };
    valueOf(await beginRollout(cp.deps, SYSTEM, pace));
    expect(await changeRollout(cp.deps, SYSTEM, v7(), {})).toMatchObject(
      code("agent_rollout_not_found"),
    );
  });

  test("takes as many statements for a hundred hosts as for ten", async () => {
    const statementsFor = async (size: number) => {
      const rollout = await aRollout(1, { atATime: 1_000 });
      await cp.rows(
        `insert into hosts (id, name, location_id, state, public_key, hypervisor, facts, host_group, last_seen_at, created_at)
         select gen_random_uuid(), gen_random_uuid()::text, location_id, state, public_key, hypervisor, facts, $2, last_seen_at, created_at
         from hosts, generate_series(1, $3::int) where id = $1`,
        rollout.hostIds[0],
        rollout.version,
        size,
      );
      valueOf(await rollout.change({ state: "cancelled" }));
      const pace = { version: rollout.version, atATime: 1_000, stopAfterFailed: 1 };
      const begun = { ...pace, hosts: { group: rollout.version } };
      const { id } = valueOf(await beginRollout(cp.deps, SYSTEM, begun));
      const before = cp.steps.statements;
      await followRollouts(cp.deps);
      const statements = cp.steps.statements - before;
      const { hosts } = valueOf(await showRollout(cp.deps, id));
      expect(hosts).toMatchObject({ told: size, waiting: 0 });
      valueOf(await changeRollout(cp.deps, SYSTEM, id, { state: "cancelled" }));
      return statements;
    };
    expect(await statementsFor(100)).toBe(await statementsFor(10));
  });
});

describe("the age of a host's agent", () => {
  test("is shown, and a finding from the third release on that is newer, until it is upgraded", async () => {
    const own = await aRelease();
    const hostId = await anEnrolledHost(cp, {
      locationId,
      places: 1,
      facts: { agentVersion: own.version },
    });
    const shown = async () =>
      toHostView(valueOf(await showHost(cp.deps, hostId)).host, await allReleases(cp.deps));
    expect(await shown()).toMatchObject({
      agentVersion: own.version,
      agentAge: "current",
      hypervisorVersion: "QEMU 10.1",
      osVersion: "Debian GNU/Linux 13 (trixie), Linux 6.12.48",
    });
    await aRelease();
    await aRelease();
    await noteOldAgents(cp.deps);
    expect((await shown()).agentAge).toBe("old");
    expect(await findings(hostId, "agent_old")).toEqual([]);
    const newest = await aRelease();
    await noteOldAgents(cp.deps);
    await emits(cp, [], () => noteOldAgents(cp.deps));
    expect((await shown()).agentAge).toBe("too_old");
    expect(await findings(hostId, "agent_old")).toMatchObject([{ open: true }]);
    await comesTo(hostId, newest.version);
    await noteOldAgents(cp.deps);
    expect(await findings(hostId, "agent_old")).toMatchObject([{ open: false }]);
    expect((await shown()).agentAge).toBe("current");
  });
});

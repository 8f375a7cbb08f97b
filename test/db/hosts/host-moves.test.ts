import { v7 } from "uuid";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { showPlans } from "#commands/catalogue/show-catalogue.ts";
import { addHost, issueJoinToken } from "#commands/hosts/add-host.ts";
import { changeHost } from "#commands/hosts/change-host.ts";
import { enrollHost } from "#commands/hosts/enroll-host.ts";
import { cordonHost, retireHost } from "#commands/hosts/move-host.ts";
import { recordReport } from "#commands/moves/record-report.ts";
import { requestAction } from "#commands/vms/request-action.ts";
import { HOST_STATES, takesNew } from "#core/hosts/host-state.ts";
import { resizeReservation } from "#db/hosts/capacity.ts";
import { inTransaction } from "#db/transaction.ts";
import { anAgentReport, hostFacts } from "#test/builders.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { differencesOf, runEachStep } from "#test/harness/each-step.ts";
import { emits } from "#test/harness/emits.ts";
import {
  anActiveVm,
  anEnrolledHost,
  aPlacedOrder,
  aPublicKey,
  aWorld,
  hostSees,
  sendOrder,
  SIZE,
  SYSTEM,
  valueOf,
} from "#test/harness/world.ts";
import { asked, looksAt, moves, OPERATOR, stateOf } from "./host-move-builders.ts";

/* 6b item 4: hosts' states, who may move them, and what each state keeps from a host. */

let cp: ControlPlane;
beforeAll(async () => {
  cp = await startControlPlane();
});
afterAll(() => cp.drop());

const inState = (hostId: string, state: string) =>
  cp.rows(
    `update hosts set state = $2::text::host_state, maintenance_until = case when $2 = 'maintenance' then now() + interval '99 years' end
      where id = $1`,
    hostId,
    state,
  );
const audited = async (hostId: string) => {
  const rows = await cp.rows(
    "select action, detail, actor_id from audit_log where subject_id = $1 order by id",
    hostId,
  );
  const ofItsMaking = ["host.add", "host.issue_join_token", "host.enroll"];
  return rows.filter(({ action }) => !ofItsMaking.includes(String(action)));
};

describe("a host", () => {
  test("that is cordoned and activated again is so by a dry run's hash, and is told in the audit log", async () => {
    const { hostId } = await aWorld(cp);
    const looked = valueOf(await emits(cp, [], () => looksAt(cp, "cordon", hostId)));
    expect(looked.effects).toContain("it gets no new VMs, and no VM on it grows");
    expect(await stateOf(cp, hostId)).toBe("active");
    expect(await cordonHost(cp.deps, asked(hostId))).toMatchObject({
      error: { code: "plan_changed" },
    });
    valueOf(
      await emits(cp, ["host.state_changed.v1"], () =>
        cordonHost(cp.deps, asked(hostId, { hash: looked.hash })),
      ),
    );
    expect(await stateOf(cp, hostId)).toBe("cordoned");
    const again = await emits(cp, [], () => moves(cp, "cordon", hostId));
    expect(again.effects).toEqual(["nothing: it is cordoned"]);
    await moves(cp, "activate", hostId);
    expect(await stateOf(cp, hostId)).toBe("active");
    const reason = "a fan is loud";
    expect(await audited(hostId)).toEqual([
      {
        action: "host.cordon",
        actor_id: OPERATOR.accountId,
        detail: { reason, from: "active", to: "cordoned" },
      },
      {
        action: "host.activate",
        actor_id: OPERATOR.accountId,
        detail: { reason, from: "cordoned", to: "active" },
      },
    ]);
  });

  test("is cordoned once, however often, and at whichever step it fails", async () => {
    const run = await runEachStep(cp, {
      arrange: () => aWorld(cp),
      act: ({ hostId }) => moves(cp, "cordon", hostId),
    });
    expect(differencesOf(run)).toEqual([]);
  });

  test("that is not there, or gone for good, is not moved", async () => {
    const { hostId } = await aWorld(cp);
    expect(await looksAt(cp, "activate", v7())).toMatchObject({
      error: { code: "host_not_found" },
    });
    await inState(hostId, "retired");
    for (const move of ["cordon", "activate"] as const)
      expect(await looksAt(cp, move, hostId)).toMatchObject({
        error: { code: "host_wrong_state", detail: "this host is retired" },
      });
  });

  test("that enrols again stays cordoned", async () => {
    const { locationId } = await aWorld(cp);
    const hostId = await anEnrolledHost(cp, { locationId, places: 1 });
    await moves(cp, "cordon", hostId);
    const { joinToken } = valueOf(await issueJoinToken(cp.deps, SYSTEM, hostId));
    const publicKey = { kty: "OKP", crv: "Ed25519", x: aPublicKey() } as const;
    valueOf(await enrollHost(cp.deps, { joinToken, publicKey, facts: hostFacts() }));
    expect(await stateOf(cp, hostId)).toBe("cordoned");
  });
});

/*
 * Every place at which something new would come to a host, in every state there is: a state that is added stands here by itself.
 * That no other place chooses hosts by another rule is held by test/unit/hosts-by-state.test.ts.
 */
describe.each(HOST_STATES.filter((state) => state !== "enrolling"))(
  "a host that is %s",
  (state) => {
    const takes = takesNew(state);

    test(`${takes ? "gets" : "gets no"} orders, and is ${takes ? "" : "not "}what is on sale`, async () => {
      const world = await aWorld(cp);
      await inState(world.hostId, state);
      const placed = await sendOrder(cp, world);
      expect(placed.ok ? "placed" : placed.error.code).toBe(
        takes ? "placed" : "image_unavailable_here",
      );
      const offer = (await showPlans(cp.deps)).find(({ plan }) => plan.id === world.planId);
      const here = offer?.locations.find((at) => at.locationId === world.locationId);
      expect(here?.available).toBe(takes);
    });

    test(`${takes ? "lets" : "lets no"} VM on it grow, and each shrink`, async () => {
      const world = await aWorld(cp, { places: 3 });
      const { vmId } = await anActiveVm(cp, world);
      await inState(world.hostId, state);
      const resized = (to: typeof SIZE) =>
        inTransaction(cp.deps.db, (tx) => resizeReservation(tx, vmId, to, "exactly"));
      expect(await resized({ ...SIZE, memoryMib: SIZE.memoryMib + 512 })).toBe(takes);
      expect(await resized({ ...SIZE, memoryMib: SIZE.memoryMib - 512 })).toBe(true);
    });
  },
);

test.each(HOST_STATES.filter((state) => state !== "enrolling" && state !== "retired"))(
  "a host that is %s keeps what is on it: it is rebooted, and reported",
  async (state) => {
    const world = await aWorld(cp);
    const { vmId } = await anActiveVm(cp, world);
    await inState(world.hostId, state);
    valueOf(await requestAction(cp.deps, { who: world.buyer, vmId, type: "reboot" }));
    expect(await hostSees(cp, world.hostId, vmId, {})).toEqual({ accepted: 1, ignored: 0 });
  },
);

describe("a host is retired", () => {
  const refusal = async (hostId: string) => {
    const looked = await looksAt(cp, "retire", hostId);
    return looked.ok ? "nothing" : `${looked.error.code}: ${looked.error.detail}`;
  };

  test("not while it gets VMs, and then for good", async () => {
    const { hostId } = await aWorld(cp);
    expect(await refusal(hostId)).toBe("host_wrong_state: this host gets VMs: cordon it first");
    await moves(cp, "cordon", hostId);
    await moves(cp, "retire", hostId);
    expect(await stateOf(cp, hostId)).toBe("retired");
    expect((await moves(cp, "retire", hostId)).effects).toEqual(["nothing: it is retired"]);
    expect(await refusal(hostId)).toBe("nothing");
  });

  test("though it never enrolled; its token is worth nothing then", async () => {
    const { locationId } = await aWorld(cp);
    const host = { name: v7(), locationId, testOnly: false, cpuOvercommit: 4 };
    const { host: added } = valueOf(await addHost(cp.deps, SYSTEM, host));
    await moves(cp, "retire", added.id);
    const [token] = await cp.rows("select used_at from join_tokens where host_id = $1", added.id);
    expect(token?.["used_at"]).toEqual(cp.clock.now());
  });

  test("not while an order that may be paid holds room on it", async () => {
    const world = await aWorld(cp);
    await aPlacedOrder(cp, world);
    await moves(cp, "cordon", world.hostId);
    expect(await refusal(world.hostId)).toBe(
      "host_not_empty: it holds 1 held rooms, 1 open orders, 1 leased addresses",
    );
  });

  test("not while a VM is on it, or an action runs, until its host has proved that it is gone", async () => {
    const world = await aWorld(cp);
    const { vmId } = await anActiveVm(cp, world);
    await moves(cp, "cordon", world.hostId);
    valueOf(await requestAction(cp.deps, { who: world.buyer, vmId, type: "delete" }));
    expect(await refusal(world.hostId)).toMatch(
      /^host_not_empty: it holds 1 VMs, .*1 running actions/,
    );
    await hostSees(cp, world.hostId, vmId, { observed: null });
    expect(await refusal(world.hostId)).toBe("nothing");
  });

  test("not while its agent shows a VM that should not be there, nor before it was heard of after a restore", async () => {
    const { hostId } = await aWorld(cp);
    await moves(cp, "cordon", hostId);
    const strangers = [{ vmId: v7(), ownerEpoch: 1, power: "running" as const }];
    valueOf(await recordReport(cp.deps, hostId, anAgentReport({ strangers })));
    expect(await refusal(hostId)).toBe("host_not_empty: it holds 1 VMs that should not be there");
    await cp.rows("update findings set ended_at = now() where host_id = $1", hostId);
    await cp.rows("update hosts set restored_generation = 7 where id = $1", hostId);
    expect(await refusal(hostId)).toMatch("host_not_empty: it was not heard of since");
  });

  test("not by the hash of before something came to it", async () => {
    const world = await aWorld(cp);
    await moves(cp, "cordon", world.hostId);
    const { hash } = valueOf(await looksAt(cp, "retire", world.hostId));
    await moves(cp, "activate", world.hostId);
    await aPlacedOrder(cp, world);
    await moves(cp, "cordon", world.hostId);
    expect(await retireHost(cp.deps, asked(world.hostId, { hash }))).toMatchObject({
      error: { code: "host_not_empty" },
    });
  });
});

describe("staff change a host", () => {
  const change = (hostId: string, to: Parameters<typeof changeHost>[3]) =>
    changeHost(cp.deps, SYSTEM, hostId, to);

  test("to another name, which no other has", async () => {
    const [one, other] = [await aWorld(cp), await aWorld(cp)];
    expect(valueOf(await change(one.hostId, { name: "rack-9" })).name).toBe("rack-9");
    expect(await change(other.hostId, { name: "rack-9" })).toMatchObject({
      error: { code: "name_taken" },
    });
    expect(await audited(one.hostId)).toMatchObject([
      { action: "host.set_name", detail: { to: "rack-9" } },
    ]);
    expect(await audited(other.hostId)).toEqual([]);
  });

  test("to another overcommit; a lower one takes nothing back of what is given away", async () => {
    const { hostId } = await aWorld(cp);
    await change(hostId, { ceiling: { vcpus: 100_000 } });
    const before = valueOf(await change(hostId, {}));
    const raised = valueOf(await change(hostId, { cpuOvercommit: 5 }));
    expect(raised.capacity.vcpus * 4).toBe(before.capacity.vcpus * 5);
    await cp.rows("update hosts set allocated_vcpus = capacity_vcpus - 1 where id = $1", hostId);
    const lowered = valueOf(await change(hostId, { cpuOvercommit: 1 }));
    expect(lowered.capacity.vcpus).toBe(raised.capacity.vcpus - 1);
    valueOf(await change(hostId, { cpuOvercommit: 1 }));
    const [, ...changes] = await audited(hostId);
    expect(changes.map(({ action, detail }) => [action, detail])).toEqual([
      ["host.set_overcommit", { from: 4, to: 5 }],
      ["host.set_overcommit", { from: 5, to: 1 }],
    ]);
  });

  test("to one for tests, or back, while nothing has room on it", async () => {
    const world = await aWorld(cp);
    expect(valueOf(await change(world.hostId, { testOnly: true })).testOnly).toBe(true);
    expect(valueOf(await change(world.hostId, { testOnly: false })).testOnly).toBe(false);
    await aPlacedOrder(cp, world);
    const both = await change(world.hostId, { testOnly: true, name: "never-so" });
    expect(both).toMatchObject({ error: { code: "host_not_empty" } });
    expect(valueOf(await change(world.hostId, { testOnly: false })).name).not.toBe("never-so");
  });
});

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { toWireId } from "#core/ids.ts";
import { INITIAL_PASSWORD_LIFE_MS } from "#core/vms/initial-password.ts";
import { expireInitialPasswords } from "#commands/vms/expire-initial-passwords.ts";
import { handInitialPassword } from "#commands/vms/hand-initial-password.ts";
import { requestAction } from "#commands/vms/request-action.ts";
import { ok } from "#core/result.ts";
import { ANNOUNCES_NOTHING, UNDERSTOOD, type Announced } from "#core/contracts/agent/protocol.ts";
import { createDesiredReader } from "#commands/vms/read-desired.ts";
import { takeInitialPassword } from "#commands/vms/take-initial-password.ts";
import { eraseInitialPassword, lockInitialPassword } from "#db/vms/initial-passwords.ts";
import { ALL_CAPABILITIES, aPrincipal } from "#test/builders.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { snapshot } from "#test/harness/dump.ts";
import { differencesOf, runEachStep } from "#test/harness/each-step.ts";
import { meet } from "#test/harness/meet.ts";
import {
  aNewVersion,
  anEnrolledHost,
  aProvisionedVm,
  aWorld,
  GUEST,
  hostSees,
  sendOrder,
  valueOf,
  type World,
} from "#test/harness/world.ts";

let cp: ControlPlane;
beforeAll(async () => {
  cp = await startControlPlane();
});
afterAll(() => cp.drop());

/** A paid VM that no host has made yet. */
async function aVm(os: "windows" | "linux" = "windows") {
  const world = await aWorld(cp);
  await cp.rows("update images set os = $1 where id = $2", os, world.imageId);
  const { vmId } = await aProvisionedVm(cp, world);
  return { world, vmId };
}
/** And one that its host has made, with its password. */
async function aMadeVm() {
  const { world, vmId } = await aVm();
  const password = valueOf(await hand(world, vmId));
  await hostSees(cp, world.hostId, vmId, { observed: { power: "off", bootEpoch: null } });
  return { world, vmId, password };
}
const hand = async (world: Pick<World, "hostId">, vmId: string) => {
  const handed = await handInitialPassword(cp.deps, world.hostId, vmId);
  return handed.ok ? ok(handed.value.password) : handed;
};
const take = (world: World, vmId: string, who = world.buyer) =>
  takeInitialPassword(cp.deps, who, vmId);
const stateOf = async (vmId: string) =>
  (await cp.rows("select state, sealed from initial_passwords where vm_id = $1", vmId))[0];
const code = (value: string) => ({ ok: false, error: expect.objectContaining({ code: value }) });

describe("the host of a Windows VM", () => {
  test("is given one password however often it asks, until it has shown the VM whole", async () => {
    const { world, vmId } = await aVm();
    const first = valueOf(await hand(world, vmId));
    expect(first).toMatch(/^Vm1-[\w-]{22}$/);
    expect(valueOf(await hand(world, vmId))).toBe(first);
    await hostSees(cp, world.hostId, vmId, { observed: { complete: false, power: "off" } });
    expect(valueOf(await hand(world, vmId))).toBe(first);
    await hostSees(cp, world.hostId, vmId);
    expect(await hand(world, vmId)).toEqual(code("no_initial_password"));
  });

  test("is given the same though it asks twice at once", async () => {
    const { world, vmId } = await aVm();
    const answers = await Promise.all(Array.from({ length: 5 }, () => hand(world, vmId)));
    expect(new Set(answers.map(valueOf)).size).toBe(1);
  });

  test("is the only one: another host, and a VM that is to go, get none", async () => {
    const { world, vmId } = await aVm();
    const other = await anEnrolledHost(cp, { locationId: world.locationId, places: 1 });
    expect(await hand({ hostId: other }, vmId)).toEqual(code("vm_not_found"));
    await hand(world, vmId);
    await hostSees(cp, world.hostId, vmId, { observed: { complete: false, power: "off" } });
    await cp.rows("update vms set presence = 'absent', generation = 2 where id = $1", vmId);
    expect(await hand(world, vmId)).toEqual(code("vm_not_found"));
    expect((await aVm("linux")).vmId).toBeDefined();
  });

  test("makes no password for a guest that takes SSH keys", async () => {
    const { world, vmId } = await aVm("linux");
    expect(await hand(world, vmId)).toEqual(code("no_initial_password"));
    expect(await stateOf(vmId)).toBeUndefined();
  });

  test("finds its desired document unchanged by it", async () => {
    const { world, vmId } = await aVm();
    const read = createDesiredReader(cp.deps);
    const { etag } = await read(world.hostId, {
      etag: undefined,
      atLeast: 0,
      announced: ANNOUNCES_NOTHING,
    });
    await hand(world, vmId);
    const again = await createDesiredReader(cp.deps)(world.hostId, {
      etag: undefined,
      atLeast: 0,
      announced: ANNOUNCES_NOTHING,
    });
    expect(again.etag).toBe(etag);
  });
});

// 4b A8
describe("a Linux VM whose order asks for a password", () => {
  const asking = { request: { sshKeys: [], password: true } };
  async function anAskingVm(world: World) {
    const placed = valueOf(await sendOrder(cp, world, asking));
    await cp.stripe.pay(placed.checkoutUrl);
    await cp.pump();
    const [row] = await cp.rows("select id from vms where account_id = $1", world.buyer.accountId);
    return String(row?.["id"]);
  }
  const desired = async (world: World, announced: Announced) => {
    const poll = { etag: undefined, atLeast: 0, announced };
    const answer = await createDesiredReader(cp.deps)(world.hostId, poll);
    return answer.kind === "document" ? answer.document.vms : [];
  };
  const NEW: Announced = { protocol: 2, understands: UNDERSTOOD };

  test("is made with one, which its customer takes once, as root's", async () => {
    const world = await aWorld(cp);
    const vmId = await anAskingVm(world);
    expect(await take(world, vmId)).toEqual(code("password_not_ready"));
    expect(await desired(world, NEW)).toMatchObject([
      { vmId, sshKeys: [], rootPassword: true, needs: ["root-password"] },
    ]);
    const password = valueOf(await hand(world, vmId));
    await hostSees(cp, world.hostId, vmId, { observed: { guest: GUEST } });
    // Made, it holds nothing that an older agent could not look after.
    const [made] = await desired(world, NEW);
    expect(made).toMatchObject({ vmId, mayCreate: false });
    expect(made).not.toHaveProperty("needs");
    expect(made).not.toHaveProperty("rootPassword");
    expect(valueOf(await take(world, vmId))).toEqual({ username: "root", password });
    expect(await take(world, vmId)).toEqual(code("password_already_taken"));
  });

  test("is not named to an agent of protocol 1 while it is to be made", async () => {
    const world = await aWorld(cp);
    await anAskingVm(world);
    expect(await desired(world, ANNOUNCES_NOTHING)).toEqual([]);
  });

  test("is placed only where the host can give one", async () => {
    const { rootPassword: _, ...before } = ALL_CAPABILITIES;
    const world = await aWorld(cp, { places: 5, facts: { capabilities: before } });
    expect(await sendOrder(cp, world, asking)).toEqual(code("plan_unavailable_here"));
    expect(await sendOrder(cp, world)).toMatchObject({ ok: true });
    await anEnrolledHost(cp, { locationId: world.locationId, places: 1 });
    expect(await sendOrder(cp, world, asking)).toMatchObject({ ok: true });
  });

  test("or has a key: neither is refused, but for Windows, which needs none", async () => {
    const world = await aWorld(cp);
    const none = { request: { sshKeys: undefined } };
    expect(await sendOrder(cp, world, none)).toEqual(code("ssh_key_missing"));
    await cp.rows("update images set os = 'freebsd' where id = $1", world.imageId);
    expect(await sendOrder(cp, world, asking)).toEqual(code("password_unavailable"));
    await cp.rows("update images set os = 'windows' where id = $1", world.imageId);
    expect(await sendOrder(cp, world, none)).toMatchObject({ ok: true });
  });
});

describe("its customer", () => {
  test("waits until the VM is made, takes the password once, and finds it erased", async () => {
    const { world, vmId } = await aVm();
    expect(await take(world, vmId)).toEqual(code("password_not_ready"));
    const password = valueOf(await hand(world, vmId));
    expect(await take(world, vmId)).toEqual(code("password_not_ready"));
    await hostSees(cp, world.hostId, vmId, { observed: { guest: GUEST } });
    expect(valueOf(await take(world, vmId))).toEqual({ username: "Administrator", password });
    expect(await stateOf(vmId)).toEqual({ state: "taken", sealed: null });
    expect(await take(world, vmId)).toEqual(code("password_already_taken"));
    expect(
      await cp.rows(
        "select actor_kind, actor_id, detail from audit_log where action = $1 and subject_id = $2",
        "vm.take_initial_password",
        vmId,
      ),
    ).toEqual([{ actor_kind: "account", actor_id: world.buyer.accountId, detail: {} }]);
  });

  test("is the only one: other customers and staff find no such VM, and take nothing from it", async () => {
    const { world, vmId } = await aMadeVm();
    for (const role of ["customer", "staff", "integration"] as const)
      expect(await take(world, vmId, aPrincipal({ role }))).toEqual(code("vm_not_found"));
    expect(await take(world, vmId)).toMatchObject({ ok: true });
  });

  test("gets it once though many ask at once", async () => {
    const { world, vmId, password } = await aMadeVm();
    const answers = await Promise.all(Array.from({ length: 6 }, () => take(world, vmId)));
    const given = answers.filter((a) => a.ok);
    expect(given).toEqual([{ ok: true, value: { username: "Administrator", password } }]);
    expect(answers.filter((a) => !a.ok)).toEqual(
      Array.from({ length: 5 }, () => code("password_already_taken")),
    );
  });

  test("has a week for it, and then it is erased, once", async () => {
    const { world, vmId } = await aMadeVm();
    cp.clock.advance(INITIAL_PASSWORD_LIFE_MS - 1);
    await expireInitialPasswords(cp.deps); // those of other tests are older
    expect((await stateOf(vmId))?.["sealed"]).not.toBeNull();
    expect(await expireInitialPasswords(cp.deps)).toEqual({ expired: 0 });
    cp.clock.advance(1);
    expect(await take(world, vmId)).toEqual(code("password_expired"));
    expect((await stateOf(vmId))?.["sealed"]).not.toBeNull();
    await Promise.all([expireInitialPasswords(cp.deps), expireInitialPasswords(cp.deps)]);
    const events = "select 1 from outbox where name = $1 and data->>'vmId' = $2";
    expect(await cp.rows(events, "vm.initial_password_expired.v1", vmId)).toHaveLength(1);
    expect(await stateOf(vmId)).toEqual({ state: "expired", sealed: null });
    expect(await take(world, vmId)).toEqual(code("password_expired"));
  });

  test("who takes it at its last instant has it, though the sweep has seen it lie: it is not called expired", async () => {
    const { vmId } = await aMadeVm();
    cp.clock.advance(INITIAL_PASSWORD_LIFE_MS - 1);
    await expireInitialPasswords(cp.deps); // those of other tests are older
    const { waited, value } = await meet(
      cp,
      async (tx) => {
        const held = await lockInitialPassword(tx, vmId);
        expect(await eraseInitialPassword(tx, held, "take", cp.clock.now())).toBe(true);
        cp.clock.advance(1);
      },
      () => expireInitialPasswords(cp.deps),
    );
    expect({ waited, value }).toEqual({ waited: true, value: { expired: 0 } });
    expect(await stateOf(vmId)).toEqual({ state: "taken", sealed: null });
    const called = "select 1 from audit_log where action = $1 and subject_id = $2";
    expect(await cp.rows(called, "vm.expire_initial_password", vmId)).toEqual([]);
  });

  test("finds none once the VM is gone, taken or not", async () => {
    const { world, vmId } = await aMadeVm();
    await hostSees(cp, world.hostId, vmId, { observed: { guest: GUEST } });
    valueOf(await requestAction(cp.deps, { who: world.buyer, vmId, type: "delete" }));
    await hostSees(cp, world.hostId, vmId, { observed: null });
    expect(await stateOf(vmId)).toEqual({ state: "withdrawn", sealed: null });
    expect(await take(world, vmId)).toEqual(code("vm_not_found"));
  });
});

test("the password is nowhere in clear: no table, log line, message or desired document has it", async () => {
  const { world, vmId, password } = await aMadeVm();
  const secret = password.replace("Vm1-", "");
  const everything = async () =>
    JSON.stringify([
      [...(await snapshot(cp)).keys()],
      cp.log,
      cp.queues.waiting,
      await createDesiredReader(cp.deps)(world.hostId, {
        etag: undefined,
        atLeast: 0,
        announced: ANNOUNCES_NOTHING,
      }),
    ]);
  await cp.pump();
  const held = await everything();
  expect(held).toContain(vmId);
  expect(held).not.toContain(secret);
  const answer = await cp.fetch(
    new Request(`http://berth.test/v1/vms/${toWireId("vm", vmId)}/initial-password`, {
      method: "POST",
    }),
  );
  expect(answer.status).toBe(401);
  valueOf(await take(world, vmId));
  await cp.pump();
  expect(await everything()).not.toContain(secret);
});

test("handing it out fails at each of its steps and is made once", async () => {
  const each = await runEachStep(cp, {
    arrange: aVm,
    act: ({ world, vmId }) => hand(world, vmId),
    ignore: /^initial_passwords /,
  });
  expect(differencesOf(each)).toEqual([]);
  expect(each.undisturbed.join("\n").match(/vm.make_initial_password/g)).toHaveLength(1);
});

test("taking it fails at each of its steps and erases it once", async () => {
  const each = await runEachStep(cp, {
    arrange: aMadeVm,
    act: ({ world, vmId }) => take(world, vmId),
    ignore: /^-?initial_passwords /,
  });
  expect(differencesOf(each)).toEqual([]);
  expect(each.undisturbed.join("\n").match(/vm.take_initial_password/g)).toHaveLength(1);
});

test("the database keeps no sealed text of a password that has ended, nor loses one that has not", async () => {
  const { vmId } = await aMadeVm();
  const change = (set: string) =>
    cp.rows(`update initial_passwords set ${set} where vm_id = $1`, vmId);
  await expect(change("state = 'taken', ended_at = now()")).rejects.toThrow(/erased_when_ended/);
  await expect(change("sealed = null")).rejects.toThrow(/erased_when_ended/);
});

test("an order beyond what any host here supports is refused, with the plan's own code", async () => {
  const world = await aWorld(cp);
  await aNewVersion(cp, world.planId, { vcpus: 256 });
  expect(await sendOrder(cp, world)).toEqual(code("plan_unavailable_here"));
});

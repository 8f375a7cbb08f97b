import { sql } from "drizzle-orm";
import { v7 } from "uuid";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { MovePlanView, MoveView, BegunMoveView } from "#core/contracts/api/moves.ts";
import { ActionView } from "#core/contracts/api/vms.ts";
import { SCOPES_OF_ROLE } from "#core/accounts/accounts.ts";
import { toWireId } from "#core/ids.ts";
import { MOVE_CHECKS } from "#core/moves/preflight.ts";
import { beginMove } from "#commands/moves/begin-move.ts";
import { requestAction } from "#commands/vms/request-action.ts";
import type { ControlPlane } from "#test/harness/control-plane.ts";
import { meet } from "#test/harness/meet.ts";
import {
  aMovableVm,
  beginShown,
  bringTo,
  DISK,
  hostSays,
  type MovableVm,
} from "#test/harness/moves.ts";
import { hostFacts } from "#test/builders.ts";
import { valueOf } from "#test/harness/world.ts";
import { anAccount, aToken, BASE_URL, type Doors } from "#test/db/accounts/account-builders.ts";
import { listed, openDesk, walked, type Asking } from "#test/db/accounts/desk.ts";

/* 6b item 3: what staff see and do of moves, over HTTP; and what customers do not see. */

let cp: ControlPlane;
let accounts: Doors;
let ask: Asking;
let asBilling: Asking;
beforeAll(async () => {
  const desk = await openDesk();
  ({ cp, accounts } = desk);
  ({ ask } = await desk.member("operator"));
  asBilling = (await desk.member("billing")).ask;
});
afterAll(() => cp.drop());

const reason = "its host is worn out";
const pathOf = ({ vmId }: MovableVm) => `/staff/v1/vms/${toWireId("vm", vmId)}/migrate`;
const askedOf = ({ to }: MovableVm) => ({
  hostId: toWireId("host", to),
  method: "cold",
  reason,
});
const looked = async (vm: MovableVm, over: object = {}) => {
  const { status, body } = await ask("POST", pathOf(vm), {
    ...askedOf(vm),
    ...over,
    dryRun: true,
  });
  expect({ status, body }).toMatchObject({ status: 200 });
  return MovePlanView.parse(body);
};
const begun = async (vm: MovableVm, over: object = {}) => {
  const { hash } = await looked(vm);
  const { status, body } = await ask("POST", pathOf(vm), { ...askedOf(vm), ...over, hash });
  expect({ status, body }).toMatchObject({ status: 202 });
  return BegunMoveView.parse(body);
};
const moveOf = async (id: string) => {
  const { status, body } = await ask("GET", `/staff/v1/moves/${id}`);
  expect({ status, body }).toMatchObject({ status: 200 });
  return MoveView.parse(body);
};
const rowOf = async (vm: MovableVm) =>
  (await cp.rows("select * from moves where vm_id = $1 order by id desc limit 1", vm.vmId))[0];
const nameOf = async (hostId: string) =>
  String((await cp.rows("select name from hosts where id = $1", hostId))[0]?.["name"]);
/** The same as the harness has it. */
const begunOf = async (vm: MovableVm) => {
  const row = await rowOf(vm);
  return { move: { id: String(row?.["id"]), sourceEpoch: 1, epoch: Number(row?.["epoch"]) } };
};

describe("a dry run", () => {
  test("shows both hosts, every check, what it comes to, and changes nothing", async () => {
    const vm = await aMovableVm(cp);
    const plan = await looked(vm);
    expect(plan).toMatchObject({
      source: { id: toWireId("host", vm.from), name: await nameOf(vm.from) },
      destination: { id: toWireId("host", vm.to), name: await nameOf(vm.to) },
      method: "cold",
      hash: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
    expect(plan.checks.map(({ check }) => check)).toEqual([...MOVE_CHECKS]);
    expect(plan.effects[0]).toBe(
      `it is shut down, copied to ${await nameOf(vm.to)}, and started there`,
    );
    expect(await rowOf(vm)).toBeUndefined();
  });

  test("without a host has the one that placement finds", async () => {
    const vm = await aMovableVm(cp);
    const plan = await looked(vm, { hostId: undefined });
    expect(plan.destination?.id).toBe(toWireId("host", vm.to));
  });

  test("of a move that cannot be says why, and has no hash", async () => {
    const vm = await aMovableVm(cp);
    await cp.rows("update hosts set state = 'cordoned' where id = $1", vm.to);
    const plan = await looked(vm);
    expect(plan).toMatchObject({ method: null, hash: null, effects: [] });
    expect(plan.checks.filter(({ ok }) => !ok)).toEqual([
      { check: "destination_host", ok: false, detail: expect.any(String) },
    ]);
    const nowhere = await looked(vm, { hostId: undefined });
    expect(nowhere).toMatchObject({ destination: null, hash: null });
    const refused = await ask("POST", pathOf(vm), { ...askedOf(vm), hash: "0".repeat(64) });
    expect(refused).toMatchObject({
      status: 409,
      body: { code: "move_refused", detail: expect.stringContaining("destination_host: ") },
    });
  });

  test("is of a VM and of a host that there are", async () => {
    const vm = await aMovableVm(cp);
    const nobody = { ...vm, vmId: v7() };
    const nowhere = { ...vm, to: v7() };
    for (const dryRun of [true, false]) {
      const of = async (at: MovableVm) => ask("POST", pathOf(at), { ...askedOf(at), dryRun });
      expect(await of(nobody)).toMatchObject({ status: 404, body: { code: "vm_not_found" } });
      expect(await of(nowhere)).toMatchObject({ status: 404, body: { code: "host_not_found" } });
    }
  });
});

describe("a move", () => {
  test("is begun by the hash that was shown, with the reason in the audit log", async () => {
    const vm = await aMovableVm(cp);
    for (const hash of [undefined, "0".repeat(64)])
      expect(await ask("POST", pathOf(vm), { ...askedOf(vm), hash })).toMatchObject({
        status: 409,
        body: { code: "plan_changed" },
      });
    const { action, move } = await begun(vm, { mbitPerSecond: 200 });
    expect(action).toMatchObject({ type: "migrate", status: "running", progress: 0 });
    expect(move).toMatchObject({ actionId: action.id, step: "prepare", mbitPerSecond: 200 });
    const audit = await cp.rows(
      "select detail from audit_log where action = 'vm.migrate' and subject_id = $1",
      vm.vmId,
    );
    expect(audit).toEqual([{ detail: expect.objectContaining({ reason, to: vm.to }) }]);
  });

  test("asked for twice by one key is one, and answered alike; another request by it is refused", async () => {
    const vm = await aMovableVm(cp);
    const { hash } = await looked(vm);
    const { secret } = await aToken(accounts, await anAccount(accounts, "staff"), {
      scopes: SCOPES_OF_ROLE.staff,
    });
    const key = v7();
    const send = async (over: object = {}) => {
      const answer = await cp.fetch(
        new Request(`${BASE_URL}${pathOf(vm)}`, {
          method: "POST",
          headers: {
            authorization: `Bearer ${secret}`,
            "content-type": "application/json",
            "idempotency-key": key,
          },
          body: JSON.stringify({ ...askedOf(vm), hash, ...over }),
        }),
      );
      return { status: answer.status, body: await answer.json() };
    };
    const first = await send();
    expect(first.status).toBe(202);
    expect(await send()).toEqual(first);
    expect(await cp.rows("select id from moves where vm_id = $1", vm.vmId)).toHaveLength(1);
    expect(await send({ reason: "another" })).toMatchObject({
      status: 422,
      body: { code: "idempotency_key_reused" },
    });
  });

  test("that finds the room taken is refused, and leaves nothing behind", async () => {
    const vm = await aMovableVm(cp);
    const { hash } = await looked(vm);
    const asked = { vmId: vm.vmId, hostId: vm.to, method: "cold", hash: hash ?? "" } as const;
    // Whoever takes the last of a host's room holds its row; the move has looked at it before that.
    const { waited, value: made } = await meet(
      cp,
      (tx) => tx.execute(sql`update hosts set capacity_vms = allocated_vms where id = ${vm.to}`),
      () => beginMove(cp.deps, { ...asked, who: vm.staff, reason }),
    );
    expect(waited).toBe(true);
    expect(made).toMatchObject({ ok: false, error: { code: "no_capacity" } });
    expect(await rowOf(vm)).toBeUndefined();
    expect(
      await cp.rows("select id from actions where type = 'migrate' and vm_id = $1", vm.vmId),
    ).toEqual([]);
  });

  test("shows how far it is, how long its guest stood still, and whose word it waits for", async () => {
    const vm = await aMovableVm(cp);
    const { move } = await begun(vm);
    const of = await begunOf(vm);
    const [from, to] = [await nameOf(vm.from), await nameOf(vm.to)];
    const waits = async () => (await moveOf(move.id)).waitsFor;
    expect(await waits()).toMatchObject({
      code: "move_source",
      detail: expect.stringContaining(`${from}, its source, is to say`),
    });
    const said = { move: of.move, vmId: vm.vmId };
    await hostSays(cp, vm.from, { moves: [{ done: "ready", disk: DISK }] }, said);
    expect(await waits()).toMatchObject({
      code: "move_destination",
      detail: expect.stringContaining(`${to}, its destination, is to say`),
    });
    await bringTo(cp, vm, of, "copy");
    cp.clock.advance(10_000);
    await hostSays(cp, vm.from, { moves: [{ step: "copy", bytes: String(2 ** 29) }] }, said);
    expect(await moveOf(move.id)).toMatchObject({
      step: "copy",
      bytes: { copied: String(2 ** 29), total: String(2 ** 30) },
      progress: 47,
      steps: [
        { name: "prepare", status: "success" },
        { name: "copy", status: "running", finishedAt: null },
        { name: "release", status: "pending" },
        { name: "take_over", status: "pending" },
      ],
    });
    await bringTo(cp, vm, of, "ended");
    const ended = await moveOf(move.id);
    expect(ended).toMatchObject({
      outcome: "moved",
      progress: 100,
      pauseMs: 20_000,
      waitsFor: null,
      failure: null,
    });
    expect(ended.steps.every(({ status }) => status === "success")).toBe(true);
  });

  test("whose host is silent says so", async () => {
    const vm = await aMovableVm(cp);
    const { move } = await begun(vm);
    cp.clock.advance(6 * 60_000);
    expect((await moveOf(move.id)).waitsFor).toMatchObject({
      code: "host_silent",
      detail: expect.stringContaining(await nameOf(vm.from)),
    });
  });

  test("never shows its key", async () => {
    const vm = await aMovableVm(cp);
    const { move } = await begun(vm);
    const sealed = String((await rowOf(vm))?.["sealed_key"]);
    expect(sealed.length).toBeGreaterThan(20);
    for (const path of [
      `/staff/v1/moves/${move.id}`,
      "/staff/v1/moves",
      `/staff/v1/vms/${move.vmId}`,
    ]) {
      const text = JSON.stringify((await ask("GET", path)).body);
      expect(text).toContain(move.id);
      expect(text).not.toContain(sealed);
      expect(text).not.toMatch(/key/i);
    }
  });

  test("stands at its VM, as its action does, which waits for what it waits for", async () => {
    const vm = await aMovableVm(cp);
    const { move, action } = await begun(vm);
    const Shown = z.object({
      status: z.string(),
      moves: z.array(MoveView),
      actions: z.array(z.looseObject({ id: z.string(), waitsFor: z.unknown() })),
    });
    const { body } = await ask("GET", `/staff/v1/vms/${move.vmId}`);
    const shown = Shown.parse(body);
    expect(shown).toMatchObject({ status: "migrating", moves: [move] });
    expect(shown.actions.find(({ id }) => id === action.id)?.waitsFor).toEqual(move.waitsFor);
    const actions = await listed(ask, "/staff/v1/actions", { vmId: move.vmId, type: "migrate" });
    expect(actions.items).toEqual([expect.objectContaining({ steps: action.steps })]);
  });
});

describe("the list of moves", () => {
  test("is found by VM, by either host and by whether it has ended, page by page", async () => {
    const vm = await aMovableVm(cp, { places: 4 });
    const ids: string[] = [];
    for (let n = 0; n < 2; n++) {
      ids.unshift((await begun(vm)).move.id);
      await bringTo(cp, vm, await begunOf(vm), "release");
      if (n === 1) break;
      const { id: moveId } = (await begunOf(vm)).move;
      expect(await stopped(toWireId("move", moveId))).toMatchObject({ move: { step: "hold" } });
      await bringTo(cp, vm, await begunOf(vm), "ended");
      await bothSpeak(vm);
    }
    const [open = "", ended = ""] = ids;
    const list = "/staff/v1/moves";
    const found = async (query: Record<string, string>) =>
      (await listed(ask, list, query)).items.map(({ id }) => id);
    const vmId = toWireId("vm", vm.vmId);
    expect(await found({ vmId })).toEqual([open, ended]);
    expect(await found({ vmId, state: "open" })).toEqual([open]);
    expect(await found({ vmId, state: "ended" })).toEqual([ended]);
    for (const host of [vm.from, vm.to]) {
      const hostId = toWireId("host", host);
      expect(await found({ hostId })).toEqual([open, ended]);
      expect(await found({ hostId, state: "open" })).toEqual([open]);
      expect(await found({ hostId, vmId, state: "ended" })).toEqual([ended]);
      expect(await walked(ask, list, { hostId })).toEqual([open, ended]);
    }
    expect(await found({ hostId: toWireId("host", v7()) })).toEqual([]);
    const all = await found({ limit: "100" });
    expect(all.slice(0, 2)).toEqual([open, ended]);
    expect(await walked(ask, list)).toEqual(all);
    expect(await found({ state: "open", limit: "100" })).not.toContain(ended);
    const { nextCursor } = await listed(ask, list, { limit: "1" });
    expect(await ask("GET", `${list}?vmId=${vmId}&cursor=${nextCursor ?? ""}`)).toMatchObject({
      status: 400,
      body: { code: "cursor_invalid" },
    });
  });

  test("has of a host both what left it and what came to it, in one order", async () => {
    const one = await aMovableVm(cp, { places: 3 });
    const first = (await begun(one)).move.id;
    await bringTo(cp, one, await begunOf(one), "ended");
    await bothSpeak(one);
    const back = { ...one, from: one.to, to: one.from };
    const second = (await begun(back)).move.id;
    for (const host of [one.from, one.to]) {
      const hostId = toWireId("host", host);
      expect(await walked(ask, "/staff/v1/moves", { hostId })).toEqual([second, first]);
    }
  });
});

/** Both hosts speak, as they do each minute: each takes disks. */
async function bothSpeak(vm: MovableVm): Promise<void> {
  const of = { ...(await begunOf(vm)), vmId: vm.vmId };
  for (const [n, host] of [vm.from, vm.to].entries()) {
    const migrationAddress = { host: `192.0.2.${n + 1}`, port: 16_555 };
    await hostSays(cp, host, {}, of, { facts: hostFacts({ memoryMib: 8192, migrationAddress }) });
  }
}

async function stopped(moveId: string): Promise<unknown> {
  const path = `/staff/v1/moves/${moveId}/stop`;
  expect(await ask("POST", path, { reason })).toMatchObject({
    status: 409,
    body: { code: "plan_changed" },
  });
  const dry = await ask("POST", path, { reason, dryRun: true });
  const { hash } = z.object({ hash: z.string(), move: z.null() }).parse(dry.body);
  const { status, body } = await ask("POST", path, { reason, hash });
  expect({ status, body }).toMatchObject({ status: 200 });
  return body;
}

test("a move is stopped, goes back, and its action says that it was not moved", async () => {
  const vm = await aMovableVm(cp);
  const { move, action } = await begun(vm);
  await bringTo(cp, vm, await begunOf(vm), "copy");
  expect(await stopped(move.id)).toMatchObject({
    done: true,
    move: { step: "hold", failure: { code: "stopped" } },
  });
  await bringTo(cp, vm, await begunOf(vm), "drop");
  const { body } = await ask("GET", `/v1/actions/${action.id}`);
  expect(body).toMatchObject({
    status: "error",
    progress: 100,
    error: { code: "not_moved" },
    steps: [
      { name: "prepare", status: "success" },
      { name: "copy", status: "error" },
      { name: "release", status: "pending" },
      { name: "take_over", status: "pending" },
      { name: "revert", status: "success" },
    ],
  });
});

test("a VM is moved again once what its last move left is put away, and not before", async () => {
  const vm = await aMovableVm(cp);
  const { move } = await begun(vm);
  await bringTo(cp, vm, await begunOf(vm), "copy");
  await stopped(move.id);
  await bringTo(cp, vm, await begunOf(vm), "drop");
  const plan = await looked(vm);
  expect(plan).toMatchObject({ hash: null });
  expect(plan.checks.filter(({ ok }) => !ok)).toMatchObject(
    [{ check: "running_action", detail: /is at drop/ }].map((check) => ({
      ...check,
      detail: expect.stringMatching(check.detail),
    })),
  );
});

test("a move past its release is stopped no more, nor is one that there is not", async () => {
  const vm = await aMovableVm(cp);
  const { move } = await begun(vm);
  await bringTo(cp, vm, await begunOf(vm), "take_over");
  const stop = (id: string) => ask("POST", `/staff/v1/moves/${id}/stop`, { reason, dryRun: true });
  expect(await stop(move.id)).toMatchObject({ status: 409, body: { code: "move_not_stoppable" } });
  const none = toWireId("move", v7());
  expect(await stop(none)).toMatchObject({ status: 404, body: { code: "move_not_found" } });
  expect(await ask("GET", `/staff/v1/moves/${none}`)).toMatchObject({ status: 404 });
});

test("its customer sees that it moves, with steps and times, and no host", async () => {
  const vm = await aMovableVm(cp);
  const { move, action } = await begun(vm);
  await bringTo(cp, vm, await begunOf(vm), "copy");
  const buyer = { ...vm.world.buyer, scopes: SCOPES_OF_ROLE.customer } as const;
  const { secret } = await aToken(accounts, buyer, { scopes: SCOPES_OF_ROLE.customer });
  const read = async (path: string) => {
    const headers = { authorization: `Bearer ${secret}` };
    const answer = await cp.fetch(new Request(`${BASE_URL}${path}`, { headers }));
    return { status: answer.status, text: await answer.text() };
  };
  const shown = await read(`/v1/actions/${action.id}`);
  const seen = ActionView.parse(JSON.parse(shown.text));
  expect(seen).toMatchObject({ type: "migrate", status: "running", progress: 5 });
  expect(seen.steps.map(({ name, status }) => `${name} ${status}`)).toEqual([
    "prepare success",
    "copy running",
    "release pending",
    "take_over pending",
  ]);
  expect(seen.steps[0]?.finishedAt).toBe(seen.steps[1]?.startedAt);
  const own = await read(`/v1/vms/${move.vmId}`);
  expect(JSON.parse(own.text)).toMatchObject({ status: "migrating", lockedBy: action.id });
  const secrets = [vm.from, vm.to].flatMap((id) => [id, toWireId("host", id)]);
  for (const text of [shown.text, own.text, (await read("/v1/vms")).text])
    for (const secretly of [...secrets, await nameOf(vm.from), await nameOf(vm.to)])
      expect(text).not.toContain(secretly);
  for (const path of ["/staff/v1/moves", `/staff/v1/moves/${move.id}`])
    expect(await read(path)).toMatchObject({ status: 403 });
  // Deleted meanwhile, it goes back first; what the customer asked for is what runs.
  const wanted = { who: vm.world.buyer, vmId: vm.vmId, type: "delete" } as const;
  valueOf(await requestAction(cp.deps, wanted));
  expect(await moveOf(move.id)).toMatchObject({ step: "copy" });
});

test("who looks after the money moves nothing, and sees no host", async () => {
  const vm = await aMovableVm(cp);
  const { move } = await beginShown(cp, vm);
  const id = toWireId("move", move.id);
  for (const path of ["/staff/v1/moves", `/staff/v1/moves/${id}`])
    expect(await asBilling("GET", path)).toMatchObject({ status: 403 });
  const asked = { ...askedOf(vm), dryRun: true };
  expect(await asBilling("POST", pathOf(vm), asked)).toMatchObject({ status: 403 });
});

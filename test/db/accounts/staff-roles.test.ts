import { v7 } from "uuid";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { STAFF_ROLES, type StaffRole } from "#core/accounts/accounts.ts";
import type { Db } from "#db/client.ts";
import { noneLike } from "#test/harness/api-calls.ts";
import { readDocument, type ApiDocument, type Operation } from "#test/harness/api-document.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { accountsOn, aMember, BASE_URL, type Doors } from "./account-builders.ts";

/* 6a item 6: what each member of staff may do, by operation. A new one of staff's is to be named here. */

const [S, B, O] = ["support", "billing", "operator"] as const;

/** Who may do it, beside the owner. */
const WHO: Readonly<Record<string, readonly StaffRole[]>> = {
  addAccountNote: [S, B],
  addImage: [O],
  addHost: [O],
  addLocation: [O],
  addPlan: [O],
  addPlanVersion: [O],
  addPool: [O],
  activateHost: [O],
  agreeOnDunning: [S, B],
  adoptVm: [O],
  askToDestroyVm: [S, O],
  beginAgentRollout: [O],
  cancelAction: [S, O],
  cancelMaintenance: [O],
  cancelVmForCustomer: [S, B],
  changeAgentRollout: [O],
  changeHost: [O],
  changePlanMigration: [S, O],
  closeAccount: [S, B],
  confirmDestroyRequest: [S, O],
  cordonHost: [O],
  drainHost: [O],
  endImpersonation: [S],
  extendEntitlement: [S, B],
  impersonate: [S],
  issueJoinToken: [O],
  keepFromSuspension: [S, B],
  listAccounts: [S, B],
  listActions: [S, B, O],
  listAgentReleases: [S, O],
  listAgentRollouts: [S, O],
  listAudit: [S, B, O],
  listDestroyRequests: [S, B, O],
  listFindings: [S, O],
  listHosts: [S, O],
  listMails: [S, B],
  listHostsOfImage: [S, O],
  listMoves: [S, O],
  listOrders: [S, B],
  listPlanMigrations: [S, B, O],
  listPlanMigrationVms: [S, B, O],
  listStaffVms: [S, B, O],
  migratePlans: [S, O],
  migrateVm: [S, O],
  planMaintenance: [O],
  recordRestore: [O],
  resendMail: [S, B],
  clearMailAddress: [S, B],
  showMail: [S, B],
  registerAgentRelease: [O],
  reopenAccount: [S, B],
  repairHost: [O],
  repairVm: [S, O],
  offerTrials: [O],
  resizeForStaff: [S, O],
  retireHost: [O],
  search: [S, B, O],
  setImageSource: [O],
  showAccount: [S, B],
  showAgentRollout: [S, O],
  showDrain: [S, O],
  showHost: [S, O],
  showMove: [S, O],
  showPlanMigration: [S, B, O],
  showStaffVm: [S, O],
  stopMove: [S, O],
  suspendVm: [S, B],
  syncCatalogue: [O],
  uncancelVmForCustomer: [S, B],
  unsuspendVm: [S, B],
  withdrawDestroyRequest: [S, O],
};

let cp: ControlPlane;
let accounts: Doors;
let document: ApiDocument;
beforeAll(async () => {
  const doorsOn = (db: Db) => ({ accounts } = accountsOn(db)).accounts;
  cp = await startControlPlane({ accounts: doorsOn });
  const answer = await cp.fetch(new Request(`${BASE_URL}/openapi.json`));
  document = readDocument(await answer.json());
});
afterAll(() => cp.drop());

const ofStaff = (): readonly Operation[] =>
  document.operations.filter(({ path }) => path.startsWith("/staff/"));

/** How it ends for this token, with ids of nothing and an empty body. */
async function ask(op: Operation, token: string): Promise<{ status: number; code?: string }> {
  const path = op.parameters
    .filter((p) => p.in === "path")
    .reduce((so, p) => so.replace(`{${p.name}}`, noneLike(p.schema)), op.path);
  const answer = await cp.fetch(
    new Request(`${BASE_URL}${path}`, {
      method: op.method,
      headers: {
        authorization: `Bearer ${token}`,
        "idempotency-key": v7(),
        ...(op.body === null ? {} : { "content-type": "application/json" }),
      },
      ...(op.body === null ? {} : { body: "{}" }),
    }),
  );
  const text = await answer.text();
  const { code } = z
    .looseObject({ code: z.string().optional() })
    .parse(JSON.parse(text === "" ? "{}" : text));
  return { status: answer.status, ...(code === undefined ? {} : { code }) };
}

/**
 * What staff force upon what is a customer's, or upon their hosts, and can do harm with. Each is shown dry before it is done, and
 * done by the hash of what was shown.
 */
const FORCES: ReadonlySet<string> = new Set([
  "activateHost",
  "agreeOnDunning",
  "adoptVm",
  "askToDestroyVm",
  "cancelAction",
  "cancelMaintenance",
  "cancelVmForCustomer",
  "closeAccount",
  "confirmDestroyRequest",
  "cordonHost",
  "drainHost",
  "extendEntitlement",
  "keepFromSuspension",
  "migratePlans",
  "migrateVm",
  "offerTrials",
  "planMaintenance",
  "reopenAccount",
  "repairHost",
  "repairVm",
  "resizeForStaff",
  "retireHost",
  "stopMove",
  "suspendVm",
  "syncCatalogue",
  "uncancelVmForCustomer",
  "unsuspendVm",
]);
/** What changes something and forces nothing: it adds, or takes back what staff themselves began. */
const NO_FORCES: ReadonlySet<string> = new Set([
  "addAccountNote",
  "addHost",
  "addImage",
  "addLocation",
  "addPlan",
  "addPlanVersion",
  "addPool",
  "beginAgentRollout",
  "changeAgentRollout",
  "changeHost",
  "changePlanMigration", // pauses, stops and goes on with what was begun by a hash
  "endImpersonation",
  "impersonate",
  "issueJoinToken",
  "recordRestore", // says what has happened; its dry run says how far the product is with it
  "clearMailAddress",
  "registerAgentRelease",
  "resendMail",
  "setImageSource",
  "withdrawDestroyRequest",
]);

describe("every force of staff's", () => {
  const writes = () => ofStaff().filter(({ method }) => method !== "GET");
  test("is told from what forces nothing: a new operation is one or the other", () => {
    const known = (id: string) => [FORCES.has(id), NO_FORCES.has(id)];
    const unclear = writes().filter(({ id }) => known(id).filter(Boolean).length !== 1);
    expect(unclear.map(({ id }) => id)).toEqual([]);
    expect(FORCES.size + NO_FORCES.size).toBe(writes().length);
  });

  test("takes a dry run and its hash, and is refused without", () => {
    const forces = writes().filter(({ id }) => FORCES.has(id));
    const shapes = forces.map(({ id, body, codes }) => {
      const { properties = {} } = Body.parse(body === null ? {} : document.resolve(body));
      return { id, dryRun: "dryRun" in properties, hash: "hash" in properties, codes };
    });
    for (const shape of shapes)
      expect(shape).toMatchObject({
        dryRun: true,
        hash: true,
        codes: expect.arrayContaining(["plan_changed"]),
      });
  });
});
const Body = z.looseObject({ properties: z.record(z.string(), z.unknown()).optional() });

describe("every operation of staff's", () => {
  test("is for staff only, and names the scope that it needs", () => {
    expect(ofStaff().length).toBeGreaterThan(20);
    for (const { id, access } of ofStaff())
      expect({ id, access }).toEqual({
        id,
        access: { who: "account", roles: ["staff"], scope: expect.any(String) },
      });
  });

  test("is in this test's table, and nothing else is", () => {
    expect(Object.keys(WHO).toSorted()).toEqual(
      ofStaff()
        .map(({ id }) => id)
        .toSorted(),
    );
  });

  test.each(STAFF_ROLES)("lets %s in where the table says so, and nowhere else", async (role) => {
    const token = (await aMember(accounts, role)).secret;
    const may: Record<string, boolean> = {};
    for (const op of ofStaff()) {
      const { status, code } = await ask(op, token);
      expect({ id: op.id, status }).toMatchObject({ status: expect.toSatisfy((s) => s < 500) });
      may[op.id] = code !== "scope_missing";
      expect({ id: op.id, refused: status === 401 || status === 403 }).toEqual({
        id: op.id,
        refused: !may[op.id],
      });
    }
    const wanted = ([id, roles]: [string, readonly StaffRole[]]) =>
      [id, role === "owner" || roles.includes(role)] as const;
    expect(may).toEqual(Object.fromEntries(Object.entries(WHO).map(wanted)));
  });
});

test("of what customers have, staff see and change what their scopes say", async () => {
  const asked = ["GET /v1/orders/{id}", "GET /v1/invoices/{id}", "POST /v1/vms/{id}/actions"];
  const ops = asked.map((name) =>
    document.operations.find(({ method, path }) => `${method} ${path}` === name),
  );
  const may: Record<string, boolean[]> = {};
  for (const role of STAFF_ROLES) {
    const token = (await aMember(accounts, role)).secret;
    const seen = ops.map(async (op) => op && (await ask(op, token)).status !== 403);
    may[role] = (await Promise.all(seen)).map((one) => one === true);
  }
  expect(may).toEqual({
    support: [true, true, true],
    billing: [true, true, false],
    operator: [false, false, true],
    owner: [true, true, true],
  });
});

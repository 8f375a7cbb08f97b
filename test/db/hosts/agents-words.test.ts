import { v7 } from "uuid";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { addHost } from "#commands/hosts/add-host.ts";
import { enrollHost } from "#commands/hosts/enroll-host.ts";
import { showImages } from "#commands/catalogue/show-catalogue.ts";
import { createDesiredReader } from "#commands/vms/read-desired.ts";
import { recordReport } from "#commands/moves/record-report.ts";
import { repairVm, showRepair } from "#commands/vms/repair-vm.ts";
import { requestAction } from "#commands/vms/request-action.ts";
import { ANNOUNCES_NOTHING, UNDERSTOOD, type Announced } from "#core/contracts/agent/protocol.ts";
import type { PlainAction } from "#core/vms/action.ts";
import { anAgentReport, aPrincipal, hostFacts } from "#test/builders.ts";
import { aSigningHost, send, signed, type Call } from "#test/harness/agent-requests.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import {
  anActiveVm,
  anEnrolledHost,
  aPublicKey,
  aWorld,
  hostSees,
  sendOrder,
  SYSTEM,
  valueOf,
  type World,
} from "#test/harness/world.ts";

/* 5 item 2: the control plane asks no agent for what it does not know, and says so before an order or an action. */

let cp: ControlPlane;
beforeAll(async () => {
  cp = await startControlPlane({ oneMayDestroy: true });
});
afterAll(() => cp.drop());

const WINDOWS = { firmware: "uefi", secureBoot: "microsoft", diskBus: "sata" } as const;
const NEWEST: Announced = { protocol: 2, understands: UNDERSTOOD };
const without = (...words: string[]): Announced => ({
  protocol: 2,
  understands: UNDERSTOOD.filter((word) => !words.includes(word)),
});
/** Its agent reports, and announces this; whatever its driver can do, it can do still. */
const announces = async (hostId: string, announced: Announced) =>
  valueOf(await recordReport(cp.deps, hostId, anAgentReport(), announced));
const understoodOn = async (hostId: string) =>
  (await cp.rows("select understands from hosts where id = $1", hostId))[0]?.["understands"];
const code = (of: string) => ({ ok: false, error: { code: of } });
const act = (world: World, vmId: string, type: Exclude<PlainAction, "create">) =>
  requestAction(cp.deps, { who: world.buyer, vmId, type });

describe("what an agent announces", () => {
  test("is kept at its enrolment and with each report, and of it only the words that we have", async () => {
    const { locationId } = await aWorld(cp, { places: 0 });
    const host = { name: v7(), locationId, testOnly: false, cpuOvercommit: 4 };
    const { joinToken } = valueOf(await addHost(cp.deps, SYSTEM, host));
    const publicKey = { kty: "OKP", crv: "Ed25519", x: aPublicKey() } as const;
    const request = { joinToken, publicKey, facts: hostFacts() };
    const announced = { protocol: 2, understands: ["repair", "second-disk"] } as const;
    const { hostId } = valueOf(await enrollHost(cp.deps, request, announced));
    expect(await understoodOn(hostId)).toEqual(["repair"]);
    await announces(hostId, NEWEST);
    expect(await understoodOn(hostId)).toEqual([...UNDERSTOOD].sort());
    await announces(hostId, ANNOUNCES_NOTHING);
    expect(await understoodOn(hostId)).toEqual([]);
  });

  test("comes with the headers of its requests", async () => {
    const { locationId } = await aWorld(cp, { places: 0 });
    const agent = await aSigningHost(cp, locationId);
    expect(await understoodOn(agent.hostId)).toBeNull();
    const body = JSON.stringify(anAgentReport());
    const report: Call = { method: "POST", target: "/agent/v1/reports", body };
    const headers = { "berth-protocol": "2", "berth-understands": "root-password,tomorrow" };
    await send(cp, report, await signed(agent, report, cp.clock.now()), headers);
    expect(await understoodOn(agent.hostId)).toEqual(["root-password"]);
    await send(cp, report, await signed(agent, report, cp.clock.now()));
    expect(await understoodOn(agent.hostId)).toEqual([]);
  });
});

describe("an order", () => {
  const asking = { request: { sshKeys: [], password: true } };

  test("that asks for a password of root's is refused where no agent knows the word, whatever it can do", async () => {
    const world = await aWorld(cp);
    await announces(world.hostId, without("root-password"));
    expect(await sendOrder(cp, world, asking)).toMatchObject(code("plan_unavailable_here"));
    expect(await sendOrder(cp, world)).toMatchObject({ ok: true });
    await announces(world.hostId, NEWEST);
    expect(await sendOrder(cp, world, asking)).toMatchObject({ ok: true });
  });

  test("for an image that asks for hardware goes past a host whose agent does not know the word, and so does the catalogue", async () => {
    const world = await aWorld(cp, { hardware: WINDOWS });
    const offered = async () =>
      (await showImages(cp.deps))
        .find(({ image }) => image.id === world.imageId)
        ?.locationIds.includes(world.locationId);
    expect(await offered()).toBe(true);
    await announces(world.hostId, without("image-hardware"));
    expect(await offered()).toBe(false);
    expect(await sendOrder(cp, world)).toMatchObject(code("image_unavailable_here"));
    const able = await anEnrolledHost(cp, { locationId: world.locationId, places: 1 });
    await announces(able, NEWEST);
    valueOf(await sendOrder(cp, world));
    expect(
      await cp.rows(
        "select r.host_id from reservations r join hosts h on h.id = r.host_id where h.location_id = $1",
        world.locationId,
      ),
    ).toEqual([{ host_id: able }]);
  });
});

describe("an action on a VM whose agent was put back to an older one", () => {
  test("is refused before anything is desired, but for its delete", async () => {
    const world = await aWorld(cp, { hardware: WINDOWS });
    const { vmId } = await anActiveVm(cp, world);
    await announces(world.hostId, without("image-hardware"));
    const generation = () => cp.rows("select generation from vms where id = $1", vmId);
    const before = await generation();
    for (const type of ["start", "shutdown", "stop", "reboot", "reset"] as const)
      expect(await act(world, vmId, type)).toMatchObject(code("unsupported_by_agent"));
    expect(await generation()).toEqual(before);
    valueOf(await act(world, vmId, "delete"));
  });

  test("goes on where its VM holds no such word", async () => {
    const world = await aWorld(cp);
    const { vmId } = await anActiveVm(cp, world);
    await announces(world.hostId, ANNOUNCES_NOTHING);
    expect(await act(world, vmId, "reboot")).toMatchObject({ ok: true });
  });

  test.each(["adopt_disk", "recreate"] as const)(
    "that would repair it (%s) is refused, dry and in earnest",
    async (how) => {
      const world = await aWorld(cp);
      const { vmId } = await anActiveVm(cp, world);
      const error = { code: "vm_missing", detail: "gone" } as const;
      await hostSees(cp, world.hostId, vmId, { observed: null, settled: false, error });
      await announces(world.hostId, without("repair"));
      const who = aPrincipal({ role: "staff" });
      expect(await showRepair(cp.deps, { vmId, how })).toMatchObject(code("repair_unavailable"));
      expect(await repairVm(cp.deps, { who, vmId, how })).toMatchObject(code("repair_unavailable"));
      expect(await requestAction(cp.deps, { who, vmId, type: how })).toMatchObject(
        code("unsupported_by_agent"),
      );
      await announces(world.hostId, NEWEST);
      const { hash } = valueOf(await showRepair(cp.deps, { vmId, how }));
      valueOf(await repairVm(cp.deps, { who, vmId, how, hash }));
    },
  );
});

test("a VM that is to go is named to every agent, without a word: also one that was never made", async () => {
  const world = await aWorld(cp, { hardware: WINDOWS });
  const { vmId } = await anActiveVm(cp, world);
  valueOf(await act(world, vmId, "delete"));
  const poll = { etag: undefined, atLeast: 0 };
  for (const announced of [ANNOUNCES_NOTHING, without("image-hardware"), NEWEST]) {
    const answer = await createDesiredReader(cp.deps)(world.hostId, { ...poll, announced });
    if (answer.kind !== "document") throw new Error("nothing was answered");
    expect(answer.document.vms).toMatchObject([{ vmId, presence: "absent" }]);
    expect(answer.document.vms[0]).not.toHaveProperty("needs");
  }
});

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { endSilentFindings } from "#commands/hosts/note-findings.ts";
import { showFindings } from "#commands/hosts/show-findings.ts";
import { recordReport } from "#commands/moves/record-report.ts";
import { requestAction } from "#commands/vms/request-action.ts";
import { showVm } from "#commands/vms/show-vm.ts";
import type { AgentReport } from "#core/contracts/agent/report.ts";
import { toVmView } from "#functions/views.ts";
import { aHeldImage, anAgentReport, aPrincipal, hostFacts } from "#test/builders.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { emits } from "#test/harness/emits.ts";
import {
  anActiveVm,
  anEnrolledHost,
  aWorld,
  hostSees,
  reportOf,
  valueOf,
  type World,
} from "#test/harness/world.ts";

/* 5.1: what is amiss with a host and what is on it, told once at the beginning and once at the end. */

let cp: ControlPlane;
beforeAll(async () => {
  cp = await startControlPlane();
});
afterAll(() => cp.drop());

const ALL: Parameters<typeof showFindings>[1] = {
  state: null,
  hostId: null,
  vmId: null,
  kind: null,
};
const of = async (hostId: string) => {
  const page = { limit: 100, cursor: null };
  const { items } = await showFindings(cp.deps, { ...ALL, hostId }, page);
  return items.map(({ kind, subject, vmId, detail, endedAt }) => ({
    kind,
    subject,
    vmId,
    detail,
    open: endedAt === null,
  }));
};
/** The alarms of a host: what was logged of its findings, in order. */
const alarms = (hostId: string) =>
  cp.log.lines
    .filter((line) => line["host_id"] === hostId && String(line["event"]).startsWith("finding."))
    .map(({ event, kind }) => `${String(event)} ${String(kind)}`);
const reports = async (hostId: string, over: Partial<AgentReport>) =>
  valueOf(await recordReport(cp.deps, hostId, anAgentReport(over)));

async function aDeletedVm(world: World): Promise<string> {
  const { vmId } = await anActiveVm(cp, world);
  valueOf(await requestAction(cp.deps, { who: world.buyer, vmId, type: "delete" }));
  await hostSees(cp, world.hostId, vmId, { observed: null });
  return vmId;
}

describe("a VM that its host has lost", () => {
  const missing = { code: "vm_missing", detail: "this VM was here and is gone" } as const;
  const gone = { observed: null, settled: false, error: missing } as const;

  test("is lost for customer and staff, with its reason, until it is seen whole again", async () => {
    const world = await aWorld(cp);
    const { vmId } = await anActiveVm(cp, world);
    const shown = async (who = world.buyer) => {
      const view = toVmView(valueOf(await showVm(cp.deps, who, vmId)), cp.clock.now(), who);
      const { status, lostSince, lastError } = view;
      return { status, lostSince, lastError };
    };
    const lostAt = cp.clock.now();
    await emits(cp, ["finding.opened.v1"], () => hostSees(cp, world.hostId, vmId, gone));
    cp.clock.advanceMinutes(11);
    await emits(cp, [], () => hostSees(cp, world.hostId, vmId, gone));
    const lost = { status: "lost", lostSince: lostAt.toISOString() };
    expect(await shown()).toEqual({
      ...lost,
      lastError: {
        code: "vm_missing",
        message: "Its host does not have it any more. Our staff have been told.",
      },
    });
    const staff = aPrincipal({ role: "staff" });
    expect(await shown(staff)).toEqual({
      ...lost,
      lastError: { code: "vm_missing", message: missing.detail },
    });
    const finding = { kind: "vm_lost", subject: vmId, vmId, detail: missing.detail };
    expect(await of(world.hostId)).toEqual([{ ...finding, open: true }]);
    expect(alarms(world.hostId)).toEqual(["finding.opened vm_lost"]);
    await emits(cp, ["finding.ended.v1"], () => hostSees(cp, world.hostId, vmId));
    expect(await shown()).toEqual({ status: "running", lostSince: null, lastError: null });
    expect(await of(world.hostId)).toEqual([{ ...finding, open: false }]);
    expect(alarms(world.hostId)).toEqual(["finding.opened vm_lost", "finding.ended vm_lost"]);
    expect(
      await cp.rows(
        `select action, detail ->> 'kind' as kind, detail ->> 'host_id' as host from audit_log
         where detail ->> 'subject' = $1 order by id`,
        vmId,
      ),
    ).toEqual([
      { action: "finding.open", kind: "vm_lost", host: world.hostId },
      { action: "finding.end", kind: "vm_lost", host: world.hostId },
    ]);
  });

  test("is never made again by itself, takes no action but its end, and what ran ends", async () => {
    const world = await aWorld(cp);
    const { vmId } = await anActiveVm(cp, world);
    const ask = (type: "reboot" | "start" | "delete") =>
      requestAction(cp.deps, { who: world.buyer, vmId, type });
    const { id } = valueOf(await ask("reboot"));
    await hostSees(cp, world.hostId, vmId, gone);
    expect(await cp.rows("select status, error_code from actions where id = $1", id)).toEqual([
      { status: "error", error_code: "vm_lost" },
    ]);
    const [row] = await cp.rows("select first_seen_at from vms where id = $1", vmId);
    expect(row?.["first_seen_at"]).not.toBeNull();
    expect(await ask("start")).toMatchObject({ error: { code: "vm_lost" } });
    valueOf(await ask("delete"));
    await hostSees(cp, world.hostId, vmId, { observed: null });
    expect((await of(world.hostId)).map(({ open }) => open)).toEqual([false]);
    expect(await cp.rows("select deleted_at from vms where id = $1", vmId)).toEqual([
      { deleted_at: cp.clock.now() },
    ]);
  });

  test("on a report that leaves it out, or of an agent that does not understand it, is none", async () => {
    const world = await aWorld(cp);
    const { vmId } = await anActiveVm(cp, world);
    await reports(world.hostId, {});
    const error = { code: "unsupported_by_agent", detail: "newer" } as const;
    await hostSees(cp, world.hostId, vmId, { observed: null, error });
    expect(await of(world.hostId)).toEqual([]);
  });
});

describe("4b B9: what a host found amiss with its VM", () => {
  test("is told to staff once, stays for a week, and is nobody else's VM's", async () => {
    const world = await aWorld(cp, { places: 2 });
    const [{ vmId }, other] = [await anActiveVm(cp, world), await aWorld(cp)];
    const { vmId: foreign } = await anActiveVm(cp, other);
    const found = { code: "saved_state_dropped" as const, detail: "could not be restored" };
    const findings = [vmId, foreign].map((id) => ({ vmId: id, ...found }));
    for (let n = 0; n < 2; n++) await reports(world.hostId, { findings });
    const finding = { kind: found.code, subject: vmId, vmId, detail: found.detail };
    expect(await of(world.hostId)).toEqual([{ ...finding, open: true }]);
    expect(await of(other.hostId)).toEqual([]);
    expect(alarms(world.hostId)).toEqual(["finding.opened saved_state_dropped"]);
    const week = 7 * 24 * 60;
    cp.clock.advanceMinutes(week);
    await reports(world.hostId, {});
    expect(await endSilentFindings(cp.deps)).toEqual({ ended: 0 });
    cp.clock.advanceMinutes(1);
    // Its host says nothing at all: that is no sign of anything.
    expect(await endSilentFindings(cp.deps)).toEqual({ ended: 0 });
    await reports(world.hostId, {});
    expect(await endSilentFindings(cp.deps)).toEqual({ ended: 1 });
    expect(await endSilentFindings(cp.deps)).toEqual({ ended: 0 });
    expect(await of(world.hostId)).toEqual([{ ...finding, open: false }]);
    // It happened again: another finding.
    await reports(world.hostId, { findings });
    expect((await of(world.hostId)).map(({ open }) => open)).toEqual([true, false]);
  });

  test("ends with a look that shows the VM whole where that shows it; its word is never one of ours", async () => {
    const world = await aWorld(cp);
    const { vmId } = await anActiveVm(cp, world);
    const findings = [
      { vmId, code: "disk_layer_missing", detail: "a layer" },
      // What an agent of tomorrow, or a forged one, might say.
      { vmId, code: "vm_lost", detail: "or so it says" },
    ];
    const vms = [await reportOf(cp, vmId, { observed: { complete: false } })];
    valueOf(await recordReport(cp.deps, world.hostId, { ...anAgentReport({ vms }), findings }));
    await hostSees(cp, world.hostId, vmId);
    expect((await of(world.hostId)).map(({ kind, open }) => ({ kind, open }))).toEqual([
      { kind: "agents_vm_lost", open: true },
      { kind: "disk_layer_missing", open: false },
    ]);
  });
});

describe("4b B7: a deleted VM", () => {
  test.each(["as a stranger", "by an agent with an old document"])(
    "that its host shows again, %s, is told of once, until it is shown no more",
    async (how) => {
      const world = await aWorld(cp);
      const vmId = await aDeletedVm(world);
      const strangers = [{ vmId, ownerEpoch: 1, power: "running" as const }];
      const shows = async () =>
        how === "as a stranger"
          ? reports(world.hostId, { strangers })
          : reports(world.hostId, { vms: [await reportOf(cp, vmId, {})] });
      // A look of before its delete still held it.
      await shows();
      expect(await of(world.hostId)).toEqual([]);
      cp.clock.advanceMinutes(2);
      for (let n = 0; n < 2; n++) await shows();
      const finding = { kind: "vm_seen_after_delete", subject: vmId, vmId };
      const detail = "it is there again, running";
      expect(await of(world.hostId)).toEqual([{ ...finding, detail, open: true }]);
      cp.clock.advanceMinutes(61);
      await reports(world.hostId, {});
      expect(await endSilentFindings(cp.deps)).toEqual({ ended: 1 });
      expect(alarms(world.hostId)).toEqual([
        "finding.opened vm_seen_after_delete",
        "finding.ended vm_seen_after_delete",
      ]);
    },
  );

  test("that another host shows is a stranger there", async () => {
    const world = await aWorld(cp);
    const vmId = await aDeletedVm(world);
    const elsewhere = await anEnrolledHost(cp, { locationId: world.locationId, places: 1 });
    cp.clock.advanceMinutes(2);
    await reports(elsewhere, { strangers: [{ vmId, ownerEpoch: 1 }] });
    expect(await of(world.hostId)).toEqual([]);
    expect(await of(elsewhere)).toMatchObject([{ kind: "stranger", subject: vmId, open: true }]);
  });
});

describe("of a host itself", () => {
  test("a clock that is off, an image that changed and a document that was refused are told, and their ends", async () => {
    const { hostId } = await aWorld(cp);
    const images = (changed: boolean) => [aHeldImage(), aHeldImage({ file: "other", changed })];
    const refusedDesired = { generation: 7, hash: "h", reason: "older_generation" } as const;
    await reports(hostId, {
      clockOffsetSeconds: -95,
      facts: hostFacts({ images: images(true) }),
      refusedDesired,
    });
    expect((await of(hostId)).toSorted((a, b) => (a.kind < b.kind ? -1 : 1))).toEqual([
      {
        kind: "clock_off",
        subject: hostId,
        vmId: null,
        detail: "its clock is 95 s behind ours",
        open: true,
      },
      {
        kind: "desired_refused",
        subject: hostId,
        vmId: null,
        detail: "generation 7: older_generation",
        open: true,
      },
      {
        kind: "image_changed",
        subject: "other",
        vmId: null,
        detail: "another file under its name than VMs were made from",
        open: true,
      },
    ]);
    // What a report does not say is no end.
    await reports(hostId, {});
    expect((await of(hostId)).every(({ open }) => open)).toBe(true);
    await reports(hostId, { clockOffsetSeconds: 3, facts: hostFacts({ images: images(false) }) });
    expect((await of(hostId)).filter(({ open }) => open).map(({ kind }) => kind)).toEqual([
      "desired_refused",
    ]);
    expect(alarms(hostId)).toHaveLength(5);
  });
});

test("the list of findings is staff's, by what is asked for, a page at a time", async () => {
  const world = await aWorld(cp);
  const { vmId } = await anActiveVm(cp, world);
  const findings = [{ vmId, code: "layers_left" as const, detail: "one" }];
  await reports(world.hostId, { findings, clockOffsetSeconds: 400 });
  await reports(world.hostId, { clockOffsetSeconds: 1 });
  const list = async (over: Partial<typeof ALL>) => {
    const filter = { ...ALL, hostId: world.hostId, ...over };
    const kinds: string[] = [];
    for (let cursor: string | null = "none"; cursor !== null;) {
      const page = { limit: 1, cursor: cursor === "none" ? null : cursor };
      const { items, nextCursor } = await showFindings(cp.deps, filter, page);
      kinds.push(...items.map(({ kind }) => kind));
      cursor = nextCursor;
    }
    return kinds;
  };
  expect(await list({})).toHaveLength(2);
  expect(await list({ state: "open" })).toEqual(["layers_left"]);
  expect(await list({ state: "ended" })).toEqual(["clock_off"]);
  expect(await list({ kind: "clock_off" })).toEqual(["clock_off"]);
  expect(await list({ vmId })).toEqual(["layers_left"]);
  expect(await list({ vmId, kind: "clock_off" })).toEqual([]);
});

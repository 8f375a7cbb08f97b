import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { tellSilentHosts, endSilentFindings } from "#commands/hosts/note-findings.ts";
import { showHost } from "#commands/hosts/show-hosts.ts";
import { recordReport } from "#commands/moves/record-report.ts";
import { requestAction } from "#commands/vms/request-action.ts";
import type { AgentReport, HostFacts } from "#core/contracts/agent/report.ts";
import { ALL_CAPABILITIES, anAgentReport, hostFacts } from "#test/builders.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { anActiveVm, anEnrolledHost, aWorld, hostSees, valueOf } from "#test/harness/world.ts";

/* 5.6: what makes an alarm, once, and its end, once. */

let cp: ControlPlane;
beforeAll(async () => {
  cp = await startControlPlane();
});
afterAll(() => cp.drop());

/** The alarms of a host: what was logged of its findings, in order. */
const alarms = (hostId: string) =>
  cp.log.lines
    .filter((line) => line["host_id"] === hostId && String(line["event"]).startsWith("finding."))
    .map(({ event, kind }) => `${String(event).slice("finding.".length)} ${String(kind)}`);
const reports = async (hostId: string, over: Partial<AgentReport> = {}) =>
  valueOf(await recordReport(cp.deps, hostId, anAgentReport(over)));
const openOf = async (hostId: string) =>
  valueOf(await showHost(cp.deps, hostId)).findings.map(({ kind, detail }) => ({ kind, detail }));
const events = async (hostId: string) => {
  const rows = await cp.rows(
    "select name from outbox where data ->> 'hostId' = $1 and name::text like 'finding%' order by id",
    hostId,
  );
  return rows.map(({ name }) => name);
};

describe("a host that is silent", () => {
  test("for five minutes is told once, with its event, and its next report ends it", async () => {
    const { hostId } = await aWorld(cp);
    const since = cp.clock.now().toISOString();
    cp.clock.advanceMinutes(5);
    await tellSilentHosts(cp.deps);
    expect(alarms(hostId)).toEqual([]);
    cp.clock.advance(1000);
    for (let n = 0; n < 2; n++) await tellSilentHosts(cp.deps);
    cp.clock.advanceMinutes(90);
    await tellSilentHosts(cp.deps);
    await endSilentFindings(cp.deps);
    expect(await openOf(hostId)).toEqual([
      { kind: "host_silent", detail: `not heard of since ${since}` },
    ]);
    for (let n = 0; n < 2; n++) await reports(hostId);
    expect(alarms(hostId)).toEqual(["opened host_silent", "ended host_silent"]);
    expect(await events(hostId)).toEqual(["finding.opened.v1", "finding.ended.v1"]);
  });

  test("is told though it drains, and not when it is retired or has not enrolled", async () => {
    const { hostId, locationId } = await aWorld(cp);
    const others = await Promise.all(
      [1, 2].map((places) => anEnrolledHost(cp, { locationId, places })),
    );
    const is = (state: string, id: string) =>
      cp.rows("update hosts set state = $2 where id = $1", id, state);
    await is("draining", hostId);
    await is("retired", others[0] ?? "");
    cp.clock.advanceMinutes(6);
    await tellSilentHosts(cp.deps);
    expect([hostId, ...others].map((id) => alarms(id).length)).toEqual([1, 0, 1]);
    await is("retired", hostId);
    await endSilentFindings(cp.deps);
    expect(alarms(hostId)).toEqual(["opened host_silent", "ended host_silent"]);
  });

  test("costs as many statements with many others as alone", async () => {
    const { locationId } = await aWorld(cp);
    const asked = async (hosts: number) => {
      for (let n = 0; n < hosts; n++) await anEnrolledHost(cp, { locationId, places: 1 });
      cp.clock.advanceMinutes(6);
      const before = cp.steps.statements;
      const { opened } = await tellSilentHosts(cp.deps);
      return { opened, statements: cp.steps.statements - before };
    };
    await asked(0);
    const [one, four] = [await asked(1), await asked(4)];
    expect([one.opened, four.opened]).toEqual([1, 4]);
    expect(four.statements).toBe(one.statements);
  });
});

describe("an agent whose hypervisor is away", () => {
  const hypervisorAway = { code: "hypervisor_unavailable", detail: "no libvirt" };

  test("is told once, is no word of its VMs, and is not silence besides; its end is told once", async () => {
    const { hostId } = await aWorld(cp);
    await reports(hostId);
    const heard = cp.clock.now();
    for (let n = 0; n < 4; n++) {
      cp.clock.advanceMinutes(2);
      await reports(hostId, { hypervisorAway });
      await tellSilentHosts(cp.deps);
    }
    expect(await openOf(hostId)).toEqual([
      { kind: "hypervisor_away", detail: "hypervisor_unavailable: no libvirt" },
    ]);
    const { host, whyNoVms } = valueOf(await showHost(cp.deps, hostId));
    expect(host.lastSeenAt).toEqual(heard);
    expect(whyNoVms.all).toContain("silent");
    // Then it is silent altogether.
    cp.clock.advanceMinutes(6);
    await tellSilentHosts(cp.deps);
    await reports(hostId);
    expect(alarms(hostId).toSorted()).toEqual([
      "ended host_silent",
      "ended hypervisor_away",
      "opened host_silent",
      "opened hypervisor_away",
    ]);
    expect(valueOf(await showHost(cp.deps, hostId)).host.lastSeenAt).toEqual(cp.clock.now());
  });
});

describe("what a host fails to do for a VM", () => {
  const fails = (code: "out_of_disk" | "timed_out" | "hypervisor_unavailable") => ({
    settled: false,
    error: { code, detail: "3 MiB left" },
  });
  async function aVm() {
    const world = await aWorld(cp);
    const { vmId } = await anActiveVm(cp, world);
    const seen = (over: Parameters<typeof hostSees>[3]) => hostSees(cp, world.hostId, vmId, over);
    return { ...world, vmId, seen };
  }
  const every = async (minutes: number, times: number, report: () => Promise<unknown>) => {
    for (let n = 0; n < times; n++) {
      await report();
      cp.clock.advanceMinutes(minutes);
    }
  };

  test("is told when the same has failed for a quarter of an hour, once, and ends with a report of none", async () => {
    const { hostId, seen } = await aVm();
    const since = cp.clock.now().toISOString();
    await every(7, 2, () => seen(fails("out_of_disk")));
    expect(alarms(hostId)).toEqual([]);
    cp.clock.advanceMinutes(1);
    await seen(fails("out_of_disk"));
    await seen(fails("out_of_disk"));
    const times = 4;
    expect(await openOf(hostId)).toEqual([
      {
        kind: "step_failing",
        detail: `out_of_disk in ${times} reports since ${since}: 3 MiB left`,
      },
    ]);
    for (let n = 0; n < 2; n++) await seen({});
    expect(alarms(hostId)).toEqual(["opened step_failing", "ended step_failing"]);
    expect(await events(hostId)).toEqual(["finding.opened.v1", "finding.ended.v1"]);
  });

  test("is not told of two codes in turn, of a few reports, or of a hypervisor that is away", async () => {
    const { hostId, seen } = await aVm();
    await every(10, 2, () => seen(fails("out_of_disk")));
    await seen({});
    for (let n = 0; n < 3; n++) {
      await every(5, 2, () => seen(fails("out_of_disk")));
      await every(5, 2, () => seen(fails("timed_out")));
    }
    await every(9, 4, () => seen(fails("hypervisor_unavailable")));
    expect(alarms(hostId)).toEqual([]);
  });

  test("ends when the VM is deleted", async () => {
    const { hostId, seen, vmId, buyer } = await aVm();
    await every(8, 3, () => seen(fails("out_of_disk")));
    valueOf(await requestAction(cp.deps, { who: buyer, vmId, type: "delete" }));
    await seen({ observed: null });
    expect(alarms(hostId)).toEqual(["opened step_failing", "ended step_failing"]);
  });
});

describe("5.6: staff's mark for tests and the agent's leave to emulate", () => {
  const can = (accelerator: HostFacts["accelerator"], emulation?: boolean) =>
    hostFacts({
      accelerator,
      capabilities: { ...ALL_CAPABILITIES, ...(emulation !== undefined && { emulation }) },
    });

  test.each([
    { testOnly: false, emulation: true, told: ["staff did not mark it"] },
    { testOnly: false, emulation: undefined, told: ["staff did not mark it"] },
    { testOnly: true, emulation: false, told: ["`emulationAllowed`"] },
    { testOnly: true, emulation: true, told: [] },
    { testOnly: false, emulation: false, told: [] },
  ])(
    "that differ are told, and end with it (marked: $testOnly, allowed: $emulation)",
    async ({ testOnly, emulation, told }) => {
      const { hostId } = await aWorld(cp, { testOnly });
      await reports(hostId, { facts: can("tcg", emulation) });
      const open = await openOf(hostId);
      expect(open.map(({ kind }) => kind)).toEqual(told.map(() => "emulation_disagrees"));
      expect(open.map(({ detail }) => detail).join()).toContain(told.join());
      await reports(hostId);
      expect(await openOf(hostId)).toEqual(open);
      await reports(hostId, { facts: can("hardware", emulation) });
      expect(await openOf(hostId)).toEqual([]);
    },
  );
});

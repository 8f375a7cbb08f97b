import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { followMaintenance } from "#commands/hosts/follow-maintenance.ts";
import { tellSilentHosts } from "#commands/hosts/note-findings.ts";
import { FILLERS } from "#commands/fill-mail.ts";
import { sendDueMails } from "#commands/messages/send-mail.ts";
import { sendNotice } from "#commands/hosts/tell-of-maintenance.ts";
import { showHost } from "#commands/hosts/show-hosts.ts";
import { createMeasure } from "#commands/measure.ts";
import { recordReport } from "#commands/moves/record-report.ts";
import { anAgentReport } from "#test/builders.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { differencesOf, runEachStep } from "#test/harness/each-step.ts";
import { emits } from "#test/harness/emits.ts";
import { anActiveVm, aWorld, hostSees, valueOf, type World } from "#test/harness/world.ts";
import {
  askMaintenance,
  cancels,
  hoursFromNow,
  looksAt,
  moves,
  plans,
  stateOf,
} from "./host-move-builders.ts";

/* 6b item 4: a maintenance is announced, begins, may be silent, and is missed when it does not end. */

let cp: ControlPlane;
beforeAll(async () => {
  cp = await startControlPlane();
});
afterAll(() => cp.drop());

const from = (hours: number) => hoursFromNow(cp, hours);
const follows = () => followMaintenance(cp.deps);
/** The subjects of what a customer was mailed, without our name before them. */
const mailsTo = (world: World) =>
  cp.mails
    .filter(({ to }) => to === world.buyer.email)
    .map(({ subject }) => subject.replace("Berth: Maintenance of your servers", "told"));
const alarms = (hostId: string) =>
  cp.log.lines
    .filter((line) => line["host_id"] === hostId && String(line["event"]).startsWith("finding."))
    .map(({ event, kind }) => `${String(event).slice("finding.".length)} ${String(kind)}`);
/** Time goes by as it does: the sweep looks every so often, and what it decided is sent. */
async function pass(hours: number): Promise<void> {
  for (let n = 0; n < 4; n++) {
    cp.clock.advanceMinutes(hours * 15);
    await follows();
    await cp.pump();
  }
}
async function aCustomersWorld() {
  const world = await aWorld(cp, { places: 4 });
  const { vmId } = await anActiveVm(cp, world);
  return { ...world, vmId };
}

describe("customers", () => {
  test("are told so many hours before, once, and by the VMs that they have on the host", async () => {
    const world = await aCustomersWorld();
    const other = await aCustomersWorld();
    const window = { startsAt: from(50), endsAt: from(52), noticeHours: 12 };
    const { effects } = valueOf(await askMaintenance(cp, world.hostId, window, { dryRun: true }));
    expect(effects).toContain(
      "1 VMs of 1 customers are on it: they are told 12 hours before it begins",
    );
    await plans(cp, world.hostId, window);
    await pass(37);
    expect(mailsTo(world)).toEqual([]);
    await pass(2);
    await pass(1);
    expect(mailsTo(world)).toEqual(["told"]);
    expect(mailsTo(other)).toEqual([]);
    const [mail] = cp.mails.filter(({ to }) => to === world.buyer.email);
    expect(mail?.text).toContain("\n  web-1.example.com\n");
    const { maintenance } = valueOf(await showHost(cp.deps, world.hostId));
    expect(maintenance).toMatchObject({ told: 1, window: { ...window, begunAt: null } });
  });

  test("who come after the others were told are told too", async () => {
    const world = await aCustomersWorld();
    await plans(cp, world.hostId, { startsAt: from(20), endsAt: from(22), noticeHours: 12 });
    await pass(9);
    const [late, before] = [{ ...world, ...(await aWorld(cp)) }, mailsTo(world)];
    await cp.rows("update vms set account_id = $2 where id = $1", world.vmId, late.buyer.accountId);
    await pass(1);
    expect([before, mailsTo(world), mailsTo(late)]).toEqual([["told"], ["told"], ["told"]]);
  });

  test("are told at once of another time, and that it is cancelled, if they were told of it", async () => {
    const [told, untold] = [await aCustomersWorld(), await aCustomersWorld()];
    for (const { hostId } of [told, untold])
      await plans(cp, hostId, { startsAt: from(50), endsAt: from(51), noticeHours: 12 });
    await plans(cp, told.hostId, { startsAt: from(13), endsAt: from(14) });
    await pass(2);
    await plans(cp, told.hostId, { startsAt: from(72), endsAt: from(74) });
    await plans(cp, untold.hostId, { startsAt: from(72), endsAt: from(74) });
    await cp.pump();
    expect(mailsTo(told)).toEqual(["told", "told: at another time"]);
    for (const { hostId } of [told, untold]) await cancels(cp, hostId);
    await pass(80);
    expect(mailsTo(told)).toEqual(["told", "told: at another time", "told: cancelled"]);
    expect(mailsTo(untold)).toEqual([]);
    expect(await stateOf(cp, told.hostId)).toBe("active");
  });

  test("are mailed the newest times alone where several notices wait, and once more where the mail was not taken", async () => {
    const world = await aCustomersWorld();
    const window = { startsAt: from(12), endsAt: from(13), noticeHours: 12 };
    await plans(cp, world.hostId, window);
    await plans(cp, world.hostId, { startsAt: from(14), endsAt: from(15) });
    const waiting = await cp.rows(
      "select id from maintenance_notices where account_id = $1 order by id",
      world.buyer.accountId,
    );
    const [first, second] = waiting.map(({ id }) => String(id));
    expect(await sendNotice(cp.deps, first ?? "")).toBe("dropped");
    const down = { ...cp.deps, mail: { send: () => Promise.reject(new Error("no mail today")) } };
    expect(await sendNotice(down, second ?? "")).toBe("put_off");
    expect(await sendNotice(cp.deps, second ?? "")).toBe("nothing_to_do");
    cp.clock.advanceMinutes(1);
    await sendDueMails(cp.deps, FILLERS);
    expect(mailsTo(world)).toContain("told");
    expect(await sendNotice(cp.deps, second ?? "")).toBe("nothing_to_do");
  });
});

describe("a maintenance", () => {
  test("begins by itself, lets its host be silent until its announced end, and is missed from then on", async () => {
    const { hostId } = await aCustomersWorld();
    await plans(cp, hostId, { startsAt: from(12), endsAt: from(14), noticeHours: 12 });
    cp.clock.advanceMinutes(12 * 60 - 1);
    await follows();
    valueOf(await recordReport(cp.deps, hostId, anAgentReport()));
    expect(await stateOf(cp, hostId)).toBe("active");
    cp.clock.advanceMinutes(1);
    expect(await follows()).toMatchObject({ begun: 1 });
    expect(await follows()).toMatchObject({ begun: 0 });
    expect(await stateOf(cp, hostId)).toBe("maintenance");
    cp.clock.advanceMinutes(120);
    const tell = async () => {
      await tellSilentHosts(cp.deps);
      await follows();
    };
    await tell();
    expect(alarms(hostId)).toEqual([]);
    cp.clock.advanceMinutes(6);
    for (let n = 0; n < 2; n++) await tell();
    expect(alarms(hostId)).toEqual(["opened host_silent", "opened maintenance_overran"]);
    valueOf(await recordReport(cp.deps, hostId, anAgentReport()));
    expect(await stateOf(cp, hostId)).toBe("maintenance");
    await moves(cp, "activate", hostId);
    expect(alarms(hostId)).toEqual([
      "opened host_silent",
      "opened maintenance_overran",
      "ended host_silent",
      "ended maintenance_overran",
    ]);
    expect(await stateOf(cp, hostId)).toBe("active");
  });

  test("counts no host as silent that may be, and one that is beyond its end", async () => {
    const plane = await startControlPlane();
    try {
      const { hostId } = await aWorld(plane);
      await plans(plane, hostId, { endsAt: hoursFromNow(plane, 1), noticeHours: 0 });
      const silent = async () => {
        plane.clock.advanceMinutes(30);
        await createMeasure(plane.deps)();
        return /^berth_hosts_silent (\d+)/m.exec(plane.metrics.text())?.[1];
      };
      expect([await silent(), await silent(), await silent()]).toEqual(["0", "0", "1"]);
      expect(plane.metrics.text()).toContain('berth_hosts{state="maintenance"} 1');
    } finally {
      await plane.drop();
    }
  });

  test("that begins now does so at once, tells its customers then, and lets the hypervisor be away", async () => {
    const world = await aCustomersWorld();
    const { hostId } = world;
    expect(await askMaintenance(cp, hostId, { endsAt: from(2) }, { dryRun: true })).toMatchObject({
      error: { code: "notice_too_short" },
    });
    await plans(cp, hostId, { endsAt: from(2), noticeHours: 0 });
    expect(await stateOf(cp, hostId)).toBe("maintenance");
    await cp.pump();
    expect(mailsTo(world)).toEqual(["told"]);
    const hypervisorAway = { code: "hypervisor_unavailable", detail: "no libvirt" };
    const away = async () =>
      valueOf(await recordReport(cp.deps, hostId, anAgentReport({ hypervisorAway })));
    await away();
    expect(alarms(hostId)).toEqual([]);
    cp.clock.advanceMinutes(121);
    await away();
    expect(alarms(hostId)).toEqual(["opened hypervisor_away"]);
  });

  test("that goes on gets another end alone, which ends what was missed, and customers are told of it", async () => {
    const world = await aCustomersWorld();
    const { hostId } = world;
    await plans(cp, hostId, { endsAt: from(1), noticeHours: 0 });
    await pass(2);
    const later = { startsAt: from(5), endsAt: from(6) };
    expect(await askMaintenance(cp, hostId, later, { dryRun: true })).toMatchObject({
      error: { code: "maintenance_invalid" },
    });
    await plans(cp, hostId, { endsAt: from(3) });
    await cp.pump();
    expect(alarms(hostId).filter((told) => told.includes("overran"))).toEqual([
      "opened maintenance_overran",
      "ended maintenance_overran",
    ]);
    expect(mailsTo(world)).toEqual(["told", "told: at another time"]);
    const { host } = valueOf(await showHost(cp.deps, hostId));
    expect(host).toMatchObject({ state: "maintenance", maintenanceUntil: from(3) });
  });

  test.each(["activate", "cordon"] as const)("ends when staff %s its host", async (move) => {
    const { hostId } = await aWorld(cp);
    await plans(cp, hostId, { endsAt: from(1), noticeHours: 0 });
    const { effects } = await moves(cp, move, hostId);
    expect(effects.join()).toContain("its maintenance, announced until");
    const { maintenance, host } = valueOf(await showHost(cp.deps, hostId));
    expect({ maintenance, until: host.maintenanceUntil }).toEqual({
      maintenance: null,
      until: null,
    });
    expect(await looksAt(cp, "cordon", hostId)).toMatchObject({ ok: true });
  });

  test("leaves its VMs and their documents alone", async () => {
    const { hostId, vmId } = await aCustomersWorld();
    const document = () =>
      cp.rows(
        `select h.desired_generation, v.generation, v.desired_power from hosts h join vms v on v.host_id = h.id
          where v.id = $1`,
        vmId,
      );
    const before = await document();
    await plans(cp, hostId, { endsAt: from(1), noticeHours: 0 });
    await moves(cp, "activate", hostId);
    expect(await document()).toEqual(before);
    expect(await hostSees(cp, hostId, vmId, {})).toEqual({ accepted: 1, ignored: 0 });
  });

  test("whose time was over before anybody swept did not take place", async () => {
    const world = await aCustomersWorld();
    await plans(cp, world.hostId, { startsAt: from(12), endsAt: from(13), noticeHours: 12 });
    await cp.pump();
    cp.clock.advanceMinutes(14 * 60);
    expect(await follows()).toMatchObject({ begun: 0 });
    await cp.pump();
    expect(await stateOf(cp, world.hostId)).toBe("active");
    expect(valueOf(await showHost(cp.deps, world.hostId)).maintenance).toBeNull();
  });

  test("of a host that is retired is cancelled, and none is planned for one", async () => {
    const { hostId } = await aWorld(cp);
    await plans(cp, hostId, { startsAt: from(72), endsAt: from(73) });
    await moves(cp, "cordon", hostId);
    await moves(cp, "retire", hostId);
    expect(valueOf(await showHost(cp.deps, hostId)).maintenance).toBeNull();
    const again = { startsAt: from(72), endsAt: from(73) };
    expect(await askMaintenance(cp, hostId, again, { dryRun: true })).toMatchObject({
      error: { code: "host_wrong_state" },
    });
    await expect(cancels(cp, hostId)).rejects.toThrow("no_maintenance");
  });

  test("is planned once, however often, and at whichever step it fails", async () => {
    const run = await runEachStep(cp, {
      arrange: async () => {
        const world = await aCustomersWorld();
        return { world, window: { startsAt: from(12), endsAt: from(13), noticeHours: 12 } };
      },
      act: ({ world, window }) => plans(cp, world.hostId, window),
    });
    expect(differencesOf(run)).toEqual([]);
  });

  test("begins once, is told of once and missed once by sweeps that run beside each other", async () => {
    const world = await aCustomersWorld();
    await plans(cp, world.hostId, { startsAt: from(12), endsAt: from(13), noticeHours: 11 });
    const atOnce = async () => {
      await Promise.all([follows(), follows(), follows()]);
      await cp.pump();
    };
    cp.clock.advanceMinutes(60);
    await atOnce();
    cp.clock.advanceMinutes(660);
    await atOnce();
    cp.clock.advanceMinutes(61);
    await atOnce();
    expect(mailsTo(world)).toEqual(["told"]);
    expect(alarms(world.hostId)).toEqual(["opened maintenance_overran"]);
    const begun = await cp.rows(
      "select detail ->> 'from' as was from audit_log where subject_id = $1 and action = 'host.begin_maintenance'",
      world.hostId,
    );
    expect(begun).toEqual([{ was: "active" }]);
  });

  test("is said so in the outbox", async () => {
    const { hostId } = await aCustomersWorld();
    const window = { startsAt: from(12), endsAt: from(13), noticeHours: 12 };
    const { effects } = await emits(
      cp,
      ["maintenance.changed.v1", "maintenance.notice_fell_due.v1"],
      () => plans(cp, hostId, window),
    );
    expect(effects[0]).toContain("its maintenance is from");
    await emits(cp, ["maintenance.changed.v1", "maintenance.notice_fell_due.v1"], () =>
      cancels(cp, hostId),
    );
  });
});

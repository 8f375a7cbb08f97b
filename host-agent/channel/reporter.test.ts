import { expect, test } from "vitest";
import type { MoveReport } from "#core/contracts/agent/moves.ts";
import type { AgentReport, HostFacts, VmReport } from "#core/contracts/agent/report.ts";
import { createSimulatedDriver } from "#host-agent/drivers/simulated/driver.ts";
import { memoryWorld } from "#host-agent/drivers/simulated/world.ts";
import { randomIds, realClock } from "#test/drivers/builders.ts";
import { createFakeControlPlane, unreachable } from "#test/drivers/fake-control-plane.ts";
import { createVirtualClock } from "#test/drivers/virtual-clock.ts";
import { ControlPlaneError, IdentityRevoked } from "./control-plane.ts";
import { createReporter } from "./reporter.ts";

const facts = (): Promise<HostFacts> =>
  createSimulatedDriver({ world: memoryWorld(), clock: realClock, ids: randomIds }).facts();
const aVm = (over: Partial<VmReport> = {}): VmReport => ({
  vmId: randomIds.newId(),
  generation: 1,
  ownerEpoch: 1,
  observed: null,
  settled: true,
  error: null,
  ...over,
});
const anAction = () =>
  ({
    actionId: randomIds.newId(),
    vmId: randomIds.newId(),
    outcome: "success",
    error: null,
  }) as const;

/** A reporter whose control plane answers as `fails` says, with all that was sent and all that was stored. */
function aReporter() {
  const clock = createVirtualClock();
  const life = new AbortController();
  const sent: AgentReport[] = [];
  const revoked: Error[] = [];
  const plane = createFakeControlPlane();
  const answer: { fails: (report: AgentReport) => Error | null } = { fails: () => null };
  const reporter = createReporter({
    controlPlane: {
      ...plane,
      report: async (report) => {
        sent.push(report);
        const error = answer.fails(report);
        if (error !== null) throw error;
        return plane.report(report);
      },
    },
    desired: {
      current: () => null,
      refused: () => null,
    },
    clock,
    log: { info: () => undefined, error: () => undefined },
    signal: life.signal,
    revoked: (error) => {
      revoked.push(error);
      life.abort(error);
    },
  });
  return { reporter, clock, sent, revoked, stored: plane.reports, answer };
}

test("what could not be sent is sent when the control plane is back: the newest of each VM, and all else", async () => {
  const { reporter, clock, stored, answer } = aReporter();
  const [same, changed] = [aVm(), aVm()];
  const [action, host] = [anAction(), await facts()];
  const stranger = { vmId: randomIds.newId(), ownerEpoch: 4 };
  answer.fails = unreachable;
  reporter.vm(same, false);
  reporter.vm(changed, false);
  reporter.action(action);
  reporter.facts(host);
  reporter.strangers([stranger], false);
  await reporter.flushed();
  expect(stored).toEqual([]);
  // While the attempt that fails is on its way, and known only then to be the newer one.
  answer.fails = () => {
    answer.fails = () => null;
    reporter.vm({ ...changed, generation: 2 }, false);
    return unreachable();
  };
  await clock.advance(3_600_000);
  await reporter.flushed();
  expect(stored.flatMap((report) => report.vms)).toHaveLength(2);
  expect(stored.flatMap((report) => report.vms)).toEqual(
    expect.arrayContaining([same, { ...changed, generation: 2 }]),
  );
  expect(stored.flatMap((report) => report.actions)).toEqual([action]);
  expect(stored.flatMap((report) => report.facts ?? [])).toEqual([host]);
  expect(stored.at(-1)?.strangers).toEqual([stranger]);
});

test("what was stored is sent again only when it is asked for, or is news", async () => {
  const { reporter, stored } = aReporter();
  const vm = aVm();
  const tell = async (report: VmReport, again = false) => {
    reporter.vm(report, again);
    await reporter.flushed();
  };
  await tell(vm);
  await tell(vm);
  expect(stored).toHaveLength(1);
  await tell(vm, true);
  await tell({ ...vm, settled: false });
  expect(stored.map(({ vms }) => vms)).toEqual([[vm], [vm], [{ ...vm, settled: false }]]);
  reporter.action(anAction());
  await reporter.flushed();
  await tell(vm);
  expect(stored.map(({ actions }) => actions.length)).toEqual([0, 0, 0, 1, 0]);
});

test("of a report that is refused for good only what is refused alone is given up", async () => {
  const { reporter, sent, stored, answer } = aReporter();
  const [good, bad] = [aVm(), aVm()];
  const [fine, wrong] = [anAction(), anAction()];
  const host = await facts();
  answer.fails = ({ vms, actions }) =>
    vms.includes(bad) || actions.includes(wrong)
      ? new ControlPlaneError(400, "invalid_request", "not understood")
      : null;
  for (const vm of [bad, good]) reporter.vm(vm, false);
  for (const action of [wrong, fine]) reporter.action(action);
  reporter.facts(host);
  await reporter.flushed();
  expect(stored.flatMap((report) => report.vms)).toEqual([good]);
  expect(stored.flatMap((report) => report.actions)).toEqual([fine]);
  expect(stored.flatMap((report) => report.facts ?? [])).toEqual([host]);
  // Given up: the same is not sent again and again.
  const before = sent.length;
  reporter.vm(bad, false);
  await reporter.flushed();
  expect(sent).toHaveLength(before);
});

test("an outage in the midst of the parts of a refused report loses none of them", async () => {
  const { reporter, clock, stored, answer } = aReporter();
  const vms = [aVm(), aVm(), aVm()];
  let calls = 0;
  answer.fails = (report) => {
    calls += 1;
    if (calls === 3) return unreachable();
    return report.vms.length === 3 && calls === 1
      ? new ControlPlaneError(422, "invalid_request", "not understood")
      : null;
  };
  for (const vm of vms) reporter.vm(vm, false);
  await reporter.flushed();
  await clock.advance(3_600_000);
  await reporter.flushed();
  expect(stored.flatMap((report) => report.vms)).toEqual(vms);
});

test("a revoked identity is told, and nothing more is sent under it", async () => {
  const { reporter, clock, sent, revoked, answer } = aReporter();
  const why = new IdentityRevoked(401, "identity_revoked", "another key was enrolled");
  answer.fails = () => why;
  reporter.vm(aVm(), false);
  await reporter.flushed();
  await clock.advance(3_600_000);
  expect(revoked).toEqual([why]);
  expect(sent).toHaveLength(1);
});

test("of a VM that is desired no longer nothing more is told, and all again once it is", async () => {
  const { reporter, clock, stored, answer } = aReporter();
  const vm = aVm();
  answer.fails = unreachable;
  reporter.vm(vm, false);
  await reporter.flushed();
  reporter.forget(vm.vmId);
  answer.fails = () => null;
  await clock.advance(3_600_000);
  await reporter.flushed();
  expect(stored.flatMap((report) => report.vms)).toEqual([]);
  for (let n = 0; n < 2; n++) {
    reporter.vm(vm, false);
    await reporter.flushed();
    reporter.forget(vm.vmId);
  }
  expect(stored.flatMap((report) => report.vms)).toEqual([vm, vm]);
});

test("VMs that nobody named are told when others are there than before, or when it is asked for", async () => {
  const { reporter, stored } = aReporter();
  const tell = async (list: AgentReport["strangers"], again = false) => {
    reporter.strangers(list, again);
    await reporter.flushed();
  };
  const one = { vmId: randomIds.newId(), ownerEpoch: 4 };
  await tell([]);
  expect(stored).toEqual([]);
  await tell([one]);
  await tell([one]);
  await tell([{ ...one, ownerEpoch: 5 }]);
  await tell([{ ...one, ownerEpoch: 5 }], true);
  await tell([]);
  expect(stored.map(({ strangers }) => strangers.map(({ ownerEpoch }) => ownerEpoch))).toEqual([
    [4],
    [5],
    [5],
    [],
  ]);
});

const aMove = (over: Partial<MoveReport> = {}): MoveReport => ({
  moveId: randomIds.newId(),
  vmId: randomIds.newId(),
  step: "copy",
  done: null,
  error: null,
  ...over,
});

test("a word of a move is sent when it is another one, or asked for again, and the newest after an outage", async () => {
  const { reporter, clock, stored, answer } = aReporter();
  const move = aMove({ bytes: "1" });
  const told = () => stored.flatMap((report) => report.moves ?? []);
  reporter.move(move, false);
  await reporter.flushed();
  reporter.move(move, false);
  await reporter.flushed();
  expect(told()).toEqual([move]);
  reporter.move(move, true);
  await reporter.flushed();
  expect(told()).toEqual([move, move]);

  answer.fails = () => unreachable();
  reporter.move({ ...move, bytes: "2" }, false);
  await clock.advance(100);
  reporter.move({ ...move, bytes: "3" }, false);
  answer.fails = () => null;
  await clock.advance(60_000);
  expect(told().slice(2)).toEqual([{ ...move, bytes: "3" }]);
  // Of another move of the same VM nothing is known.
  reporter.forgetMove(move.vmId);
  reporter.move({ ...move, bytes: "3" }, false);
  await reporter.flushed();
  expect(told()).toHaveLength(4);
});

test("a word of a move that is refused alone keeps no other back", async () => {
  const { reporter, stored, answer } = aReporter();
  const [bad, good] = [aMove(), aMove()];
  answer.fails = (report) =>
    report.moves?.some(({ vmId }) => vmId === bad.vmId)
      ? new ControlPlaneError(400, "invalid_request", "no")
      : null;
  reporter.move(bad, false);
  reporter.move(good, false);
  await reporter.flushed();
  expect(stored.flatMap((report) => report.moves ?? [])).toEqual([good]);
});

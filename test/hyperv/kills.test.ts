import { describe, expect, test } from "vitest";
import type { DesiredVm } from "#core/contracts/agent/desired.ts";
import { DriverError } from "#host-agent/drivers/driver.ts";
import type { HypervDriver } from "#host-agent/drivers/hyperv/driver.ts";
import { diceFor, LONG, sampled } from "#test/harness/extent.ts";
import { aDesiredVm, eventually, SECRETS } from "../drivers/builders.ts";
import { aWorld, noPwsh, type World } from "./world.ts";

const CHECKPOINT = "00000000-0000-4000-8000-00000000000c";
type Case = {
  operation: string;
  /** What is there before. */
  given: (driver: HypervDriver, vm: DesiredVm) => Promise<void>;
  run: (driver: HypervDriver, vm: DesiredVm, signal?: AbortSignal) => Promise<unknown>;
  /** What must be seen in the end; null: nothing. */
  outcome: object | null;
  /** It asks the guest, which may be busy with what it was asked before: asked again then, as the agent does. */
  asksGuest?: boolean;
};
const seenGuest = async (driver: HypervDriver, vm: DesiredVm) => {
  await driver.create(vm);
  await driver.start(vm);
  await eventually("the guest is up", async () =>
    (await driver.list()).find((other) => other.vmId === vm.vmId && other.guest !== null),
  );
};
const made = (driver: HypervDriver, vm: DesiredVm) => driver.create(vm);
const bigger = { vcpus: 2, memoryMib: 256, diskGib: 4 };
const CASES: Case[] = [
  {
    operation: "create",
    given: async () => undefined,
    run: (driver, vm, signal) => driver.create(vm, signal),
    outcome: { power: "off", complete: true },
  },
  {
    operation: "start",
    given: made,
    run: (driver, vm, signal) => driver.start(vm, signal),
    outcome: { power: "running", complete: true },
  },
  {
    operation: "stop",
    given: async (driver, vm) => {
      await driver.create(vm);
      await driver.start(vm);
    },
    run: (driver, vm, signal) => driver.stop(vm, "firm", signal),
    outcome: { power: "off", complete: true },
  },
  {
    operation: "stop, graceful",
    given: seenGuest,
    run: (driver, vm, signal) => driver.stop(vm, "graceful", signal),
    outcome: { power: "off", complete: true },
    asksGuest: true,
  },
  {
    operation: "reset",
    given: seenGuest,
    run: (driver, vm, signal) => driver.once(vm, "reset", signal),
    outcome: { power: "running", complete: true },
  },
  {
    operation: "reboot",
    given: seenGuest,
    run: (driver, vm, signal) => driver.once(vm, "reboot", signal),
    outcome: { power: "running", complete: true },
    asksGuest: true,
  },
  {
    operation: "resize",
    given: made,
    run: (driver, vm, signal) => driver.resize({ ...vm, size: bigger }, signal),
    outcome: { power: "off", complete: true, size: bigger },
  },
  {
    operation: "eraseSeed",
    given: made,
    run: (driver, vm, signal) => driver.eraseSeed(vm, signal),
    outcome: { power: "off", complete: true, seeded: false },
  },
  {
    operation: "checkpoint",
    given: made,
    run: (driver, vm, signal) => driver.checkpoint(vm, CHECKPOINT, signal),
    outcome: { power: "off", complete: true },
  },
  {
    operation: "revert",
    given: async (driver, vm) => {
      await driver.create(vm);
      await driver.checkpoint(vm, CHECKPOINT);
      await driver.start(vm);
    },
    run: (driver, vm, signal) => driver.revert(vm, CHECKPOINT, signal),
    outcome: { power: "off", complete: true },
  },
  {
    operation: "deleteCheckpoint",
    given: async (driver, vm) => {
      await driver.create(vm);
      await driver.checkpoint(vm, CHECKPOINT);
    },
    run: (driver, vm, signal) => driver.deleteCheckpoint(vm, CHECKPOINT, signal),
    outcome: { power: "off", complete: true },
  },
  {
    operation: "destroy",
    given: async (driver, vm) => {
      await driver.create(vm);
      await driver.start(vm);
    },
    run: (driver, vm, signal) => driver.destroy(vm, signal),
    outcome: null,
  },
];
/** Looks: what is there stays as it is, and one VM serves for all kills. */
const LOOKS: Omit<Case, "given" | "outcome">[] = [
  { operation: "facts", run: (driver, _, signal) => driver.facts(signal) },
  { operation: "list", run: (driver, _, signal) => driver.list(signal) },
  { operation: "counters", run: (driver, _, signal) => driver.counters(signal) },
  { operation: "checkpoints", run: (driver, vm, signal) => driver.checkpoints(vm, signal) },
];
/** The same cmdlets as any other creation: tried at random moments only. */
const OF_WINDOWS: Case = {
  operation: "create, of Windows",
  given: async () => undefined,
  run: (driver, vm, signal) =>
    driver.create({ ...vm, image: { ...vm.image, os: "windows" } }, signal, SECRETS),
  outcome: { power: "off", complete: true, seeded: true },
};
/**
 * A call of a cmdlet has two edges: before its first change, and after its last. Each kill costs a new PowerShell, so
 * that of many edges so many are taken, other ones each day (`extent.ts`); in the long form all are.
 */
const MOST_EDGES = 1;
const chosen = (operation: string, edges: number): readonly number[] =>
  sampled(
    `edges of ${operation}`,
    Array.from({ length: edges }, (_, n) => n + 1),
    MOST_EDGES,
  );
/** So many moments that nobody chose. */
const MOMENTS = LONG ? 2 : 1;
/** Of the kills some come too late to hit anything. */
const LEAST_KILLS = LONG ? 100 : 15;
/** When to kill, in whole milliseconds below `ms`. What that hits is the machine's affair. */
const moments = diceFor("moments of kills");
const momentBelow = (ms: number): number => moments.int(0, ms - 1);

describe.skipIf(noPwsh !== null)(
  `the worker killed${noPwsh ? ` (skipped: ${noPwsh})` : ""}`,
  () => {
    let kills = 0;
    type Host = Readonly<{ world: World; driver: HypervDriver }>;
    /** A host for each test, so that they can run side by side: most of the time goes into new workers. */
    const onHost = async (use: (host: Host) => Promise<void>) => {
      const world = await aWorld();
      try {
        const driver = world.open();
        await driver.list();
        await use({ world, driver });
      } finally {
        await world.close();
      }
    };

    const look = async ({ driver }: Host, vm: DesiredVm) => {
      const seen = (await driver.list()).filter((other) => other.vmId === vm.vmId);
      expect(seen.length).toBeLessThanOrEqual(1);
      expect([undefined, vm.ownerEpoch]).toContain(seen[0]?.ownerEpoch);
      return seen[0] ?? null;
    };
    /** What a kill left is seen by `list`, and the same call goes on from it to the same end. */
    const converges = async (host: Host, vm: DesiredVm, one: Case) => {
      const { world, driver } = host;
      await look(host, vm);
      await eventually(`${one.operation} is done`, () =>
        one.run(driver, vm).then(
          () => true,
          (error: unknown) => {
            if (one.asksGuest && error instanceof DriverError && error.code === "unsupported")
              return false;
            throw error;
          },
        ),
      );
      if (one.asksGuest)
        await eventually(`${one.operation} has its end`, async () =>
          isLike(await look(host, vm), one.outcome),
        );
      const seen = await look(host, vm);
      if (one.outcome === null) expect(seen).toBeNull();
      else expect(seen).toMatchObject(one.outcome);
      const left = (await world.vms()).filter((other) => other.Name === vm.vmId);
      expect(left.length, "no second VM was left behind").toBe(one.outcome === null ? 0 : 1);
      if (one.outcome !== null) await driver.start(vm);
      await driver.destroy(vm);
    };

    test.concurrent.each(CASES)(
      "at the edges of the cmdlets of $operation: the same call goes on",
      (one) =>
        onHost(async (host) => {
          const { world, driver } = host;
          const whole = aDesiredVm({ image: world.image, ownerEpoch: 3 });
          await one.given(driver, whole);
          const edges = await world.countEdges(() => one.run(driver, whole));
          expect(edges).toBeGreaterThan(1);
          await driver.destroy(whole);
          for (const edge of chosen(one.operation, edges)) {
            const vm = aDesiredVm({ image: world.image, ownerEpoch: 3 });
            await one.given(driver, vm);
            await world.killAt(edge);
            const died = await one.run(driver, vm).then(
              () => false,
              () => true,
            );
            const outlived = await world.outlived();
            expect(died, `killed at edge ${edge} of ${edges}, and told as an error`).toBe(
              !outlived,
            );
            kills += died ? 1 : 0;
            await converges(host, vm, one);
          }
        }),
    );

    test.concurrent.each([...CASES, OF_WINDOWS])(
      `at ${MOMENTS} random moments of $operation: the same call goes on`,
      (one) =>
        onHost(async (host) => {
          const { world, driver } = host;
          for (let n = 0; n < MOMENTS; n++) {
            const vm = aDesiredVm({ image: world.image });
            await one.given(driver, vm);
            const afterMs = momentBelow(150);
            // What an abort does to a call that runs is to kill its worker.
            const killed = await one.run(driver, vm, AbortSignal.timeout(afterMs)).then(
              () => 0,
              () => 1,
            );
            kills += killed;
            await converges(host, vm, one);
            expect(await look(host, vm)).toBeNull();
          }
        }),
    );

    test.concurrent.each(LOOKS)(
      "at the edges of the cmdlets of $operation, and at random moments: nothing has changed",
      (one) =>
        onHost(async (host) => {
          const { world, driver } = host;
          const vm = aDesiredVm({ image: world.image, ownerEpoch: 3 });
          await driver.create(vm);
          await driver.start(vm);
          const before = await look(host, vm);
          const edges = await world.countEdges(() => one.run(driver, vm));
          for (const edge of chosen(one.operation, edges)) {
            await world.killAt(edge);
            const died = await one.run(driver, vm).then(
              () => false,
              () => true,
            );
            expect(died, `killed at edge ${edge} of ${edges}, and told as an error`).toBe(
              !(await world.outlived()),
            );
            kills += died ? 1 : 0;
            await one.run(driver, vm);
            expect({ ...(await look(host, vm)), guest: null }).toEqual({ ...before, guest: null });
          }
          for (let n = 0; n < 3; n++) {
            const signal = AbortSignal.timeout(momentBelow(30));
            kills += await one.run(driver, vm, signal).then(
              () => 0,
              () => 1,
            );
            await one.run(driver, vm);
            expect({ ...(await look(host, vm)), guest: null }).toEqual({ ...before, guest: null });
          }
        }),
    );

    test.concurrent(`at ${3 * MOMENTS} random moments of its own start: the next call has another worker`, () =>
      onHost(async (host) => {
        const vm = aDesiredVm({ image: host.world.image });
        await host.driver.create(vm);
        for (let n = 0; n < 3 * MOMENTS; n++) {
          const driver = host.world.open();
          const signal = AbortSignal.timeout(momentBelow(800));
          kills += await driver.start(vm, signal).then(
            () => 0,
            () => 1,
          );
          await driver.start(vm);
          expect(await look(host, vm)).toMatchObject({ power: "running", complete: true });
          await driver.stop(vm, "firm");
          await driver.close();
        }
      }));

    test(`was killed ${LEAST_KILLS} times and more`, ({ task }) => {
      task.meta.figures = { "kills of the worker": kills };
      expect(kills).toBeGreaterThanOrEqual(LEAST_KILLS);
    });
  },
);

const isLike = (seen: object | null, wanted: object | null): boolean =>
  wanted === null
    ? seen === null
    : seen !== null &&
      new Map(Object.entries(seen)).get("power") === new Map(Object.entries(wanted)).get("power");

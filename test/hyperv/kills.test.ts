import { afterAll, describe, expect, test } from "vitest";
import type { DesiredVm } from "#core/contracts/agent.ts";
import type { HypervDriver } from "#host-agent/drivers/hyperv/driver.ts";
import { aDesiredVm, SECRETS } from "../drivers/builders.ts";
import { aWorld, noPwsh, type World } from "./world.ts";

const CHECKPOINT = "00000000-0000-4000-8000-00000000000c";
type Case = {
  operation: string;
  /** What is there before. */
  given: (driver: HypervDriver, vm: DesiredVm) => Promise<void>;
  run: (driver: HypervDriver, vm: DesiredVm, signal?: AbortSignal) => Promise<void>;
  /** What must be seen in the end; null: nothing. */
  outcome: object | null;
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
/** The same cmdlets as any other creation: tried at random moments only. */
const OF_WINDOWS: Case = {
  operation: "create, of Windows",
  given: async () => undefined,
  run: (driver, vm, signal) =>
    driver.create({ ...vm, image: { ...vm.image, os: "windows" } }, signal, SECRETS),
  outcome: { power: "off", complete: true, seeded: true },
};
/** A call has two edges: before its first change, and after its last. No operation makes this many calls. */
const EDGES = 400;

describe.skipIf(noPwsh !== null)(
  `the worker killed${noPwsh ? ` (skipped: ${noPwsh})` : ""}`,
  () => {
    let kills = 0;
    const worlds: World[] = [];
    afterAll(() => Promise.all(worlds.map((world) => world.close())));
    /** A host for each operation, so that they can be tried side by side: most of the time goes into new workers. */
    const aHost = async () => {
      const world = await aWorld();
      worlds.push(world);
      const driver = world.open();
      await driver.list();
      return { world, driver };
    };
    type Host = Awaited<ReturnType<typeof aHost>>;

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
      await one.run(driver, vm);
      const seen = await look(host, vm);
      if (one.outcome === null) expect(seen).toBeNull();
      else expect(seen).toMatchObject(one.outcome);
      const left = (await world.vms()).filter((other) => other.Name === vm.vmId);
      expect(left.length, "no second VM was left behind").toBe(one.outcome === null ? 0 : 1);
      if (one.outcome !== null) await driver.start(vm);
      await driver.destroy(vm);
    };

    test.concurrent.each(CASES)(
      "at every edge of every cmdlet of $operation: the same call goes on",
      { timeout: 900_000 },
      async (one) => {
        const host = await aHost();
        const { world, driver } = host;
        let reached = 0;
        for (let edge = 1; edge < EDGES; edge++) {
          const vm = aDesiredVm({ image: world.image, ownerEpoch: 3 });
          await one.given(driver, vm);
          await world.killAt(edge);
          const died = await one.run(driver, vm).then(
            () => false,
            () => true,
          );
          const outlived = await world.outlived();
          expect(died, "the kill is told as an error, and its lack is none").toBe(!outlived);
          if (outlived) {
            await driver.destroy(vm);
            break;
          }
          reached += 1;
          kills += 1;
          await converges(host, vm, one);
        }
        expect(reached).toBeGreaterThan(1);
      },
    );

    test.concurrent.each([...CASES, OF_WINDOWS])(
      "at three random moments of $operation: the same call goes on",
      { timeout: 300_000 },
      async (one) => {
        const host = await aHost();
        const { world, driver } = host;
        for (let n = 0; n < 3; n++) {
          const vm = aDesiredVm({ image: world.image });
          await one.given(driver, vm);
          const afterMs = Math.floor(Math.random() * 150);
          // What an abort does to a call that runs is to kill its worker.
          const killed = await one.run(driver, vm, AbortSignal.timeout(afterMs)).then(
            () => 0,
            () => 1,
          );
          kills += killed;
          await converges(host, vm, one);
          expect(await look(host, vm)).toBeNull();
        }
      },
    );

    test("was killed a hundred times and more", ({ task }) => {
      task.meta.figures = { "kills of the worker": kills };
      expect(kills).toBeGreaterThanOrEqual(100);
    });
  },
);

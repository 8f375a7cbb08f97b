import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { build } from "esbuild";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createHttpControlPlane } from "#host-agent/channel/control-plane.ts";
import { createSimulatedDriver } from "#host-agent/drivers/simulated/driver.ts";
import { folderWorld } from "#host-agent/drivers/simulated/world.ts";
import { enroll } from "#host-agent/channel/identity.ts";
import { fileStore } from "#host-agent/state/state-store.ts";
import { diceFor, LONG } from "#test/harness/extent.ts";
import { PATIENCE_MS } from "#test/harness/patience.ts";
import { aDesiredVm, eventually, randomIds, realClock } from "./builders.ts";
import { createFakeControlPlane } from "./fake-control-plane.ts";
import { startHttpPlane } from "./http-plane.ts";

/** Kills in the middle of creating, starting or destroying; those at rest come on top. */
const KILLS = LONG ? 200 : 16;
/** Each story is three agents and three kills, of which the first two are meant to hit work. */
const MOST_STORIES = 2 * KILLS;
/** As many at once as two cores carry. */
const LANES = 3;
/** The first story's; the next ones follow it. */
const FIRST = Number(process.env["BERTH_CRASH_SEED"] ?? diceFor("kills").int(1, 1_000_000));

let folder: string;
let program: string;
let plane: Awaited<ReturnType<typeof startHttpPlane>>;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "berth-crash-"));
  program = path.join(folder, "crash-agent.mjs");
  await build({
    entryPoints: [path.join(import.meta.dirname, "crash-agent.ts")],
    bundle: true,
    platform: "node",
    format: "esm",
    outfile: program,
    logLevel: "error",
  });
  plane = await startHttpPlane();
});
afterAll(async () => {
  await plane.close();
  await rm(folder, { recursive: true, force: true });
});

/** mulberry32 (public domain, Tommy Ettinger): small, seeded, good enough to choose where to die. */
function dice(seed: number) {
  let state = seed >>> 0;
  return (sides: number): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return (((t ^ (t >>> 14)) >>> 0) % sides) + 1;
  };
}

type Tally = { kills: number; atStep: number; inMidAir: number; idle: number; ms: number };

/** One VM's life on one host, with every agent killed: while creating, while destroying, and at rest. */
async function story(seed: number, tally: Tally): Promise<void> {
  const roll = dice(seed);
  const here = path.join(folder, String(seed));
  const fake = createFakeControlPlane();
  // No doorbell ever rings: only this timer converges.
  fake.session_ = {
    doorbell: null,
    intervals: { resyncSeconds: 0.04, usageSampleSeconds: 0.03, usageFlushSeconds: 0.08 },
  };
  const apiUrl = plane.add(String(seed), fake);
  const world = folderWorld(path.join(here, "world"));
  const stateDir = path.join(here, "state");
  await enroll(
    fileStore(stateDir, { durable: false }),
    createHttpControlPlane({ apiUrl, fetch, clock: realClock, sign: null }),
    {
      joinToken: "a-join-token-for-the-test",
      facts: await createSimulatedDriver({ world, clock: realClock, ids: randomIds }).facts(),
    },
  );
  const vm = aDesiredVm({ ownerEpoch: 5 });
  fake.want([vm]);

  const start = (dieAt: { presence: "present" | "absent"; step: number } | null) =>
    spawn(
      process.execPath,
      [program, JSON.stringify({ apiUrl, stateDir, world: path.join(here, "world"), dieAt })],
      {
        stdio: ["ignore", "ignore", "pipe"],
        env: { ...process.env, NODE_COMPILE_CACHE: path.join(folder, "cache") },
      },
    );
  /** Dead by its own hand at its step, by ours in mid-air after `ms`, or by ours when there was nothing left to do. */
  const untilDead = async (agent: ChildProcess, done: () => boolean, ms: number | null) => {
    const began = performance.now();
    let said = "";
    agent.stderr?.on("data", (chunk: Buffer) => (said += chunk.toString()));
    const exit = once(agent, "exit");
    const idle = ms === null ? eventually("settled", done, PATIENCE_MS, 5) : wait(ms);
    const first = await Promise.race([
      exit.then(() => "atStep" as const),
      idle.then(() => (ms === null ? ("idle" as const) : ("inMidAir" as const))),
    ]).catch((cause: unknown) => {
      throw new Error(`seed ${seed}: ${String(cause)}\n${said}`, { cause });
    });
    agent.kill("SIGKILL");
    const [, signal] = await exit;
    if (signal !== "SIGKILL") throw new Error(`seed ${seed}: the agent ended by itself\n${said}`);
    idle.catch(() => undefined);
    tally.kills += 1;
    tally[first] += 1;
    tally.ms += performance.now() - began;
  };

  const running = () => fake.last(vm.vmId)?.observed?.guest?.source === "simulated";
  const gone = () => {
    const last = fake.last(vm.vmId);
    return last?.settled === true && last.observed === null;
  };

  // Most die at a chosen step; every fourth at a moment that nobody chose.
  const midAir = () => (roll(4) === 1 ? 40 + roll(60) : null);
  await untilDead(start({ presence: "present", step: roll(14) }), running, midAir());
  const made = (await world.vm(vm.vmId))?.disk?.serial;

  // The second finishes what the first left, and then dies while destroying it.
  const second = start({ presence: "absent", step: roll(10) });
  await eventually(`seed ${seed}: the VM runs`, running, PATIENCE_MS, 5);
  const [only, ...others] = await world.vms();
  expect(others).toEqual([]);
  expect(only).toMatchObject({ vmId: vm.vmId, ownerEpoch: 5, starts: 1 });
  expect(only?.disk?.serial).toBe(made ?? only?.disk?.serial);
  fake.change(vm.vmId, { presence: "absent" });
  await untilDead(second, gone, midAir());

  // The third must say for itself that nothing is left.
  fake.reports.length = 0;
  await untilDead(start(null), gone, null);
  expect(await world.vms()).toEqual([]);
  const trash = await world.trash();
  expect(trash.map((disk) => disk.serial)).toEqual([only?.disk?.serial]);
  // Each sample was accepted once, and one follows the other.
  const samples = [...fake.samples.values()].sort((a, b) => a.seq - b.seq);
  expect(samples.map((sample) => sample.seq)).toEqual(samples.map((_, n) => n));
  expect(samples.slice(1).map((sample) => sample.from)).toEqual(
    samples.slice(0, -1).map((sample) => sample.to),
  );
}

test(`${KILLS} agents killed in the middle of their work leave one VM, made once, and then none (seed ${FIRST})`, async () => {
  const tally: Tally = { kills: 0, atStep: 0, inMidAir: 0, idle: 0, ms: 0 };
  const inWork = () => tally.atStep + tally.inMidAir;
  const seeds = Array.from({ length: MOST_STORIES }, (_, n) => FIRST + n);
  const began = performance.now();
  await Promise.all(
    Array.from({ length: LANES }, async () => {
      while (inWork() < KILLS) {
        const seed = seeds.shift();
        if (seed === undefined) return;
        await story(seed, tally);
      }
    }),
  );
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  console.info(
    `${tally.kills} kills in ${seconds} s (${Math.round(tally.ms / tally.kills)} ms each): ` +
      `${tally.atStep} at a step, ${tally.inMidAir} in mid-air, ${tally.idle} at rest`,
  );
  expect(inWork()).toBeGreaterThanOrEqual(KILLS);
});

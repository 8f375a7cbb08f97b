import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { diceFor, drawnBy, LONG } from "#test/harness/extent.ts";
import { openGround } from "./libvirt-daemon.ts";
import {
  openMoveWorld,
  until,
  type Moved,
  type MoveHostProcess,
  type MoveWorld,
} from "./move-world.ts";

/* 6b item 3: moves of a guest that counts and writes, there and back between two KVM hosts, by their agents. */

const ground = await openGround();
const why = ground.available ? "" : ` (skipped: ${ground.reason})`;
const LIVE = LONG ? 20 : 4;
const KILLED = LONG ? 20 : 4;
const COLD = LONG ? 10 : 2;
const dice = diceFor("kills of live moves");
/** Without a word for so long a guest has hung: more than twice what it takes to boot beside much else. */
const HANGS_MS = 240_000;

describe.skipIf(!ground.available)(`moves between agents of KVM hosts${why}`, () => {
  let world: MoveWorld;
  let vmId: string;
  /** How long the copy has taken of a move that nobody disturbed, the longest. */
  let copyMs = 5_000;
  beforeAll(async () => {
    if (!ground.available) return;
    const folder = await mkdtemp(path.join(tmpdir(), "berth-moves-"));
    world = await openMoveWorld(folder, ground.image);
    vmId = await world.aVm("one");
  });
  afterAll(async () => await world?.close());

  /** Times that it had to be reset. */
  let hung = 0;
  /** Emulated, its kernel may hang by what `panics` says: somebody resets it then, and it goes on from its disk. */
  async function countsPast(count: number): Promise<void> {
    const isEmulated = await world.isEmulated();
    let since = performance.now();
    await until(`it counts past ${count}`, async () => {
      if ((await world.lastCount(vmId)) > count) return true;
      if (isEmulated && performance.now() - since > HANGS_MS) {
        hung += 1;
        since = performance.now();
        console.warn("its kernel hung, and is reset");
        await (await world.hostOf(vmId)).virsh("reset", vmId.replace(/^vm_/, ""));
      }
      return undefined;
    });
  }

  /** At its owner, and nowhere else: no process, no definition and no disk. */
  async function isWholeAt(host: MoveHostProcess): Promise<void> {
    const other = world.otherOf(host);
    expect(await world.hostOf(vmId)).toBe(host);
    await until("it runs", async () =>
      (await world.stateAt(host, vmId)) === "running" ? true : undefined,
    );
    expect(await world.stateAt(other, vmId)).toBe("none");
    expect(await world.disksAt(host, vmId)).toHaveLength(1);
    expect(await world.disksAt(other, vmId)).toEqual([]);
    expect(await world.statusOf(vmId)).toBe("running");
  }
  /**
   * Of its kernel. Under emulation QEMU now and then misses a page that its guest wrote while it was sent, as it clears its dirty bits beside
   * the thread that runs the guest; on hardware the kernel keeps them, and none is due.
   */
  async function panics(): Promise<number> {
    const found = (await world.said(vmId)).match(/Kernel panic/g)?.length ?? 0;
    if (found > 0) console.warn(`its kernel panicked ${found} times`);
    expect((await world.isEmulated()) ? 0 : found).toBe(0);
    return found;
  }
  /** Every number once, one after the other, over all hosts and boots: each boot goes on from what was on the disk. */
  async function nothingIsLost(): Promise<number> {
    const said = await world.said(vmId);
    let boots = 0;
    let last = 0;
    const wrong: string[] = [];
    for (const [, word, number] of said.matchAll(/(FROM|COUNT) (\d+)(?=\r?\n)/g)) {
      const n = Number(number);
      if (word === "FROM") {
        boots += 1;
        // The next one was written, maybe, and then its guest ended before it said so.
        if (n !== last && n !== last + 1) wrong.push(`it had said ${last}, and boots with ${n}`);
      } else if (n !== last + 1) wrong.push(`after ${last} comes ${n}`);
      last = n;
    }
    expect(wrong).toEqual([]);
    return boots;
  }

  test("live, where both can: it counts on without a boot, and its pause is told", async () => {
    await countsPast(2);
    const pauses: number[] = [];
    const times: number[] = [];
    for (let n = 0; n < LIVE; n++) {
      const to = world.otherOf(await world.hostOf(vmId));
      const { plan } = await world.planTo(vmId, to, "auto");
      expect(plan.method).toBe("live");
      const began = performance.now();
      const moveId = await world.begin(vmId, n % 2 === 0 ? "auto" : "live");
      await world.untilAt(moveId, "copy");
      const copying = performance.now();
      await world.untilAt(moveId, "take_over");
      copyMs = Math.max(copyMs, performance.now() - copying);
      const { outcome, failure, pauseMs } = await world.untilEnded(moveId);
      expect({ outcome, failure }).toEqual({ outcome: "moved", failure: null });
      times.push(performance.now() - began);
      expect(pauseMs).toBeGreaterThan(0);
      pauses.push(pauseMs ?? 0);
      await countsPast((await world.lastCount(vmId)) + 2);
      await isWholeAt(to);
      // A guest that panics boots by itself, and goes on from its disk.
      expect(await nothingIsLost()).toBe(1 + hung + (await panics()));
    }
    console.info(
      `${LIVE} live moves, none lost: a guest stood still for ${Math.max(...pauses)} ms at the most (${pauses.join(", ")}); ` +
        `a move took ${Math.round(Math.max(...times))} ms at the most, of which its copy ${Math.round(copyMs)} ms`,
    );
  });

  test("live, with qemu, libvirtd or the agent of either end killed at any moment: it has moved, or counts on where it was", async () => {
    console.info(`kills of live moves: ${drawnBy}`);
    const ends: string[] = [];
    for (let n = 0; n < KILLED; n++) {
      const source = await world.hostOf(vmId);
      const destination = world.otherOf(source);
      const role = dice.pick(["source", "destination"] as const);
      const what = dice.pick(["qemu", "libvirtd", "agent"] as const);
      const afterMs = dice.int(0, Math.round(copyMs));
      const at = role === "source" ? source : destination;
      const before = await world.lastCount(vmId);
      const moveId = await world.begin(vmId, "live");
      // Now and then before its disk is prepared.
      if (!dice.chance(1 / 8)) await world.untilAt(moveId, "copy");
      await wait(afterMs);
      const { step } = await world.moveOf(moveId);
      if (what === "agent") await at.killAgent();
      else if (what === "libvirtd") await at.libvirt.killLibvirt();
      else await at.libvirt.killGuest(vmId.replace(/^vm_/, ""));
      const ended = await world.untilEnded(moveId);
      ends.push(`${what} of the ${role} at ${step} after ${afterMs} ms: ${toldAs(ended)}`);
      console.info(ends.at(-1));
      expect([ended.outcome, ended.failure === null]).not.toEqual(["turned_back", true]);
      await countsPast(before);
      await isWholeAt(ended.outcome === "moved" ? destination : source);
      await nothingIsLost();
    }
  });

  test("cold: shut down, sent and started, byte for byte", async () => {
    for (let n = 0; n < COLD; n++) {
      const to = world.otherOf(await world.hostOf(vmId));
      const before = await world.lastCount(vmId);
      const { outcome, failure } = await world.untilEnded(await world.begin(vmId, "cold"));
      expect({ outcome, failure }).toEqual({ outcome: "moved", failure: null });
      await countsPast(before);
      await isWholeAt(to);
      await nothingIsLost();
    }
  });
});

const toldAs = ({ outcome, failure }: Moved): string =>
  failure === null ? `${outcome}` : `${outcome}, ${failure.code}: ${failure.detail}`;

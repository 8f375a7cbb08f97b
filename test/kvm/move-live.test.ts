import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { afterEach, beforeAll, afterAll, describe, expect, test } from "vitest";
import type { DesiredVm } from "#core/contracts/agent/desired.ts";
import { filesOf } from "#host-agent/drivers/kvm/files.ts";
import type { LiveCalls, MoveCalls } from "#host-agent/drivers/move-calls.ts";
import {
  connectForwarded,
  type ForwardedSockets,
  listenForwarded,
} from "#host-agent/moves/forward-sockets.ts";
import { judgeLive, type LiveVerdict } from "#host-agent/moves/judge-live.ts";
import { aDesiredVm, eventually } from "#test/drivers/builders.ts";
import { PATIENCE_MS } from "#test/harness/patience.ts";
import { type KvmTestHost, openKvmTestHost } from "./host.ts";
import { openGround } from "./libvirt-daemon.ts";
import { type LibvirtHost, openLibvirtHost } from "./two-hosts.ts";

/* Two libvirt hosts that share nothing but this process, which joins their sockets as two agents would. */

const ground = await openGround();
const why = ground.available ? "" : ` (skipped: ${ground.reason})`;
/** Its guest counts, once it has booted, for as long as it lives. */
const COUNTS = `#!/bin/sh
(n=0; while :; do n=$((n+1)); echo "COUNT $n" >/dev/ttyS0; sleep 0.2; done) &
`;

/**
 * A guest that is emulated may hang by a move: QEMU now and then misses a page that it wrote while it was sent, as it clears its dirty bits
 * beside the thread that runs the guest (`move-agents.test.ts`). Then it is done once more, with another guest; on hardware never.
 */
const isEmulated = !/\b(vmx|svm)\b/.test(await readFile("/proc/cpuinfo", "utf8"));
const ONCE_MORE = { retry: isEmulated ? 1 : 0 };

type Joins = NonNullable<LiveCalls["forwarded"]>;
type End = {
  host: KvmTestHost;
  libvirt: LibvirtHost;
  moves: MoveCalls;
  live: LiveCalls;
  joins: Joins;
};

async function openEnd(name: string): Promise<End> {
  const libvirt = await openLibvirtHost(name);
  const host = await openKvmTestHost({ libvirt });
  if (!host.available) throw new Error(host.reason);
  const { moves } = host.driver;
  if (!moves?.live?.forwarded) throw new Error("KVM moves live");
  return { host, libvirt, moves, live: moves.live, joins: moves.live.forwarded };
}

describe.skipIf(!ground.available)(`moving a guest that runs, between KVM hosts${why}`, () => {
  let source: End;
  let destination: End;
  let forwarded: ForwardedSockets | null = null;
  beforeAll(async () => {
    [source, destination] = [await openEnd("source"), await openEnd("destination")];
  });
  const made: DesiredVm[] = [];
  afterEach(async () => {
    await forwarded?.close();
    forwarded = null;
    // What a test that failed has left would be in the way of all others.
    for (const vm of made.splice(0)) {
      await source.host.driver.destroy(vm);
      await destination.host.driver.destroy(movedOf(vm));
    }
  });
  afterAll(async () => {
    await source.host.close();
    await destination.host.close();
  });

  const movedOf = (vm: DesiredVm): DesiredVm => ({ ...vm, ownerEpoch: vm.ownerEpoch + 1 });
  const consoleOf = (end: End, vm: DesiredVm) =>
    readFile(filesOf(end.host.dirs, vm).console, "utf8").catch(() => "");
  const countOf = async (end: End, vm: DesiredVm): Promise<number> =>
    Number(
      (await consoleOf(end, vm))
        .match(/COUNT \d+/g)
        ?.at(-1)
        ?.slice(6) ?? 0,
    );
  const countsOn = async (end: End, vm: DesiredVm, from: number) =>
    await eventually(
      `the guest counts on past ${from}`,
      async () => (await countOf(end, vm)) > from,
      PATIENCE_MS,
      200,
    );

  async function counting(): Promise<DesiredVm> {
    const vm = aDesiredVm({ image: source.host.image, userData: COUNTS });
    made.push(vm);
    await source.host.driver.create(vm);
    await source.host.driver.start(vm);
    await countsOn(source, vm, 3);
    return vm;
  }
  async function joined(vm: DesiredVm, withBase = true) {
    const moved = movedOf(vm);
    const base = withBase ? (await source.moves.describe(vm)).base : null;
    const there = await destination.joins.sockets("destination", moved);
    forwarded = await listenForwarded(
      await source.joins.sockets("source", moved),
      (kind) => connectForwarded(there, kind),
      () => undefined,
    );
    const target = await destination.live.prepareLive(moved, base);
    return { moved, target, base, mbitPerSecond: null, tell: () => undefined };
  }
  async function verdictOf(vm: DesiredVm): Promise<LiveVerdict> {
    const [here, there] = [await source.live.seen(vm), await destination.live.seen(movedOf(vm))];
    return judgeLive(here, there);
  }
  const settled = (vm: DesiredVm, is: LiveVerdict) =>
    eventually(`it is ${is}`, async () => (await verdictOf(vm)) === is, PATIENCE_MS, 100);
  /** So slow that there is time to do something in the middle of it, where it is then. */
  async function inTheMiddle(vm: DesiredVm, signal?: AbortSignal) {
    const to = await joined(vm);
    await source.host.virsh("migrate-setspeed", vm.vmId, "1");
    const came = source.live.migrateLive(vm, to, signal).then(
      () => "done",
      (error: unknown) => `failed: ${String(error)}`,
    );
    await eventually(
      "memory is on its way",
      async () =>
        /Memory processed:\s+[1-9]/.test(
          await source.host.virsh("domjobinfo", vm.vmId).catch(() => ""),
        ),
      PATIENCE_MS,
      100,
    );
    expect(await verdictOf(vm)).toBe("going_on");
    return { came };
  }

  test.each([true, false])(
    "it counts on at the other end (what differs from the image only: %s)",
    ONCE_MORE,
    async (withBase) => {
      const vm = await counting();
      const to = await joined(vm, withBase);
      expect(await verdictOf(vm)).toBe("rolled_back");
      await source.live.migrateLive(vm, to);
      // It stands still there until it is taken: so it never runs at both ends.
      expect(await verdictOf(vm)).toBe("handed_over");
      expect(await source.live.seen(vm)).toBe("left");
      expect(await destination.live.seen(to.moved)).toBe("paused");
      for (let twice = 0; twice < 2; twice++) await destination.live.takeLive(to.moved);
      expect(await verdictOf(vm)).toBe("moved");
      const pauseMs = await source.live.pauseOf(vm);
      console.info(`live, the guest stood still for ${pauseMs} ms until it was handed over`);
      expect(pauseMs).toBeGreaterThan(0);
      const last = await countOf(source, vm);
      await countsOn(destination, to.moved, last + 3);
      // It was not booted again: the first line there goes on from the last one here.
      const [first = ""] = (await consoleOf(destination, to.moved)).match(/COUNT \d+/g) ?? [];
      expect(Number(first.slice(6))).toBeGreaterThan(last - 1);
      expect(await consoleOf(destination, to.moved)).not.toMatch(/READY/);

      const there = await destination.host.driver.list();
      expect(there).toContainEqual(
        expect.objectContaining({ vmId: vm.vmId, ownerEpoch: 2, power: "running", complete: true }),
      );
      // The source's copy is there yet, off, and its owner's until it is released.
      await source.moves.release(vm);
      await expect(source.host.driver.start(vm)).rejects.toMatchObject({ code: "stale_epoch" });
      await source.host.driver.destroy(vm);

      // Its disk is its own, and its definition lasts.
      await destination.host.driver.stop(to.moved, "firm");
      await destination.host.driver.start(to.moved);
      await eventually("it boots", async () =>
        /READY/.test(await consoleOf(destination, to.moved)),
      );
      await destination.host.driver.destroy(to.moved);
    },
  );

  test("called off in the middle it stays, and can be moved after all", ONCE_MORE, async () => {
    const vm = await counting();
    const off = new AbortController();
    const { came } = await inTheMiddle(vm, off.signal);
    off.abort(new Error("called off"));
    expect(await came).toBe("failed: Error: called off");
    await settled(vm, "rolled_back");
    await countsOn(source, vm, await countOf(source, vm));
    await forwarded?.close();

    await source.host.virsh("migrate-setspeed", vm.vmId, "8796093022207");
    await source.live.migrateLive(vm, await joined(vm));
    expect(await verdictOf(vm)).toBe("handed_over");
    await source.host.driver.destroy(vm);
    await destination.host.driver.destroy(movedOf(vm));
  });

  test(
    "whose agents lose each other in the middle counts on where it was, and leaves nothing at the other end that runs",
    ONCE_MORE,
    async () => {
      const vm = await counting();
      const { came } = await inTheMiddle(vm);
      await forwarded?.close();
      expect(await came).toMatch(/^failed/);
      await settled(vm, "rolled_back");
      expect(await destination.live.seen(movedOf(vm))).toBe("none");
      await countsOn(source, vm, await countOf(source, vm));
      await source.host.driver.destroy(vm);
      await destination.host.driver.destroy(movedOf(vm));
      expect(await destination.host.driver.list()).toEqual([]);
      for (const { joins, libvirt } of [source, destination]) {
        await joins.drop(movedOf(vm));
        const folder = path.join(libvirt.root, "var/lib/libvirt/qemu/berth-moves");
        expect((await readdir(folder)).filter((name) => name.startsWith(vm.vmId))).toEqual([]);
      }
    },
  );

  test("whose destination dies in the middle counts on where it was", ONCE_MORE, async () => {
    const vm = await counting();
    const { came } = await inTheMiddle(vm);
    await destination.libvirt.killGuest(vm.vmId);
    expect(await came).toMatch(/^failed/);
    await settled(vm, "rolled_back");
    await countsOn(source, vm, await countOf(source, vm));
    await source.host.driver.destroy(vm);
    await destination.host.driver.destroy(movedOf(vm));
  });

  test("whose source dies in the middle runs nowhere, and starts where it was", async () => {
    const vm = await counting();
    const { came } = await inTheMiddle(vm);
    await source.libvirt.killGuest(vm.vmId);
    expect(await came).toMatch(/^failed/);
    await settled(vm, "rolled_back");
    expect(await source.live.seen(vm)).toBe("off");
    await source.host.driver.start(vm);
    expect(await verdictOf(vm)).toBe("rolled_back");
    await source.host.driver.destroy(vm);
    await destination.host.driver.destroy(movedOf(vm));
  });
});

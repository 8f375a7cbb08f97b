import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { diceFor, LONG, SEED } from "#test/harness/extent.ts";
import { openStack, type TestStack } from "#test/harness/stack.ts";
import { aHypervHost, joinHosts, type MovingHost } from "./moving-hosts.ts";
import { aVmThatBooted, drawBlow, moveVm, power, statusOf } from "./move-stories.ts";
import { noPwsh, noQemuImg } from "./world.ts";

/* Cold moves between two stand-in hosts, each with a real agent, on the whole product: nothing here was tried on Windows. */

const skip = noPwsh ?? noQemuImg;
const skipped = skip ? ` (skipped: ${skip})` : "";
/** Each is two moves' time and a few new processes. */
const STORIES = LONG ? 20 : 1;
const dice = diceFor("kills of moves on Hyper-V");
const LIVE_STORIES = LONG ? 6 : 1;
const FAR = 900 * 2 ** 20;

describe.skipIf(skip !== null)(`6b: Hyper-V's VMs between two agents${skipped}`, () => {
  let stack: TestStack;
  let hosts: readonly MovingHost[];
  let vm: Awaited<ReturnType<typeof aVmThatBooted>>;
  beforeAll(async () => {
    stack = await openStack({ hosts: [], resyncSeconds: 5 });
    const both = [await aHypervHost(stack, "hyperv-1"), await aHypervHost(stack, "hyperv-2")];
    await joinHosts(both);
    hosts = both;
    await Promise.all(hosts.map(({ agent }) => agent.start()));
    vm = await aVmThatBooted(stack, hosts);
  });
  afterAll(async () => {
    for (const host of hosts ?? []) await host.close();
    await stack?.close();
  });
  const owner = async (): Promise<MovingHost> => {
    const all = await Promise.all(hosts.map(({ isRunning }) => isRunning(vm.uuid)));
    const found = hosts[all.indexOf(true)];
    if (found === undefined) throw new Error("it runs nowhere");
    return found;
  };
  const writeSomewhere = async (mark: string) => {
    const host = await owner();
    await host.write(vm.uuid, 512 * dice.int(0, 1000), mark);
    await host.write(vm.uuid, FAR + 512 * dice.int(0, 1000), mark);
    return { host, content: await host.contentOf(vm.uuid) };
  };

  test("an agent whose PowerShell dies as it starts works all the same", async () => {
    const { agent, killPowerShellAt, spare } = await owner();
    await agent.kill();
    await killPowerShellAt(1);
    await agent.start();
    await power(stack, vm.id, "stop");
    await power(stack, vm.id, "start");
    expect(await spare()).toBe(false);
  });

  test("a VM goes there and back, byte for byte, with its address, and runs", async () => {
    const { addresses } = await statusOf(stack, vm.id);
    for (const mark of ["there", "back"]) {
      const { host, content } = await writeSomewhere(mark);
      expect(await moveVm(stack, vm, hosts)).toEqual({ outcome: "moved", missed: 0, runs: true });
      const now = await owner();
      expect(now.name).not.toBe(host.name);
      expect(await now.contentOf(vm.uuid)).toBe(content);
      expect(await host.trashedContent(vm.uuid)).toBe(content);
      expect(await statusOf(stack, vm.id)).toEqual({ status: "running", addresses });
    }
  });

  test("while it runs, by Hyper-V itself, whoever is killed: it is never off, and has every byte", async () => {
    const ends: string[] = [];
    // The last blows none, so that one goes through.
    for (const blows of [...Array.from({ length: LIVE_STORIES }, () => [drawBlow(dice)]), []]) {
      const host = await owner();
      const content = await host.contentOf(vm.uuid);
      const { outcome, runs } = await moveVm(stack, vm, hosts, blows, "live");
      ends.push(outcome);
      expect(runs).toBe(true);
      const now = await owner();
      expect(now === host).toBe(outcome === "turned_back");
      expect(await now.contentOf(vm.uuid)).toBe(content);
    }
    expect(ends.at(-1)).toBe("moved");
    console.info(`live moves of Hyper-V's VMs: ${ends.join(", ")}`);
  });

  test("one that is off stays off", async () => {
    await power(stack, vm.id, "stop");
    const before = await Promise.all(hosts.map(({ isRunning }) => isRunning(vm.uuid)));
    expect(before).toEqual([false, false]);
    expect(await moveVm(stack, vm, hosts)).toEqual({ outcome: "moved", missed: 0, runs: false });
    expect((await statusOf(stack, vm.id)).status).toBe("off");
    await power(stack, vm.id, "start");
  });

  test(`whatever is killed, one copy is there, with every byte (${STORIES} stories of seed ${SEED})`, async () => {
    const ends = { moved: 0, turned_back: 0, struck: 0, missed: 0 };
    for (let story = 1; story <= STORIES; story++) {
      const { host, content } = await writeSomewhere(`story ${story}`);
      const blows = Array.from({ length: dice.int(1, 3) }, () => drawBlow(dice));
      const { outcome, missed } = await moveVm(stack, vm, hosts, blows);
      ends[outcome] += 1;
      ends.struck += blows.length - missed;
      ends.missed += missed;
      const now = await owner();
      expect(now === host).toBe(outcome === "turned_back");
      expect(await now.contentOf(vm.uuid)).toBe(content);
    }
    console.info(`moves of Hyper-V's VMs with kills: ${JSON.stringify(ends)}`);
  });
});

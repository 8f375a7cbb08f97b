import { randomUUID } from "node:crypto";
import { rm } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createAgent } from "#host-agent/agent.ts";
import { createMemoryDoorbell } from "#host-agent/channel/rings.ts";
import { createKvmDriver } from "#host-agent/drivers/kvm/driver.ts";
import { createInstallation } from "#host-agent/state/installation.ts";
import { memoryStore } from "#host-agent/state/state-store.ts";
import { openKvmHost } from "#local/kvm-host.ts";
import { aDesiredVm, randomIds } from "#test/drivers/builders.ts";
import { createFakeControlPlane } from "#test/drivers/fake-control-plane.ts";
import { aFolder } from "#test/harness/stack.ts";
import { openKvmTestHost, type KvmTestHost } from "./host.ts";
import { openGround } from "./libvirt-daemon.ts";

/* 12.7: two Berths, each with its control plane, its agent and its folders, on one libvirt. */

const ground = await openGround();

/** An agent with folders of its own on the libvirt that all share. */
async function aBerth() {
  const host = await openKvmTestHost();
  if (!host.available) throw new Error(host.reason);
  const plane = createFakeControlPlane();
  const { clock, log } = host.options;
  const installation = createInstallation({ hostId: plane.hostId, store: memoryStore(), log });
  const driver = createKvmDriver({
    ...host.options,
    installation: () => installation.current(),
  });
  const agent = createAgent({
    hostId: plane.hostId,
    driver,
    installation,
    controlPlane: plane,
    doorbell: () => createMemoryDoorbell(),
    store: memoryStore(),
    clock,
    random: () => 0.5,
    log,
  });
  return { host, plane, installation, agent, id: randomUUID() };
}
type Berth = Awaited<ReturnType<typeof aBerth>>;

describe.skipIf(!ground.available)("two Berths on one libvirt", () => {
  let one: Berth;
  let two: Berth;
  beforeAll(async () => {
    [one, two] = [await aBerth(), await aBerth()];
  });
  afterAll(async () => {
    for (const { agent, host } of [one, two]) {
      agent.close();
      await host.close();
    }
  });
  const tagOf = async (host: KvmTestHost, vmId: string) =>
    /<berth:vm [^>]*>/.exec(await host.virsh("dumpxml", vmId))?.[0];
  const strangersOf = ({ plane }: Berth) => plane.reports.at(-1)?.strangers.map((vm) => vm.vmId);

  test("tell each other's VMs as strangers only until their agents know which Berth they belong to", async () => {
    const old = aDesiredVm({ image: one.host.image });
    one.plane.want([old]);
    await one.agent.pass();
    await two.agent.pass();
    expect(strangersOf(two)).toContain(old.vmId);

    for (const { installation, agent, id } of [one, two]) {
      await installation.told(id);
      await agent.guardNetwork();
    }
    expect(await tagOf(one.host, old.vmId)).toContain(`installation="${one.id}"`);
    const [mine, theirs] = [
      aDesiredVm({ image: one.host.image }),
      aDesiredVm({ image: two.host.image }),
    ];
    one.plane.want([old, mine]);
    two.plane.want([theirs]);
    await one.agent.pass();
    await two.agent.pass();
    await one.agent.pass();
    expect(strangersOf(one)).not.toContain(theirs.vmId);
    expect(strangersOf(two)).not.toContain(old.vmId);
    expect(strangersOf(two)).not.toContain(mine.vmId);
    const before = one.plane.last(old.vmId)?.observed;
    expect(before).toMatchObject({ power: "running" });

    // Somebody else's control plane may name it, and get it refused.
    two.plane.want([theirs, { ...old, presence: "absent" }]);
    await two.agent.pass();
    await one.agent.pass();
    expect(one.plane.last(old.vmId)?.observed).toMatchObject({
      power: "running",
      bootEpoch: before?.bootEpoch,
    });
  });

  test("one of which is a local stack that stops: it ends its own VMs alone", async () => {
    const bystander = aDesiredVm({ image: one.host.image });
    await one.host.driver.create(bystander);
    await one.host.driver.start(bystander);
    const folder = await aFolder();
    const kvm = await openKvmHost("kvm-1", folder, "destroy");
    const { log } = one.host.options;
    const driver = await kvm.host.open(folder, {
      clock: one.host.options.clock,
      ids: randomIds,
      log,
      agentVersion: "test",
    });
    const own = aDesiredVm({ image: one.host.image });
    await driver.create(own);
    await kvm.host.atStop?.(driver);
    await driver.close();
    await kvm.close();
    await rm(folder, { recursive: true });
    const left = (await one.host.driver.list()).map(({ vmId, power }) => [vmId, power]);
    expect(left).toContainEqual([bystander.vmId, "running"]);
    expect(left.map(([vmId]) => vmId)).not.toContain(own.vmId);
  });
});

import { rm } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openDriver } from "#host-agent/drivers/open-driver.ts";
import type { LocalHost } from "#local/agents.ts";
import { freePorts, type Ports } from "#local/ports.ts";
import { act, anActiveVm, order, orderIn, pay, vmIn } from "#test/harness/customer.ts";
import { aFolder, openStack } from "#test/harness/stack.ts";

/** A host whose VMs outlive the stack: they are files in its folder. */
const LASTING: LocalHost = {
  name: "kvm-1",
  open: (folder, ports) => {
    const host = { cpuThreads: 8, memoryMib: 16_384, diskGib: 1000 };
    const options = { world: path.join(folder, "world"), hypervisor: "kvm", delays: "off", host };
    return openDriver("simulated", options, ports);
  },
};

let home: { folder: string; ports: Ports };
beforeAll(async () => {
  home = { folder: await aFolder(), ports: await freePorts() };
});
afterAll(() => rm(home.folder, { recursive: true, force: true }));

test("a stack that is started again on its folder goes on where it stopped", async () => {
  const first = await openStack({ home, hosts: [LASTING], resyncSeconds: 1 });
  const { vmId } = await anActiveVm(first.customer);
  const unpaid = await order(first.customer);
  const tokens = first.tokens;
  await first.close();

  const second = await openStack({ home, hosts: [LASTING], resyncSeconds: 1 });
  try {
    expect(second.tokens).toEqual(tokens);
    expect((await vmIn(second.customer, vmId, "running")).addresses).toHaveLength(1);
    // Its Checkout page is still there, and paying it makes the VM.
    await pay(unpaid.checkoutUrl);
    const paid = await orderIn(second.customer, unpaid.orderId, "active");
    expect(paid.vmId).not.toBe(vmId);
    // The VM of before is still the host's to act on.
    expect(await act(second.customer, vmId, "reboot")).toMatchObject({ status: "success" });
    expect(second.agents.map((a) => a.hostId)).toEqual(first.agents.map((a) => a.hostId));
    expect(second.errors).toEqual([]);
  } finally {
    await second.close();
  }
});

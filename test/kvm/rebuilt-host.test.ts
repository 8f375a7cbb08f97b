import { execFile } from "node:child_process";
import { readFile, rm } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { v7 } from "uuid";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { idIn } from "#core/ids.ts";
import { EXAMPLE_SSH_KEY, payCheckout, until } from "#local/client.ts";
import { openKvmHost } from "#local/kvm-host.ts";
import { PATIENCE_MS } from "#test/harness/patience.ts";
import { blocksRunBy } from "#test/harness/runbooks.ts";
import { aFolder, openStack, type TestStack } from "#test/harness/stack.ts";
import { openGround, URI } from "./libvirt-daemon.ts";

const run = promisify(execFile);
const ground = await openGround();
const why = ground.available ? "" : ` (skipped: ${ground.reason})`;

const Order = z.object({ state: z.string(), vmId: z.string().nullable() });
const Vm = z.object({ status: z.string(), guest: z.unknown() });
const Hosts = z.object({ items: z.array(z.object({ id: z.string() })) });
describe.skipIf(!ground.available)(`5.1: a host that was rebuilt with its disks kept${why}`, () => {
  let folder: string;
  let kvm: Awaited<ReturnType<typeof openKvmHost>>;
  let stack: TestStack;
  beforeAll(async () => {
    folder = await aFolder();
    kvm = await openKvmHost("kvm-1", path.join(folder, "kvm"), "destroy");
    stack = await openStack({ hosts: [kvm.host], resyncSeconds: 1 });
  });
  afterAll(async () => {
    await stack.close();
    await kvm.close();
    await rm(folder, { recursive: true, force: true });
  });

  const virsh = (command: string) => run("virsh", ["-q", "-c", URI, command]);
  const statusOf = async (vmId: string) =>
    (await stack.customer.ok(Vm, "GET", `/v1/vms/${vmId}`)).status;
  const becomes = (vmId: string, wanted: string) =>
    until(`${vmId} is ${wanted}`, PATIENCE_MS, async () =>
      (await statusOf(vmId)) === wanted ? true : undefined,
    );

  async function aRunningVm(hostname: string): Promise<string> {
    const { orderId, checkoutUrl } = await stack.customer.order({
      plan: "XS",
      image: "Tiny Linux",
      hostname,
      key: v7(),
      sshKeys: [EXAMPLE_SSH_KEY],
    });
    await payCheckout(checkoutUrl, "4242424242424242");
    return until("the order's activation", PATIENCE_MS, async () => {
      const { state, vmId } = await stack.customer.ok(Order, "GET", `/v1/orders/${orderId}`);
      return state === "active" && vmId !== null ? vmId : undefined;
    });
  }
  /** What the guest says at its boot, from a file of its own that counts them. */
  const boots = async (vmId: string) => {
    const log = path.join(folder, "kvm/consoles", `${idIn("vm").parse(vmId)}.e1.log`);
    const said = await readFile(log, "utf8").catch(() => "");
    return Number(/BERTH-PROOF .* boots=(\d+)/.exec(said)?.[1] ?? 0);
  };

  test("has lost its VMs; one command brings all of them back as a dry run said, with what their guests wrote", async () => {
    const vms = [await aRunningVm("one"), await aRunningVm("two")];
    for (const vmId of vms) {
      expect(await boots(vmId)).toBe(1);
      const uuid = idIn("vm").parse(vmId);
      // Its agent may define it again between the two, from what runs.
      await until(`${vmId} to be gone`, PATIENCE_MS, async () => {
        await virsh(`undefine ${uuid}; destroy ${uuid}`).catch(() => undefined);
        return (await statusOf(vmId)) === "lost" ? true : undefined;
      });
    }
    const { items } = await stack.staff.ok(Hosts, "GET", "/staff/v1/hosts");
    const env = { API: stack.apiUrl, TOKEN: stack.tokens.staff, HOST: items[0]?.id };
    const script = blocksRunBy(import.meta.filename)
      .map(({ text }) => text)
      .join("\n");
    const { stdout } = await run("bash", ["-euo", "pipefail", "-c", script], {
      env: { ...process.env, ...env },
    });
    expect(
      stdout
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line)),
    ).toEqual([
      ["one", null],
      ["two", null],
      ["one", null, "adopt_disk"],
      ["two", null, "adopt_disk"],
    ]);
    for (const vmId of vms) {
      await becomes(vmId, "running");
      await until("its guest's second boot", PATIENCE_MS, async () =>
        (await boots(vmId)) === 2 ? true : undefined,
      );
    }
  });
});

import { v7 } from "uuid";
import { afterEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { EXAMPLE_SSH_KEY, payCheckout, until } from "#local/client.ts";
import { instant } from "#local/hosts.ts";
import { PATIENCE_MS } from "#test/harness/patience.ts";
import { openStack, type TestStack } from "#test/harness/stack.ts";

/* 6b item 3: staff move a VM on the whole product, whose agents send its disk from one to the other over their own stream. */

const Order = z.object({ state: z.string(), vmId: z.string().nullable() });
const Plan = z.object({
  method: z.string().nullable(),
  destination: z.object({ id: z.string(), name: z.string() }).nullable(),
  checks: z.array(z.object({ check: z.string(), ok: z.boolean(), detail: z.string() })),
  hash: z.string().nullable(),
});
const Begun = z.object({
  action: z.object({ id: z.string() }),
  move: z.object({ id: z.string() }),
});
const Move = z.object({ step: z.string(), outcome: z.string().nullable() });
const Action = z.object({ status: z.string(), error: z.unknown() });
const StaffVm = z.object({ host: z.object({ name: z.string() }), status: z.string() });
const Vm = z.object({ status: z.string(), addresses: z.array(z.string()) });

let open: TestStack | undefined;
afterEach(async () => {
  await open?.close();
  open = undefined;
});

async function aVmThatRuns(stack: TestStack): Promise<string> {
  const { orderId, checkoutUrl } = await stack.customer.order({
    plan: "S",
    image: "Debian 13",
    hostname: "web-1",
    key: v7(),
    sshKeys: [EXAMPLE_SSH_KEY],
  });
  await payCheckout(checkoutUrl, "4242424242424242");
  return until("the order's activation", PATIENCE_MS, async () => {
    const order = await stack.customer.ok(Order, "GET", `/v1/orders/${orderId}`);
    return order.state === "active" && order.vmId !== null ? order.vmId : undefined;
  });
}

const look = (stack: TestStack, vmId: string) =>
  stack.staff.ok(Plan, "POST", `/staff/v1/vms/${vmId}/migrate`, {
    method: "cold",
    reason: "its host is worn out",
    dryRun: true,
  });

describe("a VM that staff move", () => {
  test("is shut down, copied and started on the other host, with its address, and back again", async () => {
    const stack = (open = await openStack({
      hosts: [instant("kvm-1", "kvm"), instant("kvm-2", "kvm")],
    }));
    const vmId = await aVmThatRuns(stack);
    const addresses = (await stack.customer.ok(Vm, "GET", `/v1/vms/${vmId}`)).addresses;
    const early = await look(stack, vmId);
    expect(early).toMatchObject({ hash: null, method: null });
    expect(early.checks.filter(({ ok }) => !ok).map(({ check }) => check)).toEqual(["first_boot"]);
    await stack.customer.ok(z.unknown(), "POST", "/_local/clock", { advance: "PT20M" });

    for (const [from, to] of [
      ["kvm-1", "kvm-2"],
      ["kvm-2", "kvm-1"],
    ]) {
      const before = await stack.staff.ok(StaffVm, "GET", `/staff/v1/vms/${vmId}`);
      const plan = await until("a plan that can be done", PATIENCE_MS, async () => {
        const shown = await look(stack, vmId);
        return shown.hash === null ? undefined : shown;
      });
      expect([from, to]).toContain(before.host.name);
      const { action, move } = await stack.staff.ok(
        Begun,
        "POST",
        `/staff/v1/vms/${vmId}/migrate`,
        {
          method: "cold",
          reason: "its host is worn out",
          hostId: plan.destination?.id,
          dryRun: false,
          hash: plan.hash,
        },
      );
      await until("the move's action", PATIENCE_MS, async () => {
        const { status, error } = await stack.customer.ok(
          Action,
          "GET",
          `/v1/actions/${action.id}`,
        );
        expect(error).toBeNull();
        return status === "success" ? true : undefined;
      });
      const after = await stack.staff.ok(StaffVm, "GET", `/staff/v1/vms/${vmId}`);
      expect(after.host.name).toBe(plan.destination?.name);
      expect(after.host.name).not.toBe(before.host.name);
      expect(await stack.customer.ok(Vm, "GET", `/v1/vms/${vmId}`)).toEqual({
        status: "running",
        addresses,
      });
      await until("the old copy to be put away", PATIENCE_MS, async () => {
        const { outcome } = await stack.staff.ok(Move, "GET", `/staff/v1/moves/${move.id}`);
        return outcome === "moved" ? true : undefined;
      });
    }
    // While the clock was moved on no host was heard of. The source may hear of a move before the destination does, and on a busy machine
    // an agent may not get through: both come again, and have.
    const unexpected = stack.errors.filter(
      ({ fields }) =>
        fields["kind"] !== "host_silent" &&
        fields["code"] !== "not_admitted" &&
        !String(fields["error"]).startsWith("ControlPlaneError"),
    );
    expect(unexpected).toEqual([]);
  });
});

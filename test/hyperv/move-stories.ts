import { eq } from "drizzle-orm";
import { v7 } from "uuid";
import { expect } from "vitest";
import { z } from "zod";
import { idIn } from "#core/ids.ts";
import { MOVE_STEPS, type MoveMethod } from "#core/moves/move.ts";
import { moves } from "#db/schema/moves.ts";
import { DriverError } from "#host-agent/drivers/driver.ts";
import { EXAMPLE_SSH_KEY, payCheckout } from "#local/client.ts";
import { eventually } from "#test/drivers/builders.ts";
import { PATIENCE_MS } from "#test/harness/patience.ts";
import type { TestStack } from "#test/harness/stack.ts";
import type { Dice } from "#test/sim/dice.ts";
import type { MovingHost } from "./moving-hosts.ts";

/* Moves on the whole product: staff ask for them, and real agents in processes of their own do them, who may be killed. */

const Order = z.object({ state: z.string(), vmId: z.string().nullable() });
const Vm = z.object({ status: z.string(), addresses: z.array(z.string()) });
const StaffVm = z.object({ host: z.object({ name: z.string() }) });
const Plan = z.object({
  method: z.string().nullable(),
  destination: z.object({ id: z.string(), name: z.string() }).nullable(),
  checks: z.array(z.object({ check: z.string(), ok: z.boolean(), detail: z.string() })),
  hash: z.string().nullable(),
});
const Begun = z.object({
  action: z.object({ id: z.string() }),
  move: z.object({ id: idIn("move") }),
});
const Action = z.object({ status: z.string(), error: z.unknown() });
const Requested = z.object({ action: z.object({ id: z.string() }) });
const LOOK_EVERY_MS = 20;

/** A customer's VM that runs, and whose first boot is over by the stack's clock. */
export async function aVmThatBooted(
  stack: TestStack,
  hosts: readonly MovingHost[],
  image = "Tiny Linux",
): Promise<{ id: string; uuid: string }> {
  const { customer } = stack;
  const { orderId, checkoutUrl } = await customer.order({
    plan: "XS",
    image,
    hostname: "web-1",
    key: v7(),
    sshKeys: [EXAMPLE_SSH_KEY],
  });
  await payCheckout(checkoutUrl, "4242424242424242");
  const id = await eventually("the order's activation", async () => {
    const order = await customer.ok(Order, "GET", `/v1/orders/${orderId}`);
    return order.state === "active" ? order.vmId : null;
  });
  await customer.ok(z.unknown(), "POST", "/_local/clock", { advance: "PT20M" });
  for (const { agent } of hosts) agent.advance(20 * 60_000);
  return { id, uuid: idIn("vm").parse(id) };
}

export const statusOf = async ({ customer }: TestStack, id: string) =>
  customer.ok(Vm, "GET", `/v1/vms/${id}`);

/** As its customer does, until it is so. */
export async function power(stack: TestStack, id: string, type: "start" | "stop"): Promise<void> {
  const { customer } = stack;
  const key = { "idempotency-key": v7() };
  const { action } = await customer.ok(Requested, "POST", `/v1/vms/${id}/actions`, { type }, key);
  await ended(stack, action.id);
}

async function ended({ customer }: TestStack, action: string) {
  return await eventually(`the end of ${action}`, async () => {
    const { status, error } = await customer.ok(Action, "GET", `/v1/actions/${action}`);
    return status === "success" || status === "error" ? { status, error } : null;
  });
}

/** What is done to a move while it is under way. */
export type Blow = Readonly<{
  /** From when on. */
  at: (typeof MOVE_STEPS)[number];
  afterMs: number;
  who: "source" | "destination";
  what: "agent" | "powershell" | "stop";
  /** For how long the agent is dead; of PowerShell, at which of its next edges it dies. */
  by: number;
}>;

export function drawBlow(dice: Dice): Blow {
  const what = dice.pick(["agent", "agent", "powershell", "powershell", "stop"] as const);
  return {
    at: dice.pick(["prepare", "copy", "copy", "release", "take_over", "clean"] as const),
    afterMs: dice.int(0, 400),
    who: dice.pick(["source", "destination"] as const),
    what,
    by: what === "agent" ? dice.int(0, 1500) : dice.int(1, 20),
  };
}

export type Told = Readonly<{
  outcome: "moved" | "turned_back";
  /** Blows that came too late for it. */
  missed: number;
  /** As the hypervisor shows it, when it has ended. */
  runs: boolean;
}>;

/**
 * Moves the VM to the other host, cold unless told otherwise, with all that happens to it meanwhile, and looks at all times that two never run. When it has ended
 * there is one copy that anybody can start, where the control plane says.
 */
export async function moveVm(
  stack: TestStack,
  vm: Readonly<{ id: string; uuid: string }>,
  hosts: readonly MovingHost[],
  blows: readonly Blow[] = [],
  method: MoveMethod = "cold",
): Promise<Told> {
  const { staff } = stack;
  const path = `/staff/v1/vms/${vm.id}/migrate`;
  const asked = { method, reason: "its host is worn out" };
  const plan = await planOf(stack, path, asked);
  const source = await hostOf(stack, vm.id, hosts);
  const destination = hosts.find(({ name }) => name === plan.destination?.name);
  if (destination === undefined || destination === source) throw new Error("there is another host");
  const ends = { source, destination };
  const { hash, destination: to } = plan;
  const call = { ...asked, hostId: to?.id, dryRun: false, hash };
  const { action, move } = await staff.ok(Begun, "POST", path, call);

  const stepOf = async () => {
    const [row] = await stack.deps.db.select().from(moves).where(eq(moves.id, move.id));
    if (row === undefined) throw new Error("the move is there");
    return row;
  };
  const told = new Set<string>();
  const struck = blows.map(async (blow) => {
    const isMissed = await eventually(
      `step ${blow.at}`,
      async () => {
        const { step, outcome } = await stepOf();
        const isPast = step === "hold" || step === "drop" || outcome !== null;
        const isThere = MOVE_STEPS.indexOf(step) >= MOVE_STEPS.indexOf(blow.at);
        return isPast ? "missed" : isThere ? "there" : null;
      },
      PATIENCE_MS,
      LOOK_EVERY_MS,
    );
    if (isMissed === "missed") return true;
    await pause(blow.afterMs);
    await strike(stack, move.id, ends[blow.who], blow);
    return false;
  });

  const over = new AbortController();
  const watch = async () => {
    while (!over.signal.aborted) {
      // In this order: one that was handed over between the two looks ran on neither at a time.
      const there = await looked(destination, vm.uuid);
      const here = await looked(source, vm.uuid);
      if (here && there) told.add("it ran on both hosts");
      await pause(LOOK_EVERY_MS);
    }
  };
  // What it fails with is told with the rest, and when it is awaited, as the story may go on for minutes until then.
  const watching = watch().catch((error: unknown) => void told.add(`unwatched: ${String(error)}`));
  try {
    const missed = (await Promise.all(struck)).filter(Boolean).length;
    const last = await eventually("the end of the move", async () => {
      const row = await stepOf();
      return row.outcome === null ? null : { ...row, outcome: row.outcome };
    });
    for (const { spare } of hosts) await spare();
    const { status, error } = await ended(stack, action.id);
    expect(status).toBe(last.outcome === "moved" ? "success" : "error");
    expect(error === null).toBe(last.outcome === "moved");
    over.abort();
    await watching;
    expect([...told]).toEqual([]);
    const owner = last.outcome === "moved" ? destination : source;
    expect((await hostOf(stack, vm.id, hosts)).name).toBe(owner.name);
    const runs = await owner.isRunning(vm.uuid);
    const epochs = [last.sourceEpoch, last.epoch];
    const ownerEpoch = await expectOneCopy(vm.uuid, { owner, hosts }, epochs);
    if (!runs) await owner.driver.stop({ vmId: vm.uuid, ownerEpoch }, "firm");
    return { outcome: last.outcome, missed, runs };
  } catch (error) {
    const said = hosts.map(({ name, agent }) => `${name}:\n${agent.said()}`);
    throw new Error(
      `after ${JSON.stringify(blows)}, at ${(await stepOf()).step}\n${said.join("\n")}`,
      {
        cause: error,
      },
    );
  } finally {
    over.abort();
    await watching;
  }
}

/** Whether it runs there; a blow that was meant for the agent's PowerShell may hit this look's: then nothing is known. */
const looked = (host: MovingHost, uuid: string): Promise<boolean> =>
  host.isRunning(uuid).catch((error: unknown) => {
    if (error instanceof DriverError && error.code === "hypervisor_unavailable") return false;
    throw error;
  });

/** A host that has just begun, or ended a move, needs a moment until it is one that can take another. */
async function planOf({ staff }: TestStack, path: string, asked: object) {
  let against: unknown;
  const look = async () => {
    const shown = await staff.ok(Plan, "POST", path, { ...asked, dryRun: true });
    against = shown.checks.filter(({ ok }) => !ok);
    return shown.hash === null ? null : shown;
  };
  return await eventually("a plan", look, PATIENCE_MS, LOOK_EVERY_MS).catch((cause: unknown) => {
    throw new Error(`it cannot be moved: ${JSON.stringify(against)}`, { cause });
  });
}

async function strike(
  stack: TestStack,
  moveId: string,
  host: MovingHost,
  { what, by }: Blow,
): Promise<void> {
  if (what === "powershell") return await host.killPowerShellAt(by);
  if (what === "agent") {
    await host.agent.kill();
    await pause(by);
    return await host.agent.start();
  }
  const path = `/staff/v1/moves/move_${moveId.replaceAll("-", "")}/stop`;
  const reason = "after all not";
  const { body } = await stack.staff.request("POST", path, { reason, dryRun: true });
  // One that has been released goes on; it is refused then.
  const { hash } = z.object({ hash: z.string().optional() }).parse(body);
  if (hash !== undefined) await stack.staff.request("POST", path, { reason, dryRun: false, hash });
}

async function hostOf(
  { staff }: TestStack,
  id: string,
  hosts: readonly MovingHost[],
): Promise<MovingHost> {
  const { host } = await staff.ok(StaffVm, "GET", `/staff/v1/vms/${id}`);
  const found = hosts.find(({ name }) => name === host.name);
  if (found === undefined) throw new Error(`nobody knows ${host.name}`);
  return found;
}

/** Whoever is asked to start it, in whatever epoch it ever had: its owner's copy starts in one, which is told, and no other does in any. */
async function expectOneCopy(
  vmId: string,
  { owner, hosts }: Readonly<{ owner: MovingHost; hosts: readonly MovingHost[] }>,
  epochs: readonly number[],
): Promise<number> {
  const started: { name: string; ownerEpoch: number }[] = [];
  for (const { name, driver } of hosts) {
    if (!(await driver.list()).some((seen) => seen.vmId === vmId)) continue;
    for (const ownerEpoch of epochs) {
      const outcome = await driver.start({ vmId, ownerEpoch }).then(
        () => "started",
        (error: unknown) => (error instanceof DriverError ? error.code : String(error)),
      );
      if (outcome === "started") started.push({ name, ownerEpoch });
      else expect(outcome).toBe("stale_epoch");
    }
  }
  const [only] = started;
  expect(started.map(({ name }) => name)).toEqual([owner.name]);
  if (only === undefined) throw new Error("it was started");
  return only.ownerEpoch;
}

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

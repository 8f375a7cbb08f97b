import { chmod, mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { z } from "zod";
import { askedToStop, whenAsked } from "./asked-to-stop.ts";
import { EXAMPLE_SSH_KEY, payCheckout, StackClient, until } from "./client.ts";
import { watchMilestones } from "./demo-milestones.ts";
import { instantHosts, simulatedHosts } from "./hosts.ts";
import { openKvmHost } from "./kvm-host.ts";
import { createLineLog } from "./log.ts";
import { PlainError, runMain } from "./main.ts";
import { freePorts } from "./ports.ts";
import { endLeftoverPostgres } from "./postgres-leftover.ts";
import { dataFolderOf } from "./postgres-place.ts";
import { startStack, type Stack } from "./stack.ts";
import { STORIES, tellStory } from "./tell-story.ts";

const USAGE = `npm run demo [-- options]: one order, from the click to the invoice, on a fresh stack of its own

  --story billing          a customer's year instead, on a clock that is moved on: what was charged when, and the books at its end
  --driver simulated|kvm   a simulated host (default), or a real guest under this machine's libvirt
  --json                   the timeline as data
  --verbose                every log line of the stack, on stderr
  --help
`;

type Step = { name: string; atMs: number };
type Timeline = { steps: Step[]; orderId: string; vmId: string };

async function main(args: readonly string[]): Promise<void> {
  const { values } = parse(args);
  if (values.help) {
    process.stdout.write(USAGE);
    return;
  }
  const folder = await mkdtemp(path.join(os.tmpdir(), "berth-demo-"));
  await chmod(folder, 0o711); // a real guest's QEMU runs as a user of its own
  const asked = askedToStop();
  const milestones = watchMilestones();
  const { story } = values;
  let kvm: Awaited<ReturnType<typeof openKvmHost>> | undefined;
  let stack: Stack | undefined;
  try {
    if (values.driver === "kvm")
      kvm = await openKvmHost("kvm-real-1", path.join(folder, "kvm"), "destroy");
    if (!values.json) process.stdout.write("Berth is starting a fresh stack…\n");
    stack = await startStack({
      folder,
      ports: await freePorts(),
      hosts: kvm ? [kvm.host] : story === undefined ? simulatedHosts() : instantHosts(),
      log: (clock) =>
        milestones.watch(
          createLineLog((line) => {
            if (values.verbose) process.stderr.write(line);
          }, clock),
        ),
      ...(story === undefined ? EAGER : PATIENT),
      throwaway: true,
      signal: asked,
    });
    const write = (text: string) => void (values.json || process.stdout.write(text));
    const timeline = await Promise.race([
      story === undefined
        ? play(stack, milestones, !values.json, kvm !== undefined)
        : tellStory(stack, story, write),
      whenAsked(asked),
    ]);
    if (timeline && values.json) process.stdout.write(`${JSON.stringify(timeline)}\n`);
  } catch (error) {
    if (!asked.aborted) throw error;
  } finally {
    try {
      await stack?.stop();
      await kvm?.close();
      // An interrupted start may have begun a server that it does not know of yet.
      await endLeftoverPostgres((await dataFolderOf(path.join(folder, "postgres"))).data);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }
  if (asked.aborted) throw new PlainError("the demo was interrupted");
}

/** So that what happens is seen as it happens; and so that a year is not spent on looks. */
const EAGER = {
  intervals: { resyncSeconds: 5, usageSampleSeconds: 1, usageFlushSeconds: 1 },
  sweepSeconds: 5,
};
const PATIENT = {
  intervals: { resyncSeconds: 300, usageSampleSeconds: 3600, usageFlushSeconds: 3600 },
  sweepSeconds: 3600,
};

function parse(args: readonly string[]) {
  try {
    const parsed = parseArgs({
      args: [...args],
      options: {
        driver: { type: "string", default: "simulated" },
        story: { type: "string" },
        json: { type: "boolean", default: false },
        verbose: { type: "boolean", default: false },
        help: { type: "boolean", short: "h", default: false },
      },
    });
    if (!["simulated", "kvm"].includes(parsed.values.driver))
      throw new Error(`--driver is simulated or kvm, not ${parsed.values.driver}`);
    const { story } = parsed.values;
    if (story !== undefined && !isStory(story))
      throw new Error(`--story is ${Object.keys(STORIES).join(" or ")}, not ${story}`);
    if (story !== undefined && parsed.values.driver !== "simulated")
      throw new Error("a story is told on simulated hosts");
    return { values: { ...parsed.values, story } };
  } catch (error) {
    throw new PlainError(`${error instanceof Error ? error.message : String(error)}; see --help`);
  }
}

const isStory = (name: string): name is keyof typeof STORIES => Object.hasOwn(STORIES, name);

const Order = z.object({ state: z.string(), vmId: z.string().nullable() });
const Vm = z.object({ status: z.string(), addresses: z.array(z.string()), hostname: z.string() });
const Usage = z.object({ measuredUntil: z.string().nullable() });
const Invoices = z.object({
  items: z.array(z.object({ number: z.string().nullable(), status: z.string() })),
});

/** A guest under emulation boots in seconds; a simulated one as fast as a real one with hardware. */
const LIMIT_MS = 120_000;

async function play(
  stack: Stack,
  milestones: ReturnType<typeof watchMilestones>,
  print: boolean,
  real: boolean,
): Promise<Timeline> {
  const client = new StackClient(stack.apiUrl, stack.tokens.customer);
  const steps: Step[] = [];
  const began = performance.now();
  const step = (name: string, at: number, words: string) => {
    steps.push({ name, atMs: Math.round(at - began) });
    if (print) process.stdout.write(`${String(Math.round(at - began)).padStart(7)} ms  ${words}\n`);
  };
  const mark = async (name: string, words: string) =>
    step(name, await until(name, LIMIT_MS, async () => milestones.at(name)), words);

  if (print) process.stdout.write("\n");
  step("order", performance.now(), "POST /v1/orders: a place and an address are held");
  const { orderId, checkoutUrl } = await client.order({
    plan: real ? "XS" : "S",
    image: real ? "Tiny Linux" : "Debian 13",
    hostname: "web-1.example.com",
    key: `demo-${process.pid}`,
    sshKeys: [EXAMPLE_SSH_KEY],
  });
  step("checkout", performance.now(), `checkout page: ${checkoutUrl}`);
  const declined = await payCheckout(checkoutUrl, "4000000000000002");
  step("declined", performance.now(), `a declined card: ${declined}; the order stays payable`);
  const paid = await payCheckout(checkoutUrl, "4242424242424242");
  step("paid", performance.now(), `paid with 4242…: ${paid}`);
  await mark("placed", "webhook applied: order paid, VM row on its host, ledger booked");
  await mark("doorbell", "doorbell rung; the agent pulled what it should have");
  await mark("defined", "VM made from its image, with its first-boot seed");
  await mark("started", "hypervisor says running");

  const order = await until("the order's activation", LIMIT_MS, async () => {
    const seen = await client.ok(Order, "GET", `/v1/orders/${orderId}`);
    return seen.state === "active" && seen.vmId !== null ? { vmId: seen.vmId } : undefined;
  });
  const vm = await client.ok(Vm, "GET", `/v1/vms/${order.vmId}`);
  step(
    "guest ready",
    performance.now(),
    `the guest itself is up as ${vm.hostname}: order active, VM ${vm.status} at ${vm.addresses.join(", ")}`,
  );
  await until("the first usage", LIMIT_MS, async () => {
    const usage = await client.ok(Usage, "GET", `/v1/vms/${order.vmId}/usage`);
    return usage.measuredUntil ?? undefined;
  });
  step("first usage", performance.now(), "GET /v1/vms/{id}/usage has its first sample");
  const invoices = await client.ok(Invoices, "GET", "/v1/invoices");
  const [invoice] = invoices.items;
  if (!invoice) throw new Error("the order has no invoice");
  step("invoice", performance.now(), `invoice ${invoice.number} is ${invoice.status}`);
  if (print) process.stdout.write(`\n  order ${orderId}\n  VM    ${order.vmId}\n\n`);
  return { steps, orderId, vmId: order.vmId };
}

await runMain(main);

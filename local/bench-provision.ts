import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { chmod, mkdtemp, readFile, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { parseArgs, promisify } from "node:util";
import { serve } from "@hono/node-server";
import pg from "pg";
import type { DesiredVm } from "#core/contracts/agent/desired.ts";
import { compareWithFloor } from "#test/kvm/raw-floor.ts";
import { openKvmTestHost } from "#test/kvm/host.ts";
import { askedToStop, whenAsked } from "./asked-to-stop.ts";
import { exceeded, LIMITS, withinLimits, type Within } from "./bench-limits.ts";
import { EXAMPLE_SSH_KEY, payCheckout, StackClient, until } from "./client.ts";
import { freePort } from "./free-port.ts";
import { instantHosts } from "./hosts.ts";
import { createLineLog } from "./log.ts";
import { PlainError, runMain } from "./main.ts";
import { freePorts } from "./ports.ts";
import { endLeftoverPostgres } from "./postgres-leftover.ts";
import { dataFolderOf } from "./postgres-place.ts";
import { startStack, type Stack } from "./stack.ts";

const USAGE = `npm run bench:provision [-- options]: payment to running VM, on this machine

  --serial N     orders one after another (20)
  --burst N      orders paid at once (50)
  --kvm-rounds N rounds of raw commands and driver in turns, where libvirt is (10; 0 skips it)
  --json         the figures as data
  --check        exit code 1 when a figure is beyond its limit
  --help

Each figure comes with its floor, measured in the same run: for the line, the bare round trips and commits that it
cannot do without; for KVM, the raw qemu-img, genisoimage, virsh define and virsh start of the same guest.
`;

/*
 * What one provisioning cannot do without, one after another, on the way that docs/tour.md goes: the pay page, the
 * webhook, SQS's send and receive for the delivery and again for the doorbell, Stripe's session, the desired state, the
 * report.
 */
const LINE_HTTP_HOPS = 9;
const LINE_COMMITS = 3; // the delivery, the paid order, the report

type FloorRatio = Awaited<ReturnType<typeof compareWithFloor>>;
type Spread = { p50Ms: number; p90Ms: number; maxMs: number };

async function main(args: readonly string[]): Promise<void> {
  const { values } = parse(args);
  if (values.help) {
    process.stdout.write(USAGE);
    return;
  }
  const folder = await mkdtemp(path.join(os.tmpdir(), "berth-bench-"));
  await chmod(folder, 0o711);
  const loadBefore = round(os.loadavg()[0] ?? 0);
  const asked = askedToStop();
  let stack: Stack | undefined;
  let result: Result | undefined;
  try {
    stack = await startStack({
      folder,
      ports: await freePorts(),
      hosts: instantHosts(),
      log: (clock) => createLineLog(() => undefined, clock),
      intervals: { resyncSeconds: 15, usageSampleSeconds: 60, usageFlushSeconds: 60 },
      sweepSeconds: 10,
      throwaway: true,
    });
    const measuring = measure(stack, values, loadBefore);
    result = (await Promise.race([measuring, whenAsked(asked)])) ?? undefined;
  } catch (error) {
    if (!asked.aborted) throw error;
  } finally {
    await stack?.stop();
    await endLeftoverPostgres((await dataFolderOf(path.join(folder, "postgres"))).data);
    await rm(folder, { recursive: true, force: true });
  }
  if (!result) throw new PlainError("the benchmark was interrupted");
  process.stdout.write(values.json ? `${JSON.stringify(result)}\n` : toText(result));
  const over = exceeded(result.within);
  if (values.check && over.length > 0) throw new PlainError(over.join("; "));
}

type Values = ReturnType<typeof parse>["values"];

async function measure(stack: Stack, values: Values, loadBefore: number): Promise<Result> {
  const client = new StackClient(stack.apiUrl, stack.tokens.customer);
  await serial(stack, client, 5); // warm: just-in-time compilation, connections, plans of queries
  const floorMs = await lineFloor(stack);
  const one = await serial(stack, client, values.serial);
  const burst = await atOnce(stack, client, values.burst);
  const memoryMb = await memoryOfStack(stack);
  const figures = {
    serial: {
      orders: values.serial,
      ...one,
      floorP50Ms: floorMs,
      ratio: round(one.p50Ms / floorMs),
    },
    burst: { orders: values.burst, ...burst },
    memoryMb,
    kvm: await kvm(values["kvm-rounds"]),
    machine: { cores: os.availableParallelism(), loadBefore },
  };
  return { ...figures, limits: LIMITS, within: withinLimits(figures) };
}

function parse(args: readonly string[]) {
  const count = (name: string, text: string) => {
    const n = Number(text);
    if (!Number.isInteger(n) || n < 0 || n > 1000)
      throw new PlainError(`--${name} is a number up to 1000, not ${text}; see --help`);
    return n;
  };
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        serial: { type: "string", default: "20" },
        burst: { type: "string", default: "50" },
        "kvm-rounds": { type: "string", default: "10" },
        json: { type: "boolean", default: false },
        check: { type: "boolean", default: false },
        help: { type: "boolean", short: "h", default: false },
      },
    });
    return {
      values: {
        ...values,
        serial: count("serial", values.serial),
        burst: count("burst", values.burst),
        "kvm-rounds": count("kvm-rounds", values["kvm-rounds"]),
      },
    };
  } catch (error) {
    if (error instanceof PlainError) throw error;
    throw new PlainError(`${error instanceof Error ? error.message : String(error)}; see --help`);
  }
}

const order = (client: StackClient, hostname: string) =>
  client.order({
    plan: "S",
    image: "Debian 13",
    hostname,
    key: randomUUID(),
    sshKeys: [EXAMPLE_SSH_KEY],
  });

const uuidOf = (wireId: string) =>
  wireId.slice(4).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");

/** How many of these orders' VMs are seen running. Read from the database, so that the look costs the line little. */
async function running(watch: pg.Client, orderIds: readonly string[]): Promise<number> {
  const found = await watch.query<{ n: number }>(
    `select count(*)::int as n from vms where observed_power = 'running' and order_id = any($1)`,
    [orderIds.map(uuidOf)],
  );
  return found.rows[0]?.n ?? 0;
}

const withWatch = <T>(stack: Stack, work: (watch: pg.Client) => Promise<T>): Promise<T> =>
  withClient(stack.databaseUrl, work);

async function withClient<T>(
  connectionString: string,
  work: (watch: pg.Client) => Promise<T>,
): Promise<T> {
  const watch = new pg.Client({ connectionString });
  await watch.connect();
  try {
    return await work(watch);
  } finally {
    await watch.end();
  }
}

/** Orders one after another: from the payment's submission to the VM seen running. */
const serial = (stack: Stack, client: StackClient, n: number): Promise<Spread> =>
  withWatch(stack, async (watch) => {
    const took: number[] = [];
    for (let i = 0; i < n; i++) {
      const { orderId, checkoutUrl } = await order(client, `serial-${i}`);
      const began = performance.now();
      await payCheckout(checkoutUrl, "4242424242424242");
      await until("running", 10_000, async () =>
        (await running(watch, [orderId])) === 1 ? true : undefined,
      );
      took.push(performance.now() - began);
    }
    return spread(took);
  });

/** All paid at once: until the last VM is seen running. */
const atOnce = (stack: Stack, client: StackClient, n: number): Promise<{ allRunningMs: number }> =>
  withWatch(stack, async (watch) => {
    const orders = [];
    for (let i = 0; i < n; i++) orders.push(await order(client, `burst-${i}`));
    const ids = orders.map((o) => o.orderId);
    const began = performance.now();
    await Promise.all(orders.map((o) => payCheckout(o.checkoutUrl, "4242424242424242")));
    await until("all running", 60_000, async () =>
      (await running(watch, ids)) === n ? true : undefined,
    );
    return { allRunningMs: Math.round(performance.now() - began) };
  });

/** The bare round trips over loopback HTTP and the bare commits, in this process and this database: their median. */
async function lineFloor(stack: Stack): Promise<number> {
  const port = await freePort();
  const server = serve({
    fetch: async (request) => Response.json({ got: (await request.text()).length }),
    port,
    hostname: "127.0.0.1",
  });
  try {
    // The product's own log-in makes no tables.
    return await withClient(stack.ownerUrl, async (client) => {
      await client.query("create table bench_floor (id int primary key, n int)");
      await client.query("insert into bench_floor values (1, 0)");
      const took: number[] = [];
      for (let i = 0; i < 30; i++) {
        const began = performance.now();
        for (let hop = 0; hop < LINE_HTTP_HOPS; hop++) {
          const answer = await fetch(`http://127.0.0.1:${port}/`, { method: "POST", body: "{}" });
          await answer.arrayBuffer();
        }
        for (let commit = 0; commit < LINE_COMMITS; commit++)
          await client.query("update bench_floor set n = n + 1 where id = 1");
        took.push(performance.now() - began);
      }
      await client.query("drop table bench_floor");
      return spread(took).p50Ms;
    });
  } finally {
    server.close();
  }
}

/** Resident memory of this process (API, consumers, stand-in, SQS, agents) and of Postgres, shared pages once. */
async function memoryOfStack(
  stack: Stack,
): Promise<{ node: number; postgres: number; total: number }> {
  const node = process.memoryUsage.rss() / 2 ** 20;
  const pids = await postgresPids(new URL(stack.databaseUrl).port);
  const sizes = await Promise.all(pids.map(pssMb));
  const postgres = sizes.reduce((sum, mb) => sum + mb, 0);
  return {
    node: Math.round(node),
    postgres: Math.round(postgres),
    total: Math.round(node + postgres),
  };
}

async function postgresPids(port: string): Promise<number[]> {
  const { stdout } = await promisify(execFile)("ps", ["-eo", "pid=,ppid=,args="]);
  const rows = stdout
    .split("\n")
    .map((line) => /^\s*(\d+)\s+(\d+)\s+(.*)$/.exec(line))
    .filter((m) => m !== null)
    .map((m) => ({ pid: Number(m[1]), parent: Number(m[2]), args: m[3] ?? "" }));
  const main = rows.find((r) => r.args.includes("postgres") && r.args.includes(`-p ${port}`));
  const server = rows.find(
    (r) => /postgres/.test(r.args) && new RegExp(`\\b${port}\\b`).test(r.args),
  );
  const root = main ?? server;
  return root ? [root.pid, ...rows.filter((r) => r.parent === root.pid).map((r) => r.pid)] : [];
}

/** Proportional set size: a page that several processes share counts once in their sum (proc(5), smaps_rollup). */
async function pssMb(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/smaps_rollup`, "utf8").catch(() => "");
  return Number(/^Pss:\s+(\d+) kB$/m.exec(text)?.[1] ?? 0) / 1024;
}

async function kvm(rounds: number): Promise<FloorRatio | { skipped: string }> {
  if (rounds === 0) return { skipped: "--kvm-rounds 0" };
  const host = await openKvmTestHost();
  if (!host.available) return { skipped: host.reason };
  try {
    return await compareWithFloor(host, benchVm(host.image), rounds);
  } finally {
    await host.close();
  }
}

const benchVm = (image: DesiredVm["image"]): DesiredVm => ({
  vmId: randomUUID(),
  generation: 1,
  ownerEpoch: 1,
  presence: "present",
  mayCreate: true,
  power: "running",
  stopMode: "graceful",
  entitledUntil: "2099-01-01T00:00:00.000Z",
  hostname: "bench",
  size: { vcpus: 1, memoryMib: 128, diskGib: 1 },
  image,
  nics: [
    {
      mac: "02:be:c6:12:00:02",
      ipv4: { address: "198.18.0.2", prefix: 22, gateway: "198.18.0.1" },
      vlan: null,
      bandwidthMbit: null,
    },
  ],
  nameservers: ["198.18.0.1"],
  sshKeys: [EXAMPLE_SSH_KEY],
  userData: null,
  diskIops: null,
  pendingActions: [],
});

function spread(took: readonly number[]): Spread {
  const sorted = took.toSorted((a, b) => a - b);
  const at = (part: number) =>
    round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0);
  return { p50Ms: at(0.5), p90Ms: at(0.9), maxMs: at(1) };
}
const round = (n: number) => Math.round(n * 10) / 10;

type Result = {
  serial: Spread & { orders: number; floorP50Ms: number; ratio: number };
  burst: { orders: number; allRunningMs: number };
  memoryMb: { node: number; postgres: number; total: number };
  kvm: FloorRatio | { skipped: string };
  /** Other work on the machine makes every figure worse: the load average of the last minute, before. */
  machine: { cores: number; loadBefore: number };
  limits: typeof LIMITS;
  within: Within;
};

function toText(r: Result): string {
  const over = exceeded(r.within);
  const kvm =
    "skipped" in r.kvm
      ? `skipped: ${r.kvm.skipped}`
      : `create + start p50 ${round(r.kvm.driverP50Ms)} ms, raw commands ${round(r.kvm.rawP50Ms)} ms, ratio ${r.kvm.ratio.toFixed(2)} (${r.kvm.rounds} rounds in turns)`;
  return `
payment → running, simulated hosts with their delays off
  one after another  ${r.serial.orders} orders: p50 ${r.serial.p50Ms} ms, p90 ${r.serial.p90Ms} ms, max ${r.serial.maxMs} ms
                     floor (bare round trips and commits) ${r.serial.floorP50Ms} ms, ratio ${r.serial.ratio}
  at once            ${r.burst.orders} orders: all running after ${r.burst.allRunningMs} ms
  memory             ${r.memoryMb.total} MB (Node ${r.memoryMb.node}, Postgres ${r.memoryMb.postgres})
KVM driver           ${kvm}
machine              ${r.machine.cores} cores, load before ${r.machine.loadBefore}
limits               ${over.length === 0 ? "every figure is within its limit" : over.join("; ")}
`;
}

await runMain(main);

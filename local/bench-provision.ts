import { randomUUID } from "node:crypto";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { serve } from "@hono/node-server";
import pg from "pg";
import type { DesiredVm } from "#core/contracts/agent/desired.ts";
import { compareWithFloor } from "#test/kvm/raw-floor.ts";
import { openKvmTestHost } from "#test/kvm/host.ts";
import { askedToStop, whenAsked } from "./asked-to-stop.ts";
import { measureMemory } from "./bench-memory.ts";
import { growsAtMost, percentile, toText, type BenchRow } from "./bench-row.ts";
import { EXAMPLE_SSH_KEY, payCheckout, StackClient } from "./client.ts";
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
  --no-memory    without what a real \`npm start\` takes of the memory, for which it waits a minute
  --json         the figures as data, and nothing else
  --check        exit code 1 when one misses its goal
  --help

Each time comes with its floor, measured in the same run: for the line, the bare round trips and commits that it
cannot do without; for KVM, the raw qemu-img, genisoimage, virsh define and virsh start of the same guest.
`;

/*
 * What one provisioning cannot do without, one after another, on the way that docs/tour.md goes: the pay page, the
 * webhook, SQS's send and receive for the delivery and again for the doorbell, Stripe's session, the desired state, the
 * report.
 */
const LINE_HTTP_HOPS = 9;
const LINE_COMMITS = 3; // the delivery, the paid order, the report

async function main(args: readonly string[]): Promise<void> {
  const { values } = parse(args);
  if (values.help) {
    process.stdout.write(USAGE);
    return;
  }
  const asked = askedToStop();
  const rows = [
    ...(await line(values, asked)),
    ...(asked.aborted ? [] : await measureKvm(values["kvm-rounds"])),
    ...(asked.aborted || values["no-memory"] ? [] : await measureMemory(asked)),
  ];
  if (asked.aborted) throw new PlainError("the benchmark was interrupted");
  process.stdout.write(values.json ? `${JSON.stringify({ rows })}\n` : toText(rows));
  const missed = rows.filter((row) => row.holds === false).map((row) => row.name);
  if (values.check && missed.length > 0) throw new PlainError(`missed: ${missed.join("; ")}`);
}

type Values = ReturnType<typeof parse>["values"];

/** A stack of its own, whose hosts take no time. No rows when it was asked to stop. */
async function line(values: Values, asked: AbortSignal): Promise<readonly BenchRow[]> {
  const folder = await mkdtemp(path.join(os.tmpdir(), "berth-bench-"));
  await chmod(folder, 0o711);
  let stack: Stack | undefined;
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
    return (await Promise.race([measureLine(stack, values), whenAsked(asked)])) ?? [];
  } catch (error) {
    if (!asked.aborted) throw error;
    return [];
  } finally {
    await stack?.stop();
    await endLeftoverPostgres((await dataFolderOf(path.join(folder, "postgres"))).data);
    await rm(folder, { recursive: true, force: true });
  }
}

async function measureLine(stack: Stack, values: Values): Promise<readonly BenchRow[]> {
  const client = new StackClient(stack.apiUrl, stack.tokens.customer);
  await oneAfterAnother(stack, client, 5); // warm: just-in-time compilation, connections, plans of queries
  const floor = await lineFloor(stack);
  const serial = percentile(await oneAfterAnother(stack, client, values.serial), 0.5);
  const burst = await atOnce(stack, client, values.burst);
  const unit = "ms";
  return [
    growsAtMost(6, {
      name: "payment to running, one after another, p50",
      unit,
      floor,
      ours: serial,
    }),
    growsAtMost(100, {
      name: `payment to running, ${values.burst} paid at once, the last`,
      unit,
      floor,
      ours: burst,
    }),
  ];
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
        "no-memory": { type: "boolean", default: false },
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

/**
 * Resolves when all of these orders' VMs are seen running. Postgres looks, each millisecond: a look from here would take its
 * time from the line, all of which is in this process.
 */
async function allRunning(
  watch: pg.Client,
  orderIds: readonly string[],
  limitMs: number,
): Promise<void> {
  await watch.query("select set_config('bench.orders', $1, false), set_config($2, $3, false)", [
    orderIds.map(uuidOf).join(" "),
    "statement_timeout",
    `${limitMs}`,
  ]);
  await watch.query(`do $$
    declare ids uuid[] := string_to_array(current_setting('bench.orders'), ' ');
    begin
      while (select count(*) from vms where observed_power = 'running' and id in (select vm_id from orders where id = any(ids))) < cardinality(ids) loop
        perform pg_sleep(0.001);
      end loop;
    end $$`);
}

async function withClient<T>(
  connectionString: string,
  work: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const client = new pg.Client({ connectionString });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

/** Orders one after another: the milliseconds from each payment's submission to its VM seen running. */
const oneAfterAnother = (stack: Stack, client: StackClient, n: number): Promise<number[]> =>
  withClient(stack.databaseUrl, async (watch) => {
    const took: number[] = [];
    for (let i = 0; i < n; i++) {
      const { orderId, checkoutUrl } = await order(client, `serial-${i}`);
      const began = performance.now();
      await Promise.all([pay(checkoutUrl), allRunning(watch, [orderId], 10_000)]);
      took.push(performance.now() - began);
    }
    return took;
  });

/** All paid at once: the milliseconds until the last VM is seen running. */
const atOnce = (stack: Stack, client: StackClient, n: number): Promise<number> =>
  withClient(stack.databaseUrl, async (watch) => {
    const orders = [];
    for (let i = 0; i < n; i++) orders.push(await order(client, `burst-${i}`));
    const ids = orders.map((o) => o.orderId);
    const began = performance.now();
    await Promise.all([...orders.map((o) => pay(o.checkoutUrl)), allRunning(watch, ids, 60_000)]);
    return performance.now() - began;
  });

const pay = (checkoutUrl: string) => payCheckout(checkoutUrl, "4242424242424242");

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
      return percentile(took, 0.5);
    });
  } finally {
    server.close();
  }
}

/** No row where there is no libvirt. */
async function measureKvm(rounds: number): Promise<readonly BenchRow[]> {
  if (rounds === 0) return [];
  const host = await openKvmTestHost();
  if (!host.available) {
    process.stderr.write(`KVM driver: not measured: ${host.reason}\n`);
    return [];
  }
  try {
    const { driverP50Ms, rawP50Ms } = await compareWithFloor(host, benchVm(host.image), rounds);
    const name = "KVM driver, create and start, p50";
    return [growsAtMost(1.3, { name, unit: "ms", floor: rawP50Ms, ours: driverP50Ms })];
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

await runMain(main);

import { execFile } from "node:child_process";
import { createHash, randomBytes, randomFillSync, randomUUID } from "node:crypto";
import { once } from "node:events";
import { createReadStream } from "node:fs";
import { mkdtemp, open, rm, stat } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { pipeline } from "node:stream/promises";
import { connect } from "node:tls";
import { parseArgs, promisify } from "node:util";
import { Worker } from "node:worker_threads";
import { systemClock } from "#adapters/clock.ts";
import { connectTo } from "#host-agent/moves/channel.ts";
import { sendDisk } from "#host-agent/moves/send-disk.ts";
import { askedToStop } from "./asked-to-stop.ts";
import { measureLive } from "./bench-move-live.ts";
import { HOST, Said, TLS, type Given } from "./bench-move-words.ts";
import { atLeast, noGoal, percentile, toText, type BenchRow } from "./bench-row.ts";
import { PlainError, runMain } from "./main.ts";

const USAGE = `npm run bench:move -- [options]: what a move of a VM between two hosts takes

  --json        the figures as data, and nothing else
  --check       exit code 1 when it misses its goal
  --rounds <n>  so many of each, in turns; 3 unless given
  --gib <n>     the size of the disk, which is full of random bytes; 1 unless given
  --help

A cold move: the disk is flattened by qemu-img and sent to another thread of this machine, which writes it to a file. Beside it the
same qemu-img, and the same bytes through Node's own TLS 1.3, with a SHA-256 at both ends. Both are over once the file is flushed.
Needs qemu-img.

A live move: a guest that runs and has written 2 GiB, between two libvirt hosts on this machine at 1 Gbit/s, by both agents' steps. Beside it \`virsh migrate\` to the
other libvirt's own socket. Left out where libvirt cannot be had (root, and the packages of \`npm run test:kvm\`).
`;

const run = promisify(execFile);
const MIB = 1024 ** 2;
/** None. */
const MBIT_PER_SECOND = 1e6;

async function main(args: readonly string[]): Promise<void> {
  const values = parse(args);
  if (values.help) {
    process.stdout.write(USAGE);
    return;
  }
  const rounds = wholeNumber("rounds", values.rounds);
  const gib = wholeNumber("gib", values.gib);
  const asked = askedToStop();
  const folder = await mkdtemp(path.join(os.tmpdir(), "berth-bench-move-"));
  let rows: readonly BenchRow[] | undefined;
  try {
    const cold = await measureCold(folder, { rounds, gib }, asked);
    const live = await measureLive(rounds, asked);
    if (live === null) process.stderr.write("live moves are left out: there is no libvirt here\n");
    rows = [...cold, ...(live ?? [])];
  } catch (error) {
    if (!asked.aborted) throw error;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  if (!rows) throw new PlainError("the benchmark was interrupted");
  process.stdout.write(values.json ? `${JSON.stringify({ rows })}\n` : toText(rows));
  if (values.check && rows.some((row) => row.holds === false)) throw new PlainError("missed");
}

/** Seconds of the flattening, and of the way to the other host. */
type Took = Readonly<{ flattened: number; moved: number }>;

async function measureCold(
  folder: string,
  { rounds, gib }: { rounds: number; gib: number },
  asked: AbortSignal,
): Promise<readonly BenchRow[]> {
  const disk = path.join(folder, "disk.qcow2");
  await makeDisk(disk, gib, asked);
  const took = { floor: [] as Took[], ours: [] as Took[] };
  // The first of each is not counted: what it loads is there for the next ones.
  for (let n = 0; n <= rounds; n++)
    for (const by of ["floor", "ours"] as const) {
      asked.throwIfAborted();
      const one = await coldMove(folder, disk, by, asked);
      if (n > 0) took[by].push(one);
    }
  const mibOf = (of: (took: Took) => number, by: "floor" | "ours") =>
    (gib * 1024) / percentile(took[by].map(of), 0.5);
  const whole = ({ flattened, moved }: Took) => flattened + moved;
  const stream = ({ moved }: Took) => moved;
  return [
    atLeast(0.8, {
      name: "cold: a disk flattened and sent to another host, beside qemu-img and bare TLS, p50",
      unit: "MiB/s",
      floor: mibOf(whole, "floor"),
      ours: mibOf(whole, "ours"),
    }),
    noGoal({
      name: "cold: of it, the way to the other host, p50",
      unit: "MiB/s",
      floor: mibOf(stream, "floor"),
      ours: mibOf(stream, "ours"),
    }),
  ];
}

/** A qcow2 image without a hole, as one that is full and does not compress. */
async function makeDisk(disk: string, gib: number, asked: AbortSignal): Promise<void> {
  const raw = `${disk}.raw`;
  const file = await open(raw, "w");
  try {
    const block = Buffer.alloc(MIB);
    for (let n = 0; n < gib * 1024; n++) {
      asked.throwIfAborted();
      await file.write(randomFillSync(block));
    }
  } finally {
    await file.close();
  }
  await run("qemu-img", ["convert", "-f", "raw", "-O", "qcow2", raw, disk], { signal: asked });
  await rm(raw);
}

async function coldMove(
  folder: string,
  disk: string,
  by: Given["by"],
  signal: AbortSignal,
): Promise<Took> {
  const exported = path.join(folder, "exported.qcow2");
  const target = path.join(folder, "received");
  const began = performance.now();
  await run("qemu-img", ["convert", "-f", "qcow2", "-O", "qcow2", disk, exported], { signal });
  const flattened = performance.now();
  const given: Given = { by, moveId: randomUUID(), key: randomBytes(32), path: target };
  const host = await startReceiver(given);
  try {
    const sent = await (by === "floor" ? sendBarely : sendByBerth)(
      exported,
      given,
      host.port,
      signal,
    );
    if ((await host.sha256) !== sent) throw new PlainError("what arrived is another file");
  } finally {
    await host.end();
  }
  const moved = performance.now();
  if ((await stat(target)).size !== (await stat(exported)).size)
    throw new PlainError("what arrived is of another size");
  await rm(exported);
  await rm(target);
  return { flattened: (flattened - began) / 1000, moved: (moved - flattened) / 1000 };
}

async function startReceiver(given: Given) {
  const worker = new Worker(new URL("./bench-move-receiver.ts", import.meta.url), {
    workerData: given,
  });
  const failed = new Promise<never>((_, reject) => worker.once("error", reject));
  failed.catch(() => undefined);
  const next = async (): Promise<Said> => {
    const [said]: unknown[] = await Promise.race([once(worker, "message"), failed]);
    return Said.parse(said);
  };
  const first = await next();
  if (!("port" in first)) throw new Error("it did not say where it listens");
  const second = next();
  second.catch(() => undefined);
  return {
    port: first.port,
    sha256: second.then((said) => ("sha256" in said ? said.sha256 : null)),
    end: () => worker.terminate(),
  };
}

/** By Node's own file, hash and TLS, and nothing else. */
async function sendBarely(
  file: string,
  { moveId, key }: Given,
  port: number,
  signal: AbortSignal,
): Promise<string> {
  const hash = createHash("sha256");
  const pskCallback = () => ({ psk: key, identity: moveId });
  const socket = connect({ ...TLS, host: HOST, port, pskCallback });
  await once(socket, "secureConnect");
  const chunks = createReadStream(file, { highWaterMark: MIB });
  chunks.on("data", (chunk) => hash.update(chunk));
  await pipeline(chunks, socket, { signal });
  return hash.digest("hex");
}

async function sendByBerth(
  file: string,
  { moveId, key }: Given,
  port: number,
  signal: AbortSignal,
): Promise<string> {
  const ends = { clock: systemClock, signal };
  const channel = await connectTo({ ...ends, host: HOST, port, moveId, key, kind: "disk" });
  const disk = { channel, path: file, mbitPerSecond: MBIT_PER_SECOND, progress: () => undefined };
  return (await sendDisk({ ...ends, ...disk })).sha256;
}

function wholeNumber(option: string, text: string): number {
  const n = Number(text);
  if (!Number.isInteger(n) || n < 1 || n > 100)
    throw new PlainError(`--${option} is a number from 1 to 100; see --help`);
  return n;
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        json: { type: "boolean", default: false },
        check: { type: "boolean", default: false },
        rounds: { type: "string", default: "3" },
        gib: { type: "string", default: "1" },
        help: { type: "boolean", short: "h", default: false },
      },
    }).values;
  } catch (error) {
    throw new PlainError(`${error instanceof Error ? error.message : String(error)}; see --help`);
  }
}

await runMain(main);

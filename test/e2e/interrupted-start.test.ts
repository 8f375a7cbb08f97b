import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, readFile, readdir, rm, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { z } from "zod";
import { afterEach, beforeEach, describe, expect } from "vitest";
import { until } from "#local/client.ts";
import { loadSaved } from "#local/saved-secrets.ts";
import { busyPort, freePorts, portsFrom } from "#local/ports.ts";
import { dataFolderOf } from "#local/postgres-place.ts";
import { costlyTest as test } from "#test/harness/costly-test.ts";
import { PATIENCE_MS } from "#test/harness/patience.ts";
import { aFolder } from "#test/harness/stack.ts";

/* What `npm start`'s program leaves behind, when it is ended in every way but the polite one. Linux tells by /proc. */

let root: string;
let folder: string;
let base: number;
beforeEach(async () => {
  root = await aFolder();
  folder = path.join(root, "local");
  base = (await freePorts()).api;
});
afterEach(async () => {
  for (const pid of await processesOf(root)) process.kill(pid, "SIGKILL");
  await rm(root, { recursive: true, force: true });
});

const env = () => ({ ...process.env, BERTH_LOCAL_DIR: folder, BERTH_PORT: String(base) });

type Started = { child: ChildProcess; said: () => string };
function start(): Started {
  const child = spawn(process.execPath, [path.resolve("local/start.ts")], {
    env: env(),
    stdio: ["ignore", "pipe", "pipe"],
  });
  let text = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (piece: Buffer) => (text += piece.toString()));
  return { child, said: () => text };
}
const heard = ({ said, child }: Started, words: string) =>
  until(`“${words}”`, PATIENCE_MS, async () => {
    if (said().includes(words)) return true;
    if (child.exitCode !== null) throw new Error(`it ended before “${words}”: ${said()}`);
    return undefined;
  });
async function end({ child }: Started, signal: NodeJS.Signals): Promise<number | null> {
  const ended = child.exitCode !== null ? undefined : once(child, "exit");
  child.kill(signal);
  await ended;
  return child.exitCode;
}

/** Processes whose command line or environment names this folder. */
async function processesOf(place: string): Promise<number[]> {
  const found: number[] = [];
  for (const name of await readdir("/proc").catch((): string[] => [])) {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) continue;
    const [args, vars] = await Promise.all(
      ["cmdline", "environ"].map((file) =>
        readFile(`/proc/${name}/${file}`, "utf8").catch(() => ""),
      ),
    );
    if (args?.includes(place) || vars?.includes(place)) found.push(Number(name));
  }
  return found;
}
/** What has been told to end may take a moment to be gone. */
const nothingIsLeft = () =>
  until("nothing to be left", PATIENCE_MS, async () =>
    (await processesOf(root)).length === 0 && (await busyPort(portsFrom(base))) === undefined
      ? true
      : undefined,
  );

describe.runIf(process.platform === "linux")("npm start", () => {
  test("killed outright, starts again on the same folder and ports; Ctrl-C then leaves nothing", async () => {
    // 4b B7: of before, and for everybody to read.
    await mkdir(folder, { recursive: true });
    await writeFile(path.join(folder, "berth.log"), "", { mode: 0o644 });
    const first = start();
    await heard(first, "Ctrl-C stops everything");
    const { databasePassword, functionsPassword } = await loadSaved(folder);
    expect(first.said()).toMatch(/Postgres +postgres:\/\/berth_local@127\.0\.0\.1/);
    for (const password of [databasePassword, functionsPassword])
      expect(first.said()).not.toContain(password);
    expect((await stat(path.join(folder, "berth.log"))).mode & 0o777).toBe(0o600);
    await end(first, "SIGKILL");
    expect(await busyPort(portsFrom(base))).toBe(base + 3); // its Postgres lives on

    const second = start();
    await heard(second, "Ctrl-C stops everything");
    expect(second.said()).toContain("Ended the Postgres that a killed Berth left behind.");
    second.child.kill("SIGINT");
    // npm passes a Ctrl-C on that the terminal has sent already.
    expect(await end(second, "SIGINT")).toBe(0);
    await nothingIsLeft();
  });

  for (const moment of ["the first line", "Postgres"])
    test(`interrupted at ${moment} while it starts, ends cleanly and leaves nothing`, async () => {
      const started = start();
      await heard(started, "Berth is starting");
      if (moment === "Postgres")
        await until("its Postgres", PATIENCE_MS, async () =>
          (await readdir(path.join(folder, "postgres")).catch((): string[] => [])).includes(
            "postmaster.pid",
          )
            ? true
            : undefined,
        );
      expect(await end(started, "SIGINT")).toBe(0);
      expect(started.said()).not.toMatch(/error|berth:/i);
      await nothingIsLeft();
    });

  test("whose output nobody reads any more ends, and leaves nothing", async () => {
    const shell = spawn(
      "sh",
      ["-c", '"$0" "$1" | head -n 1', process.execPath, path.resolve("local/start.ts")],
      { env: env(), stdio: "ignore" },
    );
    const [code] = z.tuple([z.number(), z.null()]).parse(await once(shell, "exit"));
    expect(code).toBe(0);
    await nothingIsLeft();
  });
});

describe.runIf(process.getuid?.() === 0)("as root, in a folder that others cannot enter", () => {
  beforeEach(async () => {
    await chmod(root, 0o700);
  });
  afterEach(async () => {
    const { outside } = await dataFolderOf(path.join(folder, "postgres"));
    if (outside) await rm(outside, { recursive: true, force: true });
  });
  const startAndStop = async () => {
    const started = start();
    await heard(started, "Ctrl-C stops everything");
    expect(await end(started, "SIGINT")).toBe(0);
  };

  test("a deleted .local folder begins anew, and lost secrets do not cost the database", async () => {
    await startAndStop();
    const { outside } = await dataFolderOf(path.join(folder, "postgres"));
    expect(outside).toBeDefined();
    await rm(path.join(folder, "secrets.json"));
    const refused = start();
    await once(refused.child, "close");
    expect(refused.said()).toMatch(/berth: [^\n]*secrets\.json is missing[^\n]*\n$/);
    await rm(folder, { recursive: true });
    await startAndStop();
  });

  test("what somebody else put at the database's place is refused in one line, and kept", async () => {
    const { outside = "" } = await dataFolderOf(path.join(folder, "postgres"));
    await mkdir(outside);
    const refused = start();
    await once(refused.child, "close");
    expect(refused.child.exitCode).toBe(1);
    expect(refused.said()).toMatch(/\nberth: [^\n]*something else is there; move it away\n$/);
    expect(await readdir(outside)).toEqual([]);
  });
});

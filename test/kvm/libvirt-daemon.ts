import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { access, mkdir, readFile, rename, rm } from "node:fs/promises";
import path from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { promisify } from "node:util";

const run = promisify(execFile);
const REPOSITORY = path.resolve(import.meta.dirname, "../..");
const SCRIPTS = path.join(REPOSITORY, "scripts");

export const URI = "qemu:///system";
/** Debian's packages for the whole suite. */
const PACKAGES =
  "libvirt-daemon-system libvirt-clients qemu-system-x86 qemu-utils genisoimage extlinux openssh-client";
const PROGRAMS = [
  "virsh",
  "libvirtd",
  "virtlogd",
  "qemu-system-x86_64",
  "qemu-img",
  "genisoimage",
  "ssh",
  "ssh-keygen",
];

type Ground =
  | { available: false; reason: string }
  | {
      available: true;
      image: string;
      /** The pids of the daemons that `close` ends. */
      daemons: readonly number[];
      close: () => Promise<void>;
    };

/**
 * What every test on a real libvirt stands on: daemons that answer, and the test guest's image. Starts only the
 * daemons that do not run, and `close` ends only those, and those of `leftBehind` that still live: what an earlier run
 * had started and could not end. Says in a sentence why a machine cannot do it.
 */
export async function openGround(leftBehind: readonly number[] = []): Promise<Ground> {
  if (process.platform !== "linux" || process.getuid?.() !== 0)
    return { available: false, reason: "libvirt's system daemon needs Linux and root" };
  const missing = await missingPrograms();
  if (missing.length > 0)
    return {
      available: false,
      reason: `missing ${missing.join(", ")}: apt-get install ${PACKAGES}`,
    };
  let pids: number[];
  try {
    const known = await Promise.all(leftBehind.map(isOurDaemon));
    const { stdout } = await run(path.join(SCRIPTS, "start-libvirt.sh"));
    const started = stdout.split("\n").filter(Boolean).map(Number);
    pids = [...leftBehind.filter((_, n) => known[n]), ...started];
  } catch (error) {
    return { available: false, reason: `libvirt does not start: ${messageOf(error)}` };
  }
  const close = async () => {
    // Another run that came later uses the same daemons: a domain that still lives is not ours any more.
    const { stdout } = await run("virsh", ["-q", "-c", URI, "list", "--uuid"]);
    if (stdout.trim() !== "") return;
    // libvirtd before the virtlogd that it writes through; ended means gone, or the next run would lean on it.
    for (const pid of pids.toReversed()) await endProcess(pid);
  };
  try {
    return { available: true, image: await guestImage(), daemons: pids, close };
  } catch (error) {
    await close();
    return { available: false, reason: `the test guest cannot be built: ${messageOf(error)}` };
  }
}

/** Builds the guest when this version of its script was not built here before: about 10 s and 30 MB of packages. */
async function guestImage(): Promise<string> {
  const script = path.join(SCRIPTS, "build-tiny-guest.sh");
  const version = createHash("sha256")
    .update(await readFile(script))
    .digest("hex")
    .slice(0, 12);
  const cache = path.join(REPOSITORY, ".cache/guest");
  const folder = path.join(cache, version);
  const image = path.join(folder, "tiny.qcow2");
  if (await isThere(image)) return image;
  const building = `${folder}.${process.pid}`;
  await mkdir(building, { recursive: true });
  try {
    await run("bash", [script, building, path.join(cache, "packages")], {
      env: { ...process.env, PATH: systemPath() },
    });
    await mkdir(folder, { recursive: true });
    await rename(path.join(building, "tiny.qcow2"), image);
  } finally {
    await rm(building, { recursive: true, force: true });
  }
  return image;
}

async function missingPrograms(): Promise<string[]> {
  const found = await Promise.all(
    PROGRAMS.map(async (program) => {
      const places = systemPath()
        .split(":")
        .map((dir) => isThere(path.join(dir, program)));
      return (await Promise.all(places)).includes(true);
    }),
  );
  return PROGRAMS.filter((_, n) => !found[n]);
}

const systemPath = (): string => `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin`;

async function isThere(file: string): Promise<boolean> {
  return await access(file).then(
    () => true,
    () => false,
  );
}

async function endProcess(pid: number): Promise<void> {
  if (!(await isAlive(pid))) return;
  process.kill(pid, "SIGTERM");
  for (let tries = 0; tries < 1000 && (await isAlive(pid)); tries++) await wait(50);
}

/** A pid is given out again: what was a daemon may be something else by now. */
const isOurDaemon = async (pid: number): Promise<boolean> =>
  ["libvirtd", "virtlogd"].includes(
    (await readFile(`/proc/${pid}/comm`, "utf8").catch(() => "")).trim(),
  );

/** A process that ended and that nobody has waited for yet does not count. */
async function isAlive(pid: number): Promise<boolean> {
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "State:\tX");
  return !/^State:\s+[ZX]/m.test(status);
}

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const stderr = "stderr" in error && typeof error.stderr === "string" ? error.stderr.trim() : "";
  return (stderr || error.message).slice(-400);
}

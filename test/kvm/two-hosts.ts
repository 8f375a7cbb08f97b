import { execFile, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { appendFile, chmod, cp, mkdir, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { eventually } from "#test/drivers/builders.ts";

/*
 * libvirt hosts on one machine, as many as a test needs: each libvirtd has its own network, mount and UTS namespace, host UUID and
 * state. `/tmp` and the like they share, as a test's folders lie there.
 */

const run = promisify(execFile);

/** virtlogd goes to the background. libvirtd is begun anew when it dies, as systemd would; the shell holds the namespaces meanwhile. */
const SET_UP = `set -e
hostname "$2"
mount --make-rprivate /
mkdir -p /run/libvirt /var/cache/libvirt /var/log/libvirt
mount --bind "$1/run" /run/libvirt
mount --bind "$1/lib" /var/lib/libvirt
mount --bind "$1/etc" /etc/libvirt
mount --bind "$1/log" /var/log/libvirt
mount --bind "$1/cache" /var/cache/libvirt
PATH=$PATH:/usr/sbin
virtlogd -d -p /run/libvirt/virtlogd.pid
trap 'over=yes; kill "$libvirtd"' TERM
while [ -z "$over" ]; do
  libvirtd -p /run/libvirt/libvirtd.pid & libvirtd=$!
  wait "$libvirtd" || true
  sleep 0.1
done
wait`;

export type LibvirtHost = {
  uri: string;
  /** Where libvirt keeps the state of running domains, as this process sees it. */
  runDir: string;
  /** Its whole file system, as this process sees it. */
  root: string;
  /** The words before a command that is to run on this host, with its own `/run` and `/var/lib/libvirt`. */
  enter: readonly string[];
  /** Kills the QEMU process of a VM, as a fault of the hardware would. */
  killGuest: (vmId: string) => Promise<void>;
  /** Kills libvirtd, which comes back by itself. */
  killLibvirt: () => Promise<void>;
  close: () => Promise<void>;
};

/** Needs what `openGround` needs. */
export async function openLibvirtHost(name: string): Promise<LibvirtHost> {
  const dir = await mkdtemp(path.join(tmpdir(), "berth-host-"));
  await chmod(dir, 0o711);
  for (const part of ["run", "lib", "log", "cache"])
    await mkdir(path.join(dir, part), { mode: 0o755 });
  await cp("/etc/libvirt", path.join(dir, "etc"), { recursive: true });
  // The domains, networks and pools of the machine's own libvirt are none of this host's.
  for (const folder of ["qemu", "storage"])
    await rm(path.join(dir, "etc", folder), { recursive: true, force: true });
  // Two hosts with one UUID take each other for themselves, and refuse to migrate. Guests of two hosts have one cgroup's name.
  await appendFile(path.join(dir, "etc/libvirtd.conf"), `\nhost_uuid = "${randomUUID()}"\n`);
  await appendFile(path.join(dir, "etc/qemu.conf"), "\ncgroup_controllers = [ ]\n");

  const words = ["--mount", "--uts", "--net", "bash", "-c", SET_UP, "bash", dir, name];
  const daemon = spawn("unshare", words, { stdio: ["ignore", "ignore", "pipe"] });
  let said = "";
  daemon.stderr.on("data", (chunk: Buffer) => (said += chunk.toString()));
  const ended = once(daemon, "exit");
  const runDir = path.join(dir, "run/qemu");
  const pidIn = async (file: string) =>
    Number(await readFile(file, "utf8").catch(() => "")) || null;

  const close = async () => {
    for (const file of await readdir(runDir).catch(() => []))
      if (file.endsWith(".pid")) await end(await pidIn(path.join(runDir, file)), "SIGKILL");
    if (daemon.exitCode === null && daemon.signalCode === null) {
      daemon.kill("SIGTERM");
      await ended;
    }
    await end(await pidIn(path.join(dir, "run/virtlogd.pid")), "SIGTERM");
    await rm(dir, { recursive: true, force: true });
  };

  const uri = `qemu+unix:///system?socket=${path.join(dir, "run/libvirt-sock")}`;
  try {
    await eventually(`libvirt of host ${name} answers`, async () => {
      if (daemon.exitCode !== null) throw new Error(`libvirtd of host ${name} ended: ${said}`);
      return run("virsh", ["-q", "-c", uri, "version"]).catch(() => null);
    });
  } catch (error) {
    await close();
    throw error;
  }
  return {
    uri,
    runDir,
    root: `/proc/${daemon.pid}/root`,
    enter: ["nsenter", "--target", String(daemon.pid), "--mount", "--uts"],
    killGuest: async (vmId) =>
      await end(await pidIn(path.join(runDir, `berth-${vmId}.pid`)), "SIGKILL"),
    killLibvirt: async () => await end(await pidIn(path.join(dir, "run/libvirtd.pid")), "SIGKILL"),
    close,
  };
}

/** Ends a process that this file started, and waits until it is gone. */
async function end(pid: number | null, signal: NodeJS.Signals): Promise<void> {
  if (pid === null || !(await lives(pid))) return;
  process.kill(pid, signal);
  await eventually(`process ${pid} ends`, async () => !(await lives(pid)));
}

async function lives(pid: number): Promise<boolean> {
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "State:\tX");
  return !/^State:\s+[ZX]/m.test(status);
}

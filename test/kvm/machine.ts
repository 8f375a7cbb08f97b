import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";

/**
 * This machine again, for packages to be installed in: its files under an overlay that is gone with the test, in a mount
 * namespace. libvirt's sockets, `/proc`, `/dev` and `/tmp` are this machine's own, and no systemd is seen to run.
 */
const SET_UP = `set -e
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
for folder in proc dev tmp; do mount --rbind "/$folder" "$1/root/$folder"; done
mount -t tmpfs tmpfs "$1/root/run"
mkdir "$1/root/run/libvirt"
mount --bind /run/libvirt "$1/root/run/libvirt"
echo ready
exec sleep infinity`;

export type Machine = {
  /** As root of it; answers what it printed. Throws when it fails. */
  run: (command: string, ...args: string[]) => Promise<string>;
  /** The words that start a command in it. */
  within: (command: string, ...args: string[]) => [string, ...string[]];
  close: () => Promise<void>;
};

export async function openMachine(): Promise<Machine> {
  const folder = await mkdtemp(path.join(tmpdir(), "berth-machine-"));
  const holder = spawn("unshare", ["--mount", "sh", "-c", SET_UP, "sh", folder], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [said] = await Promise.race([
    once(holder.stdout, "data"),
    once(holder, "exit").then(() => ["it ended"]),
  ]);
  if (String(said) !== "ready\n") throw new Error(`no machine was made: ${String(said)}`);
  const within = (command: string, ...args: string[]): [string, ...string[]] => {
    const inside = ["--target", String(holder.pid), "--mount", "chroot", `${folder}/root`];
    return ["nsenter", ...inside, command, ...args];
  };
  return {
    within,
    async run(command, ...args) {
      const [program, ...words] = within(command, ...args);
      const { stdout } = await promisify(execFile)(program, words, {
        env: {
          PATH: "/usr/sbin:/usr/bin:/sbin:/bin",
          LC_ALL: "C",
          DEBIAN_FRONTEND: "noninteractive",
        },
      });
      return stdout;
    },
    async close() {
      const ended = once(holder, "exit");
      holder.kill("SIGKILL");
      await ended;
      await rm(folder, { recursive: true });
    },
  };
}

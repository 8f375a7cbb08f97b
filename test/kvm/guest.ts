import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import type { DesiredVm } from "#core/contracts/agent/desired.ts";
import { filesOf } from "#host-agent/drivers/kvm/files.ts";
import { aDesiredVm } from "#test/drivers/builders.ts";
import { PATIENCE_MS } from "#test/harness/patience.ts";
import type { KvmTestHost } from "./host.ts";

const run = promisify(execFile);

export type KeyPair = { file: string; publicKey: string; remove: () => Promise<void> };

export async function makeKeyPair(comment: string): Promise<KeyPair> {
  const folder = await mkdtemp(path.join(tmpdir(), "berth-key-"));
  const file = path.join(folder, "key");
  await run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", file]);
  return {
    file,
    publicKey: (await readFile(`${file}.pub`, "utf8")).trim(),
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}

/** A small VM that lets this key in, on a host with an isolated network. */
export function orderOn(host: KvmTestHost, key: KeyPair): DesiredVm {
  if (host.gateway === null) throw new Error("the guest's address needs a network");
  const { address, prefix } = host.gateway;
  return aDesiredVm({
    hostname: "first.example.com",
    image: host.image,
    sshKeys: [key.publicKey],
    size: { vcpus: 1, memoryMib: 128, diskGib: 2 },
    userData: `#!/bin/sh\necho 'USER-DATA $(id) "'"'"'<&]]>' $(hostname)\n`,
    nics: [
      {
        mac: "52:54:00:18:00:05",
        ipv4: { address: address.replace(/\.1$/, ".5"), prefix, gateway: address },
        vlan: null,
        bandwidthMbit: null,
      },
    ],
  });
}

/** Runs a command inside the guest, as whoever holds this key. */
export async function ssh(vm: DesiredVm, key: KeyPair, command: string): Promise<string> {
  const address = vm.nics[0]?.ipv4.address ?? "";
  const { stdout } = await run(
    "ssh",
    [
      "-i",
      key.file,
      "-F",
      "none",
      "-o",
      "IdentitiesOnly=yes",
      "-o",
      "IdentityAgent=none",
      "-o",
      "BatchMode=yes",
      "-o",
      "StrictHostKeyChecking=no",
      "-o",
      "UserKnownHostsFile=/dev/null",
      "-o",
      "ConnectTimeout=20",
      "-o",
      "LogLevel=ERROR",
      `root@${address}`,
      command,
    ],
    { timeout: PATIENCE_MS },
  );
  return stdout.trim();
}

/** What the guest says of itself on its console, once a boot: see scripts/build-tiny-guest.sh. */
export async function proofs(host: KvmTestHost, vm: DesiredVm): Promise<Record<string, string>[]> {
  return (await consoleOf(host, vm))
    .split("\n")
    .filter((line) => line.includes("BERTH-PROOF "))
    .map((line) =>
      Object.fromEntries(
        line
          .slice(line.indexOf("BERTH-PROOF ") + "BERTH-PROOF ".length)
          .trim()
          .split(" ")
          .map((pair): [string, string] => {
            const at = pair.indexOf("=");
            return [pair.slice(0, at), pair.slice(at + 1)];
          }),
      ),
    );
}

export async function consoleOf(host: KvmTestHost, vm: DesiredVm): Promise<string> {
  return await readFile(filesOf(host.dirs, vm).console, "utf8");
}

/** SHA-256 of a public key's blob, as the guest computes it from its own authorized_keys. */
export function keyDigest(publicKey: string): string {
  const [, blob = ""] = publicKey.split(" ");
  return createHash("sha256").update(Buffer.from(blob, "base64")).digest("hex");
}

export async function fileDigest(file: string): Promise<string> {
  return createHash("sha256")
    .update(await readFile(file))
    .digest("hex");
}

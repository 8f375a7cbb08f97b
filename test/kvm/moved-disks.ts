import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFile, mkdir, readFile, rm } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import type { VmRef } from "#host-agent/drivers/driver.ts";
import { exists, filesOf } from "#host-agent/drivers/kvm/files.ts";
import type { OpenedMoves } from "#test/drivers/contract-kit.ts";
import type { KvmTestHost } from "./host.ts";

const run = promisify(execFile);
let marks = 0;

export async function qemuImg(...words: string[]): Promise<string> {
  return (await run("qemu-img", words)).stdout;
}

/** Writes to a disk that nothing uses, as its guest would: `write -P 7 300M 64k`, `discard 0 1M`. */
export async function writeTo(disk: string, ...commands: string[]): Promise<void> {
  await run("qemu-io", ["-f", "qcow2", ...commands.flatMap((command) => ["-c", command]), disk]);
}

/** Two KVM hosts as the ends of a move. */
export function kvmMoves(first: KvmTestHost, second: KvmTestHost): OpenedMoves {
  return {
    format: "qcow2",
    second: second.driver,
    mark: async (vm: VmRef) => {
      marks = (marks % 250) + 1;
      await writeTo(filesOf(first.dirs, vm).disk, `write -P ${marks} 300M 128k`);
    },
    contentOf: (driver, vm) =>
      contentOf(filesOf((driver === second.driver ? second : first).dirs, vm).disk),
    carry,
    isThere: exists,
  };
}

/** As a channel between two agents would. */
export async function carry(from: string, to: string): Promise<void> {
  await mkdir(path.dirname(to), { recursive: true, mode: 0o700 });
  await copyFile(from, to);
}

/** Of what a guest sees: a copy that stands alone, written in order by one writer, is the same for the same disk. */
async function contentOf(disk: string): Promise<string> {
  const copy = `${disk}.content`;
  try {
    await qemuImg("convert", "-m", "1", "-f", "qcow2", "-O", "qcow2", disk, copy);
    return createHash("sha256")
      .update(await readFile(copy))
      .digest("hex");
  } finally {
    await rm(copy, { force: true });
  }
}

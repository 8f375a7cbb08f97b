import { open } from "node:fs/promises";
import { z } from "zod";
import type { DiskFormat } from "#core/vms/disk-format.ts";
import { DriverError } from "../driver.ts";
import { ProgramFailed, runProgram } from "./run-program.ts";

/*
 * A disk's file that another host sent. A disk may name further files, which QEMU opens when it opens the disk: whoever wrote it
 * could so read any file of this host's. It is judged by its bytes first, then by QEMU, and only then is it a disk.
 */

/** https://gitlab.com/qemu-project/qemu/-/blob/master/docs/interop/qcow2.rst */
const QCOW2_MAGIC = 0x51_46_49_fb;
const LEAST_HEADER = 104;
/** All that a header of ours and its extensions take; QEMU's own are below 600 bytes. */
const HEAD_BYTES = 65_536;
const END = 0;
/** Words for people of what the feature bits are. */
const FEATURE_NAMES = 0x68_03_f8_57;

/** https://learn.microsoft.com/openspecs/windows_protocols/ms-vhdx (`vhdxfile`) */
const VHDX_SIGNATURE = "vhdxfile";

const CHECK_TIMEOUT_MS = 6 * 3_600_000;

/**
 * Why the file that begins so is no disk that this driver sends: a plain qcow2 of version 3, of the VM's size, that stands alone and has
 * nothing in it besides what its guest sees. null: it may be one.
 */
export function judgeQcow2(head: Buffer, wantedBytes: bigint): string | null {
  if (head.length < LEAST_HEADER || head.readUInt32BE(0) !== QCOW2_MAGIC) return "it is no qcow2";
  if (head.readUInt32BE(4) !== 3) return "it is not of qcow2's version 3";
  if (head.readBigUInt64BE(8) !== 0n) return "it names a backing file";
  if (head.readUInt32BE(32) !== 0) return "it is encrypted";
  if (head.readUInt32BE(60) !== 0) return "it holds snapshots";
  // Among them: data in another file, marked as broken, written by a QEMU that knows more than ours.
  if (head.readBigUInt64BE(72) !== 0n) return "it has features that no disk is sent with";
  const size = head.readBigUInt64BE(24);
  if (size !== wantedBytes) return `it has ${size} bytes, and the VM's disk has ${wantedBytes}`;
  for (let at = head.readUInt32BE(100); ;) {
    if (at < LEAST_HEADER || at + 8 > head.length) return "its header does not end";
    const kind = head.readUInt32BE(at);
    if (kind === END) return null;
    // A data file's name, a backing file's format, a key, lists of what changed.
    if (kind !== FEATURE_NAMES) return `its header holds what no disk is sent with (${kind})`;
    at += 8 + Math.ceil(head.readUInt32BE(at + 4) / 8) * 8;
  }
}

/** What QEMU says of it. Whatever names another file, or a lock, has a field that is not here. */
const Info = z.object({
  format: z.string(),
  "virtual-size": z.number(),
  "backing-filename": z.undefined().optional(),
  "full-backing-filename": z.undefined().optional(),
  encrypted: z.literal(false).optional(),
  snapshots: z.array(z.unknown()).max(0).optional(),
  "dirty-flag": z.literal(false).optional(),
  "format-specific": z
    .object({
      data: z.object({
        "data-file": z.undefined().optional(),
        encrypt: z.undefined().optional(),
        corrupt: z.literal(false).optional(),
      }),
    })
    .optional(),
});

/** Throws `unsupported` unless the file is a whole disk of this format and size, which stands alone. */
export async function refuseHostile(
  file: string,
  format: Exclude<DiskFormat, "simulated">,
  wantedBytes: bigint,
  signal?: AbortSignal,
): Promise<void> {
  const head = await headOf(file);
  const why =
    format === "qcow2"
      ? judgeQcow2(head, wantedBytes)
      : head.toString("latin1", 0, VHDX_SIGNATURE.length) === VHDX_SIGNATURE
        ? null
        : "it is no VHDX";
  if (why !== null) throw refusal(file, why);
  const call = { signal, timeoutMs: CHECK_TIMEOUT_MS };
  try {
    const info: unknown = JSON.parse(
      await runProgram("qemu-img", ["info", "--output=json", "-f", format, file], call),
    );
    const read = Info.safeParse(info);
    if (!read.success)
      throw refusal(file, `QEMU finds in it what no disk is sent with`, read.error);
    const { format: found, "virtual-size": size } = read.data;
    if (found !== format || BigInt(size) !== wantedBytes)
      throw refusal(file, `QEMU finds a ${found} of ${size} bytes`);
    // Tables that point past its end, or into each other: cut off, or made so.
    await runProgram("qemu-img", ["check", "-q", "-f", format, file], call);
  } catch (error) {
    if (error instanceof ProgramFailed) throw refusal(file, error.stderr.slice(0, 300), error);
    throw error;
  }
}

const refusal = (file: string, why: string, cause?: unknown) =>
  new DriverError("unsupported", `the disk that was received is not taken (${file}): ${why}`, {
    cause,
  });

async function headOf(file: string): Promise<Buffer> {
  const disk = await open(file, "r");
  try {
    const { buffer, bytesRead } = await disk.read({
      buffer: Buffer.alloc(HEAD_BYTES),
      position: 0,
    });
    return buffer.subarray(0, bytesRead);
  } finally {
    await disk.close();
  }
}

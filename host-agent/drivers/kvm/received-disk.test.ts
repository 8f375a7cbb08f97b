import { expect, test } from "vitest";
import { judgeQcow2 } from "./received-disk.ts";

const GIB = 1024n ** 3n;
type Extension = readonly [kind: number, data: string];

/** The head of a qcow2 as qemu-img 7.2 writes it, with what a test puts in. */
function aHead(
  over: {
    magic?: number;
    version?: number;
    backing?: bigint;
    crypt?: number;
    snapshots?: number;
    features?: bigint;
    size?: bigint;
    length?: number;
    extensions?: readonly Extension[];
  } = {},
): Buffer {
  const head = Buffer.alloc(65_536);
  head.writeUInt32BE(over.magic ?? 0x51_46_49_fb, 0);
  head.writeUInt32BE(over.version ?? 3, 4);
  head.writeBigUInt64BE(over.backing ?? 0n, 8);
  head.writeUInt32BE(16, 20);
  head.writeBigUInt64BE(over.size ?? GIB, 24);
  head.writeUInt32BE(over.crypt ?? 0, 32);
  head.writeUInt32BE(over.snapshots ?? 0, 60);
  head.writeBigUInt64BE(over.features ?? 0n, 72);
  head.writeUInt32BE(over.length ?? 112, 100);
  let at = 112;
  for (const [kind, data] of over.extensions ?? [[0x68_03_f8_57, "x".repeat(384)]]) {
    head.writeUInt32BE(kind, at);
    head.writeUInt32BE(data.length, at + 4);
    head.write(data, at + 8, "latin1");
    at += 8 + Math.ceil(data.length / 8) * 8;
  }
  return head;
}

test("a plain qcow2 of the VM's size is none that is refused", () => {
  expect(judgeQcow2(aHead(), GIB)).toBeNull();
  expect(judgeQcow2(aHead({ extensions: [] }), GIB)).toBeNull();
});

test.each([
  ["raw bytes", aHead({ magic: 0 })],
  ["nothing", Buffer.alloc(0)],
  ["a file that ends in its header", aHead().subarray(0, 103)],
  ["a file that ends in its extensions", aHead().subarray(0, 300)],
  ["an older version", aHead({ version: 2 })],
  ["one with a backing file", aHead({ backing: 600n })],
  ["an encrypted one", aHead({ crypt: 2 })],
  ["one with snapshots", aHead({ snapshots: 1 })],
  ["one whose data are in another file", aHead({ features: 4n })],
  ["one that is marked as broken", aHead({ features: 2n })],
  ["one with features of a later QEMU", aHead({ features: 1n << 40n })],
  ["a larger disk", aHead({ size: GIB + 512n })],
  ["a smaller disk", aHead({ size: GIB - 512n })],
  ["one that names a data file", aHead({ extensions: [[0x44_41_54_41, "/etc/shadow"]] })],
  [
    "one that names it behind what is harmless",
    aHead({
      extensions: [
        [0x68_03_f8_57, "dirty"],
        [0x44_41_54_41, "json:{}"],
      ],
    }),
  ],
  ["one that names a backing file's format", aHead({ extensions: [[0xe2_79_2a_ca, "raw"]] })],
  ["one that holds a key", aHead({ extensions: [[0x05_37_be_77, "0123456789abcdef"]] })],
  ["one whose extensions are said to begin in its header", aHead({ length: 8 })],
  ["one whose extensions are said to begin past its end", aHead({ length: 0xffff_fff0 })],
  ["one whose extension is said to have no end", longExtension()],
])("%s is refused", (_what, head) => {
  expect(judgeQcow2(head, GIB)).toEqual(expect.any(String));
});

function longExtension(): Buffer {
  const head = aHead();
  head.writeUInt32BE(0xffff_fff0, 116);
  return head;
}

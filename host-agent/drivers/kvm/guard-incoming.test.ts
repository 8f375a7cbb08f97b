import { once } from "node:events";
import { describe, expect, test } from "vitest";
import { guardIncoming } from "./guard-incoming.ts";

const VM = "0692aef7-1db3-48d5-8018-cdd41a9c568d";
const DEFINITION =
  `<domain type="qemu"><name>berth-${VM}</name><uuid>${VM}</uuid><metadata><berth:vm xmlns:berth="urn:berth:vm:1" id="${VM}"/></metadata>` +
  `<os><type>hvm</type></os><devices/></domain>`;
const SOCKETS = { qemu: "/moves/x.qemu", nbd: "/moves/x.nbd" };
const REMOTE = 0x2000_8086;

const word = (value: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value | 0);
  return bytes;
};
const text = (value: string) =>
  Buffer.concat([
    word(Buffer.byteLength(value)),
    Buffer.from(value),
    Buffer.alloc((4 - (Buffer.byteLength(value) % 4)) % 4),
  ]);
function frame(
  procedure: number,
  body: Buffer = Buffer.alloc(0),
  over: { program?: number; type?: number } = {},
) {
  const head = [over.program ?? REMOTE, 1, procedure, over.type ?? 0, 7, 0].map(word);
  return Buffer.concat([word(28 + body.length), ...head, body]);
}
const OPENS = Buffer.concat([word(1), text("qemu:///system"), word(0)]);
type Params = Record<string, string>;
const WHOLE: Params = {
  migrate_uri: `unix://${SOCKETS.qemu}`,
  disks_uri: `unix://${SOCKETS.nbd}`,
  destination_xml: DEFINITION,
  persistent_xml: DEFINITION,
};
function migrates(params: Params, cookie = "") {
  const list = Object.entries(params).map(([name, value]) =>
    Buffer.concat([text(name), word(7), text(value)]),
  );
  // Beside the texts some that are none: a bandwidth (unsigned hyper), say.
  const number = Buffer.concat([text("bandwidth"), word(4), word(0), word(32)]);
  return Buffer.concat([word(list.length + 1), number, ...list, text(cookie), word(0x4843)]);
}

/** What has gone through, and why it ended; null: it did not. */
async function through(...chunks: Buffer[]) {
  const guard = guardIncoming({ target: { definition: DEFINITION }, sockets: SOCKETS });
  const passed: Buffer[] = [];
  guard.on("data", (chunk: Buffer) => passed.push(chunk));
  const ended = Promise.race([once(guard, "end"), once(guard, "close")]).catch(
    (error: unknown) => error,
  );
  for (const chunk of chunks) if (!guard.destroyed) guard.write(chunk);
  guard.end();
  const error = await ended;
  return { passed: Buffer.concat(passed), error: error instanceof Error ? error.message : null };
}

describe("libvirt of a destination", () => {
  const calls = [
    frame(66),
    frame(60, word(3)),
    frame(1, OPENS),
    frame(303, migrates(WHOLE)),
    frame(1, undefined, { program: 0x6b65_6570, type: 2 }),
    frame(306, migrates(WHOLE, `<qemu-migration>${DEFINITION}</qemu-migration>\0`)),
    frame(2),
  ];

  test("hears all that a migration says, however it comes in pieces", async () => {
    const all = Buffer.concat(calls);
    expect(await through(...calls)).toEqual({ passed: all, error: null });
    const pieces = Array.from({ length: Math.ceil(all.length / 13) }, (_, n) =>
      all.subarray(n * 13, n * 13 + 13),
    );
    expect(await through(...pieces)).toEqual({ passed: all, error: null });
  });

  const other = DEFINITION.replace("<devices/>", "<devices><hostdev/></devices>");
  test.each([
    ["to make a domain", frame(10), /procedure 10/],
    [
      "to run a command in QEMU",
      frame(1, Buffer.alloc(0), { program: 0x2000_8087 }),
      /procedure 1 of 20008087/,
    ],
    ["by a call with files", frame(66, Buffer.alloc(0), { type: 4 }), /type 4/],
    [
      "to open another driver",
      frame(1, Buffer.concat([word(1), text("lxc:///system"), word(0)])),
      /opened as lxc/,
    ],
    ["to open any driver", frame(1, Buffer.concat([word(0), word(0)])), /opened as null/],
    ["to take another VM", frame(303, migrates({ ...WHOLE, destination_xml: other })), /hostdev/],
    [
      "to keep another VM",
      frame(303, migrates({ ...WHOLE, persistent_xml: other })),
      /persistent_xml/,
    ],
    [
      "to keep another VM by a cookie",
      frame(306, migrates(WHOLE, `<qemu-migration>${other}</qemu-migration>`)),
      /hostdev/,
    ],
    [
      "to listen elsewhere",
      frame(303, migrates({ ...WHOLE, migrate_uri: "tcp://0.0.0.0:1" })),
      /migrate_uri/,
    ],
    [
      "to export disks elsewhere",
      frame(303, migrates({ ...WHOLE, disks_uri: "tcp://0.0.0.0:1" })),
      /disks_uri/,
    ],
    [
      "by a parameter of another kind",
      frame(303, migrates({ ...WHOLE, listen_address: "0.0.0.0" })),
      /listen_address/,
    ],
    ["by half of a call", frame(303, word(5)), /half of a call/],
    [
      "by a parameter of no kind",
      frame(303, Buffer.concat([word(1), text("x"), word(99)])),
      /type 99/,
    ],
    ["by more parameters than there are", frame(303, word(100_000)), /100000 parameters/],
    ["by a frame without an end", Buffer.concat([word(2 ** 30), Buffer.alloc(24)]), /a frame of/],
    ["by a frame that is none", Buffer.concat([word(3), Buffer.alloc(24)]), /a frame of 3/],
  ])("does not hear who asks it %s, nor what comes after", async (_, asked, why) => {
    const { passed, error } = await through(frame(66), asked, frame(2));
    expect(error).toMatch(why);
    expect(passed.subarray(0, 28)).toEqual(frame(66));
    expect(passed).toHaveLength(28);
  });

  test("does not hear half a frame at the end of what is said", async () => {
    const { passed, error } = await through(frame(66), frame(60, word(3)).subarray(0, 30));
    expect(error).toMatch(/half a frame/);
    expect(passed).toEqual(frame(66));
  });
});

import { Transform } from "node:stream";
import { DriverError } from "../driver.ts";

/*
 * libvirt's own protocol, as far as whoever is let in by it must be held (libvirt, docs/kbase/internals/rpc.rst): a frame is its length,
 * with these four bytes, then program, version, procedure, type, serial and status, each a big-endian word, and then what the procedure
 * takes, in XDR (RFC 4506).
 */

const LENGTH_BYTES = 4;
const HEAD_BYTES = 28;
/** What the calls of a migration take: a definition or two, with room to spare. libvirt itself takes 32 MiB. */
const MOST_BYTES = 1024 ** 2;

export type LibvirtFrame = Readonly<{
  program: number;
  procedure: number;
  /** 0: a call. */
  type: number;
  body: Buffer;
}>;

/** Passes whole frames on, each once `allow` has seen it. What that throws ends the stream, as does what is no frame. */
export function libvirtGuard(allow: (frame: LibvirtFrame) => void): Transform {
  let rest: Buffer = Buffer.alloc(0);
  return new Transform({
    transform(chunk: Buffer, _, taken) {
      rest = Buffer.concat([rest, chunk]);
      const passed: Buffer[] = [];
      try {
        for (;;) {
          if (rest.length < LENGTH_BYTES) break;
          const length = rest.readUInt32BE();
          if (length < HEAD_BYTES || length > MOST_BYTES)
            throw new DriverError("unsupported", `libvirt is told a frame of ${length} bytes`);
          if (rest.length < length) break;
          const frame = rest.subarray(0, length);
          allow({
            program: frame.readUInt32BE(4),
            procedure: frame.readInt32BE(12),
            type: frame.readUInt32BE(16),
            body: frame.subarray(HEAD_BYTES),
          });
          passed.push(frame);
          rest = rest.subarray(length);
        }
      } catch (error) {
        taken(error instanceof Error ? error : new Error(String(error)));
        return;
      }
      taken(null, Buffer.concat(passed));
    },
    flush(ended) {
      ended(rest.length === 0 ? null : new DriverError("unsupported", "half a frame for libvirt"));
    },
  });
}

const TYPED = { int: 1, uint: 2, llong: 3, ullong: 4, double: 5, boolean: 6, string: 7 } as const;
const WORD_BYTES = 4;

/** Reads XDR from its beginning. Throws on what ends too early, or is of a kind that nobody knows. */
export function xdrReader(body: Buffer) {
  let at = 0;
  const word = (): number => {
    if (at + WORD_BYTES > body.length) throw cutShort();
    const value = body.readUInt32BE(at);
    at += WORD_BYTES;
    return value;
  };
  const bytes = (): Buffer => {
    const length = word();
    if (at + length > body.length) throw cutShort();
    const value = body.subarray(at, at + length);
    at += Math.ceil(length / WORD_BYTES) * WORD_BYTES;
    return value;
  };
  const text = (): string => bytes().toString();
  return {
    word,
    bytes,
    text,
    /** Those whose values are texts; of the others none says what is defined. */
    typedTexts(): readonly (readonly [string, string])[] {
      const found: (readonly [string, string])[] = [];
      const count = word();
      if (count > 100) throw new DriverError("unsupported", `libvirt is told ${count} parameters`);
      for (let n = 0; n < count; n++) {
        const name = text();
        const type = word();
        if (type === TYPED.string) found.push([name, text()]);
        else if (type === TYPED.llong || type === TYPED.ullong || type === TYPED.double)
          at += 2 * WORD_BYTES;
        else if (type === TYPED.int || type === TYPED.uint || type === TYPED.boolean)
          at += WORD_BYTES;
        else throw new DriverError("unsupported", `libvirt is told a parameter of type ${type}`);
      }
      return found;
    },
  };
}

const cutShort = () => new DriverError("unsupported", "libvirt is told half of a call");

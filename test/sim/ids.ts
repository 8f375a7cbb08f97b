import type { IdSource } from "#core/ports.ts";
import { hashOf } from "./dice.ts";

/** UUIDv7 (RFC 9562 §5.7) of virtual time, a count and the seed: in order, and the same in every run of a seed. */
export function seededIdSource(
  seed: string,
  now: () => Date,
): IdSource & { of: (text: string) => string } {
  let count = 0;
  const tail = (text: string) =>
    (hashOf(`${seed}/${text}`) * 2 ** 16 + (hashOf(`${text}/${seed}`) >>> 16))
      .toString(16)
      .padStart(12, "0");
  const shaped = (ms: number, n: number, text: string) => {
    const time = ms.toString(16).padStart(12, "0");
    const middle = (n % 0x1000).toString(16).padStart(3, "0");
    const clock = (0x8000 + (Math.floor(n / 0x1000) % 0x4000)).toString(16);
    return `${time.slice(0, 8)}-${time.slice(8)}-7${middle}-${clock}-${tail(text).slice(-12)}`;
  };
  return {
    newId: () => {
      count++;
      return shaped(now().getTime(), count, String(count));
    },
    /** A fixed id with a name. */
    of: (text) => shaped(1, hashOf(text) % 0x1000, text),
  };
}

/* How values read. What comes from the API is anybody's text: what would move a terminal's cursor, or hide behind other text, is not written. */

/** Controls (tabs and line ends too), halves of characters, and marks that turn the direction of writing. */
const UNSEEN = /[\p{Cc}\p{Cs}\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu;
export const plain = (text: string): string => text.replaceAll(UNSEEN, "\ufffd");

export const NOTHING = "-";

/** `2026-03-01 12:00:00Z` of an instant of the API's. */
export const when = (instant: string | null | undefined): string =>
  instant == null ? NOTHING : instant.replace("T", " ").replace(/\.\d+Z$/, "Z");

const STEP = 1024n;
const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"] as const;
/** `1.5 GiB` of a count that travels as a string. */
export function bytes(count: string): string {
  let tenths = BigInt(count) * 10n;
  let unit = 0;
  while (tenths >= STEP * 10n && unit < UNITS.length - 1) {
    tenths /= STEP;
    unit++;
  }
  const tenth = tenths % 10n;
  return `${tenths / 10n}${tenth === 0n ? "" : `.${tenth}`} ${UNITS[unit]}`;
}
export const mib = (count: number): string => bytes((BigInt(count) * STEP * STEP).toString());

export const cpuSeconds = (nanoseconds: string): string =>
  `${(Number(BigInt(nanoseconds) / 10_000_000n) / 100).toFixed(2)} s`;

export const size = (s: { vcpus: number; memoryMib: number; diskGib: number }): string =>
  `${s.vcpus} vCPU, ${mib(s.memoryMib)}, ${s.diskGib} GiB disk`;

export const yesNo = (value: boolean): string => (value ? "yes" : "no");
export const listed = (values: readonly string[]): string =>
  values.length === 0 ? NOTHING : values.join(", ");

import path from "node:path";
import type { Mutant } from "@stryker-mutator/api/core";

const root = path.resolve(import.meta.dirname, "../..");

/** What tells a mutant from all others of the same text: its file, its place in it, and what stands there now. */
export function placeOf({ fileName, location: { start, end }, replacement }: Omit<Mutant, "id">) {
  const file = path.isAbsolute(fileName) ? path.relative(root, fileName) : fileName;
  return `${file}:${start.line}:${start.column}-${end.line}:${end.column} ${replacement}`;
}

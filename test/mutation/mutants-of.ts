import { globSync } from "node:fs";
import { readFile } from "node:fs/promises";
import path from "node:path";
import type { Mutant } from "@stryker-mutator/api/core";
import type { Logger } from "@stryker-mutator/api/logging";
import { Instrumenter } from "@stryker-mutator/instrumenter";

/** The files that globs name, "!" taking away: from `root`, in order. */
export function filesOf(globs: readonly string[], root: string): readonly string[] {
  const taken = globs.filter((glob) => !glob.startsWith("!"));
  const left = globs.filter((glob) => glob.startsWith("!")).map((glob) => glob.slice(1));
  return globSync(taken, { cwd: root, exclude: left }).toSorted();
}

/** Every mutant that Stryker would plant in these files, without planting one. */
export async function mutantsOf(
  globs: readonly string[],
  root: string,
): Promise<readonly Mutant[]> {
  const files = await Promise.all(
    filesOf(globs, root).map(async (name) => ({
      name: path.join(root, name),
      mutate: true,
      content: await readFile(path.join(root, name), "utf8"),
    })),
  );
  const { mutants } = await new Instrumenter(QUIET).instrument(files, {
    plugins: null,
    excludedMutations: [],
    ignorers: [],
  });
  return mutants;
}

const no = () => false;
const nothing = () => {};
const QUIET: Logger = {
  isTraceEnabled: no,
  isDebugEnabled: no,
  isInfoEnabled: no,
  isWarnEnabled: no,
  isErrorEnabled: no,
  isFatalEnabled: no,
  trace: nothing,
  debug: nothing,
  info: nothing,
  warn: nothing,
  error: nothing,
  fatal: nothing,
};

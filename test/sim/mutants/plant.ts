import { readFileSync } from "node:fs";
import { registerHooks } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";

/** A defect, as a change of one file's text. It is planted in memory, while a thread loads the file. */
export type Mutant = Readonly<{
  name: string;
  file: string;
  find: string;
  replace: string;
  /** A second change that it takes in the same file. */
  also?: Readonly<{ find: string; replace: string }>;
  /** A plan of `regressions/` that shows it, tried before the seeds: few random plans come to where it is. */
  plan?: string;
}>;

const ROOT = path.join(import.meta.dirname, "../../..");

/** Its file's source with its defect. Throws when the text is not there once. */
export function withDefect(mutant: Mutant): string {
  let source = readFileSync(path.join(ROOT, mutant.file), "utf8");
  for (const { find, replace } of mutant.also ? [mutant, mutant.also] : [mutant]) {
    const parts = source.split(find);
    if (parts.length !== 2)
      throw new Error(
        `mutant ${mutant.name}: its text stands ${parts.length - 1} times in ${mutant.file}`,
      );
    source = parts.join(replace);
  }
  return source;
}

/** Loads the mutant's file with its defect from now on, in this thread alone. */
export function plant(mutant: Mutant): void {
  const source = withDefect(mutant);
  const url = pathToFileURL(path.join(ROOT, mutant.file)).href;
  registerHooks({
    load(loading, context, nextLoad) {
      const loaded = nextLoad(loading, context);
      return loading === url ? { ...loaded, source } : loaded;
    },
  });
}

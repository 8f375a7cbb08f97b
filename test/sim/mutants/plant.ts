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

export const editsOf = (mutant: Mutant): readonly Readonly<{ find: string; replace: string }>[] =>
  mutant.also ? [mutant, mutant.also] : [mutant];

const ROOT = path.join(import.meta.dirname, "../../..");

/** Loads the mutant's file with its defect from now on, in this thread alone. Throws when the text is not there once. */
export function plant(mutant: Mutant): void {
  const file = path.join(ROOT, mutant.file);
  let source = readFileSync(file, "utf8");
  for (const { find, replace } of editsOf(mutant)) {
    const parts = source.split(find);
    if (parts.length !== 2)
      throw new Error(
        `mutant ${mutant.name}: its text stands ${parts.length - 1} times in ${mutant.file}`,
      );
    source = parts.join(replace);
  }
  const url = pathToFileURL(file).href;
  registerHooks({
    load(loading, context, nextLoad) {
      const loaded = nextLoad(loading, context);
      return loading === url ? { ...loaded, source } : loaded;
    },
  });
}

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
}>;

const ROOT = path.join(import.meta.dirname, "../../..");

/** Loads the mutant's file with its defect from now on, in this thread alone. Throws when the text is not there once. */
export function plant(mutant: Mutant): void {
  const file = path.join(ROOT, mutant.file);
  const parts = readFileSync(file, "utf8").split(mutant.find);
  if (parts.length !== 2)
    throw new Error(
      `mutant ${mutant.name}: its text stands ${parts.length - 1} times in ${mutant.file}`,
    );
  const url = pathToFileURL(file).href;
  registerHooks({
    load(loading, context, nextLoad) {
      const loaded = nextLoad(loading, context);
      return loading === url ? { ...loaded, source: parts.join(mutant.replace) } : loaded;
    },
  });
}

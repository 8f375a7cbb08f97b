import { globSync, readFileSync } from "node:fs";
import path from "node:path";

const ROOT = path.resolve(import.meta.dirname, "../..");

/** Commands of a runbook, as they stand there. */
export type Block = Readonly<{
  /** The page and the line that they begin at. */
  at: string;
  page: string;
  language: string;
  text: string;
}>;

const FENCE = /^( *)```(\w+)(?: run=(\S+))?[^\n]*\n(.*?)^\1```$/gms;

/**
 * Every block of the runbooks that names this file as what runs it, page by page and in the order of each page: run all of
 * them, or the page says of one what is not true (`scripts/check-docs.ts` holds that each names its test, or why none).
 */
export function blocksRunBy(testFile: string): readonly Block[] {
  const name = path.relative(ROOT, testFile);
  return globSync("docs/runbooks/*.md", { cwd: ROOT })
    .sort()
    .flatMap((page) => {
      const content = readFileSync(path.join(ROOT, page), "utf8");
      return [...content.matchAll(FENCE)].flatMap(
        ({ index, 1: indent = "", 2: language = "", 3: by, 4: body = "" }) => {
          if (by !== name) return [];
          const at = `${page}:${content.slice(0, index).split("\n").length + 1}`;
          return [{ at, page, language, text: body.replaceAll(RegExp(`^${indent}`, "gm"), "") }];
        },
      );
    });
}

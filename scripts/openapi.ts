/**
 * Writes docs/openapi.json from the routes (`npm run openapi`); with `--check` it only tells whether the file is
 * true.
 */
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { openapiText } from "./openapi-text.ts";

const file = path.resolve(import.meta.dirname, "../docs/openapi.json");
const made = openapiText();

if (!process.argv.includes("--check")) {
  writeFileSync(file, made);
  process.stdout.write(`wrote ${path.relative(process.cwd(), file)}\n`);
} else if (made !== present()) {
  process.stderr.write(
    `docs/openapi.json is not what the routes say${firstDifference(made, present())}; run npm run openapi\n`,
  );
  process.exitCode = 1;
}

function present(): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}

function firstDifference(now: string, before: string): string {
  const was = before.split("\n");
  const at = now.split("\n").findIndex((line, n) => line !== was[n]);
  return at < 0
    ? ""
    : ` (line ${at + 1}: ${now.split("\n")[at]?.trim()}, not ${was[at]?.trim() ?? "its end"})`;
}

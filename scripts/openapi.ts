/**
 * Writes what is made of the routes (`npm run openapi`): docs/openapi.json, and the command line's typed client. With
 * `--check` it only tells whether the files are true.
 */
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describedApi, openapiText } from "./openapi-text.ts";
import { operationsText } from "./operations-text.ts";

const root = path.resolve(import.meta.dirname, "..");
const api = describedApi();
const made = {
  "docs/openapi.json": openapiText(api),
  "cli/api/operations.ts": await operationsText(api),
};

for (const [name, text] of Object.entries(made)) {
  const file = path.join(root, name);
  if (!process.argv.includes("--check")) {
    writeFileSync(file, text);
    process.stdout.write(`wrote ${name}\n`);
  } else if (text !== present(file)) {
    process.stderr.write(
      `${name} is not what the routes say${firstDifference(text, present(file))}; run npm run openapi\n`,
    );
    process.exitCode = 1;
  }
}

function present(file: string): string {
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

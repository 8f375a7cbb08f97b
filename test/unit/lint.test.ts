import { execFile } from "node:child_process";
import { globSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";

/*
 * Violations are planted in `__lint__/<case>/`, a small repository each. A line that must be refused says so:
 * `// refused: <message>`. Whatever else is reported there is a rule that refuses too much.
 */

const ROOT = path.resolve(import.meta.dirname, "../..");
const PLANTED = "test/unit/__lint__";
const RULES = new Set([
  "berth(layers)",
  "berth(pure)",
  "berth(rooms)",
  "eslint(no-restricted-globals)",
  "import(no-cycle)",
  "vitest(no-restricted-vi-methods)",
]);

const Config = z.looseObject({
  ignorePatterns: z.array(z.string()),
  jsPlugins: z.array(z.string()),
  overrides: z.array(z.looseObject({ files: z.array(z.string()) })),
});
const Report = z.object({
  diagnostics: z.array(
    z.object({
      code: z.string(),
      message: z.string(),
      filename: z.string(),
      labels: z.array(z.object({ span: z.object({ line: z.int() }) })),
    }),
  ),
});

type Finding = { at: string; message: string };

let folder: string;
let reported: Finding[];
beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), "berth-lint-"));
  reported = await lintPlanted();
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** The project's own configuration, as it would be if each case were a repository. */
async function lintPlanted(): Promise<Finding[]> {
  const own = Config.parse(JSON.parse(await readFile(path.join(ROOT, ".oxlintrc.json"), "utf8")));
  const config = path.join(folder, "oxlintrc.json");
  await writeFile(
    config,
    JSON.stringify({
      ...own,
      options: {},
      ignorePatterns: [],
      jsPlugins: own.jsPlugins.map((plugin) => path.join(ROOT, plugin)),
      overrides: own.overrides.map((o) => ({
        ...o,
        files: o.files.map((f) => `**/__lint__/*/${f}`),
      })),
    }),
  );
  const oxlint = path.join(ROOT, "node_modules/.bin/oxlint");
  // It exits with 1, as it must: it found something.
  const { stdout } = await promisify(execFile)(
    oxlint,
    ["-c", config, "--format=json", "--no-ignore", PLANTED],
    { cwd: ROOT, maxBuffer: 16 * 1024 * 1024 },
  ).catch((error: unknown) => z.object({ stdout: z.string() }).parse(error));
  return Report.parse(JSON.parse(stdout))
    .diagnostics.filter((d) => RULES.has(d.code))
    .map((d) => ({ at: `${d.filename}:${d.labels[0]?.span.line}`, message: d.message }));
}

async function expectedIn(file: string): Promise<Finding[]> {
  const lines = (await readFile(path.join(ROOT, file), "utf8")).split("\n");
  return lines.flatMap((line, n) => {
    const message = /\/\/ refused: (.+)$/.exec(line)?.[1];
    return message === undefined ? [] : [{ at: `${file}:${n + 1}`, message }];
  });
}

const FILES = globSync(`${PLANTED}/**/*.ts`, { cwd: ROOT }).toSorted();
const byPlace = (a: Finding, b: Finding) => a.at.localeCompare(b.at, "en", { numeric: true });

describe("the linter", () => {
  it.each(FILES)("refuses what %s plants, and nothing else", async (file) => {
    const found = reported.filter((f) => f.at.startsWith(`${file}:`)).toSorted(byPlace);
    expect(found).toEqual((await expectedIn(file)).toSorted(byPlace));
  });

  it("has a planted violation for every folder that may not import everything", async () => {
    const plan = await Promise.all(FILES.map(expectedIn));
    const refused = plan.flat().map((f) => f.message);
    const folders = [
      "core",
      "db",
      "adapters",
      "commands",
      "functions",
      "webhooks",
      "host-agent",
      "cdk",
      "cli",
    ];
    const unproven = folders.filter(
      (from) => !refused.some((message) => message.startsWith(`${from} may not import `)),
    );
    expect(unproven).toEqual([]);
  });
});

import { globSync, readFileSync } from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";

/** Where a hypervisor is named as data, and why. Everything else asks capabilities, limits or a table (style §9). */
const DATA: Readonly<Record<string, string>> = {
  "core/hosts/limits.ts":
    "the list of hypervisors, the limits of each, and which of them suits a guest",
  "cdk/bundle/bundle.ts": "the folder of the driver's scripts",
  "host-agent/doctor/judge-kvm.ts": "the name of a check of /dev/kvm",
};
const ROOT = path.resolve(import.meta.dirname, "../..");
const NAME = /["'`](?:kvm|hyperv)(?![a-z])[^"'`\n]*["'`]|\.(?:kvm|hyperv)\b/;
const BRANCH =
  /(?:[=!]==?|\bcase)\s*["'`](?:kvm|hyperv)(?![a-z])|["'`](?:kvm|hyperv)(?![a-z])[^"'`\n]*["'`]\s*[=!]==?/;

const withoutComments = (text: string) =>
  text.replaceAll(/\/\*[^]*?\*\//g, "").replaceAll(/(^|\s)\/\/.*$/gm, "");
const withoutImports = (text: string) => text.replaceAll(/\bfrom\s*"[^"]*"/g, "");
const files = globSync(
  ["core", "db", "commands", "functions", "webhooks", "adapters", "host-agent", "cdk"].map(
    (folder) => `${folder}/**/*.ts`,
  ),
  { cwd: ROOT },
).filter((file) => !file.startsWith("host-agent/drivers/") && !file.endsWith(".test.ts"));
const code = (file: string) =>
  withoutImports(withoutComments(readFileSync(path.join(ROOT, file), "utf8")));

test("outside the drivers no code names a hypervisor, except where it is data", () => {
  expect(files.length).toBeGreaterThan(100);
  expect(files.filter((file) => NAME.test(code(file))).sort()).toEqual(Object.keys(DATA).sort());
});

test("and nothing branches on it, in the data either", () => {
  expect(files.filter((file) => BRANCH.test(code(file)))).toEqual([]);
  for (const planted of ['h.hypervisor === "kvm"', 'case "hyperv":', '"hyperv" !== h'])
    expect(planted).toMatch(BRANCH);
});

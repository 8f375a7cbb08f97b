import { globSync, readFileSync } from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";
import packageJson from "../../package.json" with { type: "json" };

const ROOT = path.join(import.meta.dirname, "../..");
/** What makes a file do less in its short form: `extent.ts`, or what asks it. */
const SAMPLES = /harness\/(?:extent|costly-test|each-step)\.ts"/;

test("npm run test:long does every file whole of which npm test does a sample", () => {
  const [, projects = "", files = ""] =
    /^BERTH_TEST_LONG=1 vitest run ((?:--project \w+ )+)(.+)$/.exec(
      packageJson.scripts["test:long"],
    ) ?? [];
  // kvm and hyperv are no part of npm test.
  const sampling = globSync("test/{unit,db,drivers,e2e,sim,cdk}/**/*.test.ts", { cwd: ROOT })
    .map((file) => file.split(path.sep).join("/"))
    .filter((file) => SAMPLES.test(readFileSync(path.join(ROOT, file), "utf8")));
  expect(sampling.length).toBeGreaterThan(5);
  const isIn = (file: string) =>
    projects.includes(`--project ${file.split("/")[1]} `) &&
    files.split(" ").some((part) => file.includes(part));
  expect(sampling.filter((file) => !isIn(file))).toEqual([]);
});

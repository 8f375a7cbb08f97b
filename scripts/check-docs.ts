/**
 * Checks that README.md, CONTRIBUTING.md and docs/ are true of the tree: every relative link leads to a file (and
 * its #heading), every code span that looks like a path exists, every `npm run` names a script; the table of libraries
 * and the list of the webhook's events name what there is, and all of it; every block of commands in a runbook names the
 * test that runs it, or says why none does. Prints what is not.
 * `node scripts/check-docs.ts [FOLDER]`: the repository to check, this one when it is left out.
 */
import { existsSync, globSync, readFileSync } from "node:fs";
import path from "node:path";
import { z } from "zod";
import { PROVIDER_EVENTS } from "#core/billing/payments.ts";

const root = path.resolve(process.argv[2] ?? path.join(import.meta.dirname, ".."));
/** Made by a run, so not in a fresh clone. */
const MADE = /^(node_modules|dist|cdk\.out|\.local|\.cache)(\/|$)/;
const FILE_NAME = /^[\w.-]+\.(ts|mjs|js|md|sh|ps1|psm1|sql)$/;
/** Languages of a block that somebody would type. */
const COMMANDS = new Set(["", "sh", "bash", "sql", "powershell"]);
/** The table of libraries, which names every package with its version. */
const LIBRARIES = "docs/adr/0008-libraries.md";
/** The page that says which of Stripe's events the webhook endpoint asks for. */
const WEBHOOK = "docs/runbooks/deploy-aws.md";
const Strings = z.record(z.string(), z.string()).default({});
const { scripts, dependencies, devDependencies } = z
  .object({ scripts: Strings, dependencies: Strings, devDependencies: Strings })
  .parse(JSON.parse(readFileSync(path.join(root, "package.json"), "utf8")));
const tops = new Set(globSync("*", { cwd: root }));

const pages = globSync(["README.md", "CONTRIBUTING.md", "docs/**/*.md"], { cwd: root });
const wrong = pages.flatMap((page) => {
  const text = readFileSync(path.join(root, page), "utf8");
  return [
    ...text
      .split("\n")
      .flatMap((line, n) =>
        problemsOf(page, line).map((problem) => `${page}:${n + 1}: ${problem}`),
      ),
    ...blockProblems(page, text),
  ];
});
if (pages.includes(LIBRARIES)) wrong.push(...libraryProblems());
if (pages.includes(WEBHOOK)) wrong.push(...webhookProblems());
if (wrong.length > 0) {
  process.stderr.write(`${wrong.join("\n")}\n`);
  process.exitCode = 1;
} else process.stdout.write(`${pages.length} pages are true of the tree\n`);

function problemsOf(page: string, line: string): string[] {
  return [
    ...all(line, /\]\(([^)\s]+)\)/g).flatMap((link) => linkProblem(page, link)),
    ...all(line, /`([^`\s]+)`/g).flatMap((span) => spanProblem(span)),
    ...all(line, /\bnode ((?:\w[\w-]*\/)+[\w.-]+\.m?[jt]s)\b/g).flatMap((file) =>
      spanProblem(file),
    ),
    ...all(line, /\bnpm run ([\w:-]+)/g).flatMap((name) =>
      name in scripts ? [] : [`there is no npm script ${name}`],
    ),
  ];
}

/** A runbook is read at night: what nobody has run is marked so. */
function blockProblems(page: string, text: string): string[] {
  if (!page.startsWith("docs/runbooks/")) return [];
  let inside = false;
  return text.split("\n").flatMap((line, n) => {
    const fence = /^ *```(.*)$/.exec(line)?.[1];
    if (fence === undefined) return [];
    inside = !inside;
    if (!inside || !COMMANDS.has(/^\w*/.exec(fence)?.[0] ?? "")) return [];
    const [, by, why] = / (?:run=(\S+)|not-run="([^"]+)")$/.exec(fence) ?? [];
    if (by === undefined && why === undefined)
      return [`${page}:${n + 1}: neither run=<its test> nor not-run="<why>"`];
    return by === undefined || runsBlocks(by)
      ? []
      : [`${page}:${n + 1}: ${by} runs no blocks of runbooks`];
  });
}

function runsBlocks(test: string): boolean {
  const file = path.join(root, test);
  return existsSync(file) && readFileSync(file, "utf8").includes("blocksRunBy(");
}

function all(text: string, pattern: RegExp): string[] {
  return [...text.matchAll(pattern)].flatMap((match) => match[1] ?? []);
}

function linkProblem(page: string, link: string): string[] {
  if (/^[a-z]+:/.test(link)) return [];
  const [target = "", heading] = link.split("#");
  const file = target === "" ? page : path.join(path.dirname(page), target);
  if (file.startsWith("..")) return [`the link ${link} leads out of the repository`];
  if (!existsSync(path.join(root, file))) return [`the link ${link} leads nowhere`];
  if (heading !== undefined && !headingsOf(file).has(heading))
    return [`${file} has no heading #${heading}`];
  return [];
}

/** As GitHub makes them: small letters, spaces as hyphens, without punctuation. */
function headingsOf(file: string): Set<string> {
  const text = readFileSync(path.join(root, file), "utf8");
  return new Set(
    all(text, /^#+ (.+)$/gm).map((heading) =>
      heading
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
        .replaceAll(" ", "-"),
    ),
  );
}

function spanProblem(span: string): string[] {
  const file = span.replace(/^#(?=[a-z-]+\/)/, "").replace(/[#:].*$/, ""); // `#core/x.ts`, `x.ts#name`, `x.ts:12`
  if (FILE_NAME.test(file) && !file.includes("/"))
    return tops.has(file) || globSync(`**/${file}`, { cwd: root, exclude: skipMade }).length > 0
      ? []
      : [`no file is named ${span}`];
  const [top = ""] = file.split("/");
  if (!file.includes("/") || !tops.has(top) || MADE.test(file) || /[<…]/.test(file)) return [];
  return globSync(file, { cwd: root }).length > 0 ? [] : [`the path ${span} does not exist`];
}

function libraryProblems(): string[] {
  const text = readFileSync(path.join(root, LIBRARIES), "utf8");
  const rows = [...text.matchAll(/^\| `([^`]+)` \| (\S+) \|/gm)].map(
    ([, name = "", version = ""]) => `${name} ${version}`,
  );
  const packages = Object.entries({ ...dependencies, ...devDependencies }).map((p) => p.join(" "));
  return [
    ...packages.filter((p) => !rows.includes(p)).map((p) => `${LIBRARIES}: no row for ${p}`),
    ...rows.filter((r) => !packages.includes(r)).map((r) => `${LIBRARIES}: ${r} is not installed`),
  ];
}

/** One that is left out is never delivered, and nobody notices until money is wrong. */
function webhookProblems(): string[] {
  const text = readFileSync(path.join(root, WEBHOOK), "utf8");
  const named = all(
    text,
    /`((?:checkout|customer|invoice|charge|payment_intent|refund)\.[a-z_.]+)`/g,
  );
  const asked: readonly string[] = PROVIDER_EVENTS;
  return [
    ...asked
      .filter((type) => !named.includes(type))
      .map((type) => `${WEBHOOK}: the webhook's list lacks ${type}`),
    ...named
      .filter((type) => !asked.includes(type))
      .map((type) => `${WEBHOOK}: the webhook does not ask for ${type}`),
  ];
}

function skipMade(name: string): boolean {
  return MADE.test(name);
}

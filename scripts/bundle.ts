import { execFile } from "node:child_process";
import { chmod, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs, promisify } from "node:util";
import packageJson from "../package.json" with { type: "json" };
import { packArchive, packDeb, packWindows } from "./pack-release.ts";
import { ReleaseKey, signManifest } from "./sign-manifest.ts";
import { bundleAgent, bundleCli, bundleFunctions } from "#cdk/bundle/bundle.ts";

/**
 * `npm run bundle`: every Lambda, the host agent and the command line, as they are handed out, into `dist/`. Prints the
 * size of each program, and the quickest of a few loads of each Lambda's by a fresh process, with the AWS SDK beside it, and
 * of a few starts of the command line.
 *
 * Of the agent also, in `dist/release/`: an archive with its Node and, on Linux, a Debian package; and `dist/windows/`, a folder for
 * a Windows host.
 *   --sign KEYFILE       a manifest, signed with a key of `npm run release-key`
 *   --oldest VERSION     in it: nothing older runs on a host after this release
 *   --windows-node FILE  a node.exe, for the folder and for an archive of Windows; without it the folder takes the host's Node
 */
const LOADS = 7;

const text = { type: "string" } as const;
const { values: options } = parseArgs({
  options: { sign: text, oldest: text, "windows-node": text },
});
const dist = path.join(import.meta.dirname, "..", "dist");

const functions = await bundleFunctions(dist);
for (const { file, bytes } of Object.values(functions)) print(file, bytes, await loadMs(file));
const agent = await bundleAgent(path.join(dist, "agent"));
print(agent.file, agent.bytes);
const cli = await bundleCli(path.join(dist, "cli"));
await chmod(cli.file, 0o755);
print(cli.file, cli.bytes, await quickest(() => startMs(cli.file)));
await release(agent.folder);

async function release(agentFolder: string): Promise<void> {
  const { version } = packageJson;
  const outDir = path.join(dist, "release");
  await rm(outDir, { recursive: true, force: true });
  const parts = { version, agentFolder, node: process.execPath, outDir };
  const files = [await packArchive(parts)];
  if (process.platform === "linux") {
    const deb = await packDeb(parts, path.join(outDir, files[0]?.name ?? ""));
    print(deb, (await stat(deb)).size);
  }
  const windowsNode = options["windows-node"] ?? null;
  await packWindows(agentFolder, path.join(dist, "windows"), windowsNode, version);
  if (windowsNode !== null) {
    const scripts = (await readdir(agentFolder)).filter((name) => name.endsWith(".ps1"));
    files.push(await packArchive({ ...parts, node: windowsNode }, scripts, "win32-x64"));
  }
  for (const { name, bytes } of files) print(path.join(outDir, name), bytes);
  if (options.sign === undefined) return;
  const key = ReleaseKey.parse(JSON.parse(await readFile(options.sign, "utf8")));
  const manifest = path.join(outDir, `berth-agent-${version}.manifest.json`);
  const { oldest } = options;
  await writeFile(manifest, await signManifest({ version, files, ...(oldest && { oldest }) }, key));
  print(manifest, (await stat(manifest)).size);
}

function print(file: string, bytes: number, ms?: number): void {
  const size = `${(bytes / 1000).toFixed(0)} KB`;
  const time = ms === undefined ? "" : `${ms.toFixed(0)} ms`;
  console.log(`${size.padStart(8)} ${time.padStart(7)}  ${path.relative(process.cwd(), file)}`);
}

/** The quickest says most of the program and least of what else the machine does. */
async function quickest(once: () => Promise<number>): Promise<number> {
  let best = Infinity;
  for (let n = 0; n < LOADS; n++) best = Math.min(best, await once());
  return best;
}
function loadMs(file: string): Promise<number> {
  return quickest(() => loadOnce(file));
}

/** From Node's own start on, until the command line has said its version. */
async function startMs(file: string): Promise<number> {
  const began = performance.now();
  await promisify(execFile)(process.execPath, [file, "--version"]);
  return performance.now() - began;
}

async function loadOnce(file: string): Promise<number> {
  const program =
    "const started = performance.now(); await import(process.argv[1]); console.log(performance.now() - started);";
  const { stdout } = await promisify(execFile)(process.execPath, [
    "--input-type=module",
    "--eval",
    program,
    pathToFileURL(file).href,
  ]);
  return Number(stdout);
}

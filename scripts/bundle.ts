import { execFile } from "node:child_process";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { bundleAgent, bundleFunctions } from "#cdk/bundle/bundle.ts";

/**
 * `npm run bundle`: every Lambda and the host agent, as they are deployed, into `dist/`. Prints the size of each
 * program, and the quickest of a few loads of each Lambda's by a fresh process, with the AWS SDK beside it.
 */
const LOADS = 7;

const dist = path.join(import.meta.dirname, "..", "dist");

const functions = await bundleFunctions(dist);
for (const { file, bytes } of Object.values(functions)) print(file, bytes, await loadMs(file));
const agent = await bundleAgent(path.join(dist, "agent"));
print(agent.file, agent.bytes);

function print(file: string, bytes: number, ms?: number): void {
  const size = `${(bytes / 1000).toFixed(0)} KB`;
  const time = ms === undefined ? "" : `${ms.toFixed(0)} ms`;
  console.log(`${size.padStart(8)} ${time.padStart(7)}  ${path.relative(process.cwd(), file)}`);
}

/** The quickest says most of the program and least of what else the machine does. */
async function loadMs(file: string): Promise<number> {
  let best = Infinity;
  for (let n = 0; n < LOADS; n++) best = Math.min(best, await loadOnce(file));
  return best;
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

import { cp, rm, stat } from "node:fs/promises";
import path from "node:path";
import { build, type BuildOptions, type Metafile, type Plugin } from "esbuild";
import packageJson from "../../package.json" with { type: "json" };
import { FUNCTION_ENTRIES, type FunctionName } from "../functions.ts";
import { leanPackages, ourSources, requiredHttp } from "./lean-packages.ts";

const ROOT = path.join(import.meta.dirname, "..", "..");

/**
 * The folder is what is deployed; `file` in it is the program, of `bytes` minified bytes. `packages` are those of npm that
 * it holds, by name, in order.
 */
export type Bundle = Readonly<{
  folder: string;
  file: string;
  bytes: number;
  packages: readonly string[];
}>;
export type FunctionBundles = Readonly<Record<FunctionName, Bundle>>;

/** CommonJS packages inside an ES module still call `require` for Node's own modules. */
const REQUIRE = `import { createRequire as berthRequire } from "node:module"; const require = berthRequire(import.meta.url);`;

const OPTIONS = {
  absWorkingDir: ROOT,
  bundle: true,
  minify: true,
  platform: "node",
  format: "esm",
  target: "node24",
  // Packages without an export map: their ES modules, which can be shaken.
  mainFields: ["module", "main"],
  charset: "utf8",
  legalComments: "none",
  sourcemap: "linked",
  // The lines are what a stack trace needs; the sources themselves would be most of the upload.
  sourcesContent: false,
  banner: { js: REQUIRE },
  plugins: [ourSources, leanPackages, requiredHttp],
  // better-auth imports it dynamically, when the organisation plugin is configured: it is not.
  external: ["better-auth/plugins/organization"],
  logLevel: "warning",
} satisfies BuildOptions;

async function bundle(entry: string, file: string, options: BuildOptions): Promise<Bundle> {
  const folder = path.dirname(file);
  await rm(folder, { recursive: true, force: true });
  const built = await build({
    ...OPTIONS,
    ...options,
    entryPoints: [entry],
    outfile: file,
    metafile: true,
  });
  const { size: bytes } = await stat(file);
  return { folder, file, bytes, packages: packagesIn(built.metafile) };
}

const ofVersion = (version: string): Plugin => ({
  name: "of-version",
  setup: (build) =>
    build.onLoad({ filter: /package\.json$/ }, ({ path: file }) =>
      file === path.join(ROOT, "package.json")
        ? { contents: JSON.stringify({ version }), loader: "json" }
        : null,
    ),
});

/** Those of which something is in the output. */
function packagesIn({ outputs }: Metafile): readonly string[] {
  const inputs = Object.values(outputs).flatMap((output) => Object.entries(output.inputs));
  const names = inputs
    .filter(([, { bytesInOutput }]) => bytesInOutput > 0)
    .flatMap(([file]) => /.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(file)?.[1] ?? []);
  return [...new Set(names)].toSorted();
}

/** One Lambda into `folder`. The AWS SDK is in Lambda's Node runtime, so it stays outside. */
export async function bundleFunction(name: FunctionName, folder: string): Promise<Bundle> {
  const made = await bundle(FUNCTION_ENTRIES[name], path.join(folder, "index.mjs"), {
    external: [...OPTIONS.external, "@aws-sdk/*"],
  });
  // `db/migrate.ts` finds the migrations beside itself.
  if (name === "migrate")
    await cp(path.join(ROOT, "db", "migrations"), path.join(folder, "migrations"), {
      recursive: true,
    });
  return made;
}

/** Every Lambda into a folder of its name below `outDir`, one after another. */
export async function bundleFunctions(outDir: string): Promise<FunctionBundles> {
  const into = (name: FunctionName) => bundleFunction(name, path.join(outDir, name));
  return {
    api: await into("api"),
    "agent-api": await into("agent-api"),
    "log-in": await into("log-in"),
    "stripe-webhook": await into("stripe-webhook"),
    "billing-events": await into("billing-events"),
    "outbox-events": await into("outbox-events"),
    "mail-events": await into("mail-events"),
    sweep: await into("sweep"),
    migrate: await into("migrate"),
    "add-staff": await into("add-staff"),
  };
}

/** One letter beyond Latin-1, and V8 keeps all of a program's text with two bytes a letter, for as long as it runs. */
const AGENT_OPTIONS = { charset: "ascii" } satisfies BuildOptions;

/** Another program of ours, bundled as the agent is: one that measures it. */
export const bundleAsAgent = (entry: string, file: string): Promise<Bundle> =>
  bundle(entry, file, AGENT_OPTIONS);

/**
 * The command line, in one file that a customer's Node runs: whoever has a token needs nothing else of ours. Its first line
 * names Node, as `cli/main.ts` does.
 */
export const bundleCli = (folder: string): Promise<Bundle> =>
  bundle("cli/main.ts", path.join(folder, "berth.mjs"), {
    target: "node22",
    sourcemap: false,
    plugins: [...OPTIONS.plugins, ofVersion(packageJson.version)],
  });

/**
 * The host agent, whole: a host has Node 24 and nothing of npm. The Hyper-V driver's scripts lie beside it. It says that it is
 * of `version`; left out, of the tree's.
 */
export async function bundleAgent(folder: string, version?: string): Promise<Bundle> {
  const made = await bundle("host-agent/main.ts", path.join(folder, "berth-agent.mjs"), {
    ...AGENT_OPTIONS,
    plugins: [...OPTIONS.plugins, ...(version === undefined ? [] : [ofVersion(version)])],
  });
  const scripts = path.join(ROOT, "host-agent", "drivers", "hyperv");
  await cp(scripts, folder, {
    recursive: true,
    filter: async (file) => file === scripts || file.endsWith(".ps1"),
  });
  return made;
}

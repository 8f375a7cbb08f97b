/**
 * Completes package-lock.json: `node scripts/complete-lock.ts`; with `--check` it only tells what is missing.
 *
 * `npm ci` refuses a lock that lacks an optional package, also one for another operating system. `npm install`
 * writes such a lock when its registry does not carry the builds for every platform (a mirror for Linux, say). What
 * is missing is named here by version, system and processor, which is all that npm needs to leave it out. It has no
 * `integrity`: a machine of that platform gets it from the registry on the registry's word.
 */
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { z } from "zod";

/** What is read of an entry; the rest of the file is written back as it came. */
const Entry = z.object({
  dev: z.boolean().optional(),
  license: z.string().optional(),
  optionalDependencies: z.record(z.string(), z.string()).default({}),
});
type Entry = z.infer<typeof Entry>;
const Json = z.record(z.string(), z.unknown());

/** The last parts of a platform package's name, as napi-rs and esbuild name them: system, processor, C library. */
const PLATFORM =
  /(android|darwin|freebsd|linux|openharmony|win32)-(arm64|arm|ia32|ppc64|riscv64|s390x|x64)(?:-(eabi|gnueabihf|musleabihf|gnu|musl|msvc))?$/;

const file = path.resolve(import.meta.dirname, "../package-lock.json");
const lock = Json.parse(JSON.parse(readFileSync(file, "utf8")));
const packages = Json.parse(lock["packages"]);
const missing = missingOptional();
if (missing.length === 0)
  process.stdout.write("package-lock.json names every platform's package\n");
else if (process.argv.includes("--check")) {
  process.stderr.write(
    `package-lock.json lacks ${missing.map((m) => m.name).join(", ")}; \`npm ci\` would refuse it: run node scripts/complete-lock.ts\n`,
  );
  process.exitCode = 1;
} else {
  for (const { name, version, parent } of missing)
    packages[`node_modules/${name}`] = entryFor(name, version, parent);
  lock["packages"] = Object.fromEntries(
    Object.entries(packages).toSorted(([a], [b]) => a.localeCompare(b, "en")), // npm's own order
  );
  writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`);
  process.stdout.write(`added ${missing.length} packages to package-lock.json\n`);
}

type Missing = { name: string; version: string; parent: Entry };

function missingOptional(): Missing[] {
  return Object.entries(packages).flatMap(([at, raw]) => {
    const parent = Entry.parse(raw);
    return Object.entries(parent.optionalDependencies)
      .filter(([name]) => !isReachable(at, name))
      .map(([name, version]) => ({ name, version, parent }));
  });
}

/** Node's way of finding a package: in the folder itself, and then in each folder above it. */
function isReachable(from: string, name: string): boolean {
  for (let at = from; ; at = at.slice(0, Math.max(0, at.lastIndexOf("node_modules/") - 1))) {
    if (`${at === "" ? "" : `${at}/`}node_modules/${name}` in packages) return true;
    if (at === "") return false;
  }
}

function entryFor(name: string, version: string, parent: Entry) {
  const [, os, cpu, abi] = PLATFORM.exec(name) ?? [];
  if (os === undefined || cpu === undefined)
    throw new Error(`${name}: its name does not say which platform it is for`);
  const libc = abi?.startsWith("musl") ? "musl" : abi === "gnu" ? "glibc" : undefined;
  return {
    version,
    cpu: [cpu],
    ...(parent.dev === true ? { dev: true } : {}),
    ...(libc !== undefined && os === "linux" ? { libc: [libc] } : {}),
    ...(parent.license === undefined ? {} : { license: parent.license }),
    optional: true,
    os: [os],
  };
}

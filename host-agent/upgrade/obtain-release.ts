import { execFile } from "node:child_process";
import { chmod, rename, rm } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { discard } from "#host-agent/verified-download.ts";
import { compareVersions } from "./decide.ts";
import { fetchFile, fetchManifest, type FetchPorts } from "./fetch-release.ts";
import { openManifest, type ReleaseManifest } from "./manifest.ts";
import { flushFolder, type ReleaseHome } from "./release-home.ts";
import { unpack } from "./unpack.ts";
import { UpgradeError } from "./upgrade-error.ts";

export type ReleaseRequest = Readonly<{
  /** The signed manifest: a file or a URL. */
  from: string;
  /** The pinned key's x. */
  key: string;
  /** `linux-x64` */
  platform: string;
  /** What the manifest must be of; null: whatever it is of. */
  version: string | null;
  /** Nothing older than this; null: any. */
  oldest: string | null;
}>;

/** A program of this size starts in a second; a host that is very busy needs more. */
const START_LIMIT_MS = 60_000;

/**
 * Brings a release to its folder: fetched, its signature and checksum right, unpacked, and seen to start. What runs is not
 * touched. Throws `UpgradeError`.
 */
export async function obtainRelease(
  home: ReleaseHome,
  request: ReleaseRequest,
  ports: FetchPorts,
): Promise<ReleaseManifest> {
  const { from, platform, oldest } = request;
  const manifest = await openManifest(await fetchManifest(from, ports), request.key);
  const { version } = manifest;
  if (request.version !== null && version !== request.version)
    throw new UpgradeError(
      "other_version",
      `the manifest is of ${version}, not ${request.version}`,
    );
  // A release that runs is never written over.
  if ((await home.version("current")) === version)
    throw new UpgradeError("other_version", `${version} is what this host runs already`);
  if (oldest !== null && compareVersions(version, oldest) < 0)
    throw new UpgradeError(
      "older",
      `${version} is older than ${oldest}: --allow-downgrade takes it`,
    );
  const file = manifest.files.find((each) => each.platform === platform);
  if (file === undefined)
    throw new UpgradeError("other_platform", `the release ${version} has nothing for ${platform}`);
  const folder = home.releaseFolder(version);
  const archive = home.releaseFolder(`.${file.sha256}.part`);
  const unpacked = home.releaseFolder(`.${version}.new`);
  await fetchFile(from, file, archive, ports);
  try {
    await unpack(archive, unpacked);
    await mustStart(unpacked, version);
    await rm(folder, { recursive: true, force: true });
    await rename(unpacked, folder);
    await flushFolder(path.dirname(folder));
  } finally {
    await rm(unpacked, { recursive: true, force: true });
    await discard(archive);
  }
  return manifest;
}

/** Its own Node runs its own program, which says its version: what was made for another machine is found out here. */
async function mustStart(folder: string, version: string): Promise<void> {
  const node = path.join(folder, NODE);
  const program = path.join(folder, "berth-agent.mjs");
  try {
    await chmod(node, 0o755);
    const { stdout } = await promisify(execFile)(node, [program, "--version"], {
      timeout: START_LIMIT_MS,
      maxBuffer: 10_000,
    });
    if (stdout.trim() !== version) throw new Error(`it says that it is ${stdout.trim()}`);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message.split("\n")[0] : String(cause);
    throw new UpgradeError("does_not_start", `the release ${version} does not start here: ${why}`, {
      cause,
    });
  }
}

const NODE = process.platform === "win32" ? "node.exe" : "node";

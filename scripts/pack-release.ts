import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmod,
  cp,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { gzip, type ZlibOptions } from "node:zlib";
import { packTar } from "modern-tar";
import type { ReleaseFile } from "#host-agent/upgrade/manifest.ts";

/* A release of the agent as operators get it. The same tree makes the same bytes, whoever makes it and when. */

const ROOT = path.join(import.meta.dirname, "..");
const LINUX = path.join(ROOT, "packaging/linux");
/** What everything in it is dated. */
const EPOCH_SECONDS = Number(process.env["SOURCE_DATE_EPOCH"] ?? Date.UTC(2026, 0, 1) / 1000);
const PROGRAM = "berth-agent.mjs";

export type ReleaseParts = Readonly<{
  version: string;
  /** The agent's bundle, as `bundleAgent` made it. */
  agentFolder: string;
  /** The Node that it comes with. */
  node: string;
  outDir: string;
  /** How hard gzip tries, from 1 to 9. */
  level?: number;
}>;

const gzipped = promisify<Uint8Array, ZlibOptions, Buffer>(gzip);

/** Node's machine, as Debian calls it. */
const DEBIAN_MACHINE: Partial<Record<NodeJS.Architecture, string>> = {
  x64: "amd64",
  arm64: "arm64",
};

/** `berth-agent-<version>-<platform>.tar.gz`: agent, its Node, and what it is. Answers its line of a manifest. */
export async function packArchive(
  parts: ReleaseParts,
  scripts: readonly string[] = [],
  platform = `${process.platform}-${process.arch}`,
): Promise<ReleaseFile> {
  const { version, agentFolder, node, outDir, level = 6 } = parts;
  const file = async (name: string, at: string, mode = 0o644) => {
    const body = await readFile(at);
    return entry(name, body, mode);
  };
  const entries = [
    entry("release.json", Buffer.from(`${JSON.stringify({ version, platform })}\n`), 0o644),
    await file(platform.startsWith("win32") ? "node.exe" : "node", node, 0o755),
    ...(await Promise.all(
      [PROGRAM, ...scripts].map((name) => file(name, path.join(agentFolder, name))),
    )),
  ];
  const bytes = await gzipped(await packTar(entries), { level });
  const name = `berth-agent-${version}-${platform}.tar.gz`;
  await mkdir(outDir, { recursive: true });
  await writeFile(path.join(outDir, name), bytes);
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  return { platform, name, sha256, bytes: bytes.length };
}

const entry = (name: string, body: Buffer, mode: number) => ({
  header: {
    name,
    size: body.length,
    mode,
    mtime: new Date(EPOCH_SECONDS * 1000),
    type: "file" as const,
    uid: 0,
    gid: 0,
    uname: "root",
    gname: "root",
  },
  body: Uint8Array.from(body),
});

/** The Debian package around an archive of this machine's. Answers the file; needs `dpkg-deb`. */
export async function packDeb({ version, outDir }: ReleaseParts, archive: string): Promise<string> {
  const machine = DEBIAN_MACHINE[process.arch];
  if (machine === undefined) throw new Error(`no Debian packages are made for ${process.arch}`);
  const tree = await mkdtemp(path.join(tmpdir(), "berth-deb-"));
  try {
    const put = async (name: string, body: string | Uint8Array, mode = 0o644) => {
      const at = path.join(tree, name);
      await mkdir(path.dirname(at), { recursive: true });
      await writeFile(at, body);
      await chmod(at, mode);
    };
    const ours = (name: string) => readFile(path.join(LINUX, name));
    for (const script of ["postinst", "prerm", "postrm"])
      await put(`DEBIAN/${script}`, await ours(script), 0o755);
    await put("DEBIAN/conffiles", "/etc/berth/agent.yaml\n");
    await put("usr/lib/berth-agent/launcher", await ours("launcher"), 0o755);
    await put("usr/lib/berth-agent/release.tar.gz", await readFile(archive));
    await put("usr/lib/systemd/system/berth-agent.service", await ours("berth-agent.service"));
    await put(
      "usr/share/man/man8/berth-agent.8.gz",
      await gzipped(await ours("berth-agent.8"), { level: 9 }),
    );
    await put("usr/share/doc/berth-agent/copyright", await readFile(path.join(ROOT, "LICENSE")));
    await put("etc/berth/agent.yaml", await defaultConfig());
    await mkdir(path.join(tree, "usr/bin"));
    await symlink("../lib/berth-agent/launcher", path.join(tree, "usr/bin/berth-agent"));
    const { size } = await stat(archive);
    await put("DEBIAN/control", control(version, machine, Math.ceil(size / 1024)));
    // Whatever umask this runs under.
    const within = await readdir(tree, { recursive: true, withFileTypes: true });
    const folders = within.filter((each) => each.isDirectory());
    for (const at of [tree, ...folders.map(({ parentPath, name }) => path.join(parentPath, name))])
      await chmod(at, 0o755);
    const deb = path.join(outDir, `berth-agent_${version}_${machine}.deb`);
    // What it holds is packed already.
    const args = ["--root-owner-group", "-Znone", "--build", tree, deb];
    const env = { ...process.env, SOURCE_DATE_EPOCH: String(EPOCH_SECONDS) };
    await promisify(execFile)("dpkg-deb", args, { env });
    return deb;
  } finally {
    await rm(tree, { recursive: true, force: true });
  }
}

/** The example, without an address that leads nowhere. */
const defaultConfig = async (): Promise<string> =>
  (await readFile(path.join(ROOT, "docs/agent.example.yaml"), "utf8")).replace(/^api:/m, "# api:");

const control = (version: string, machine: string, kib: number): string =>
  [
    "Package: berth-agent",
    `Version: ${version}`,
    `Architecture: ${machine}`,
    "Section: admin",
    "Priority: optional",
    "Maintainer: Berth <berth@localhost>",
    `Installed-Size: ${kib}`,
    "Depends: libc6 (>= 2.28), libstdc++6",
    "Recommends: libvirt-daemon-system, libvirt-clients, qemu-system-x86, qemu-utils, genisoimage, ebtables",
    "Description: runs the VMs of a host as Berth's control plane says",
    " It makes, starts, stops and meters VMs through libvirt, and reports what it sees.",
    " It comes with the Node that it runs on, and upgrades itself by signed releases.",
    "",
  ].join("\n");

/** A folder to be copied to a Windows host, whose `install.ps1` registers the service. */
export async function packWindows(
  agentFolder: string,
  folder: string,
  node: string | null,
  version: string,
) {
  await rm(folder, { recursive: true, force: true });
  await cp(path.join(ROOT, "packaging/windows"), folder, { recursive: true });
  await cp(agentFolder, path.join(folder, "release"), {
    recursive: true,
    filter: (file) => !file.endsWith(".map"),
  });
  await writeFile(
    path.join(folder, "release", "release.json"),
    `${JSON.stringify({ version, platform: "win32-x64" })}\n`,
  );
  await writeFile(path.join(folder, "agent.yaml"), WINDOWS_CONFIG);
  if (node !== null) await cp(node, path.join(folder, "release", "node.exe"));
}

const WINDOWS_CONFIG = `# What berth-agent works by on this host; docs/agent.md tells every key.
# api: https://api.example.com
stateDir: C:\\ProgramData\\Berth\\state
joinTokenFile: C:\\ProgramData\\Berth\\join-token
driver: hyperv
driverOptions:
  root: D:\\berth
  images: D:\\berth-images
  switch: Public
`;

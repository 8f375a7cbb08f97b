import { execFile } from "node:child_process";
import { mkdtemp, mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { parseConfig } from "#host-agent/config-file.ts";
import { openManifest } from "#host-agent/upgrade/manifest.ts";
import { unpack } from "#host-agent/upgrade/unpack.ts";
import { packArchive, packWindows } from "../../scripts/pack-release.ts";
import { ReleaseKey, signManifest } from "../../scripts/sign-manifest.ts";

const run = promisify(execFile);
const ROOT = path.join(import.meta.dirname, "../..");

describe("12.3: what npm run bundle makes of the agent", () => {
  let folder: string;
  const at = (...names: string[]) => path.join(folder, ...names);
  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "berth-pack-"));
    await mkdir(at("agent"));
    await writeFile(at("agent", "berth-agent.mjs"), "// a program");
    await writeFile(at("agent", "berth-agent.mjs.map"), "{}");
    await writeFile(at("agent", "agent.ps1"), "# a script");
    await writeFile(at("node"), "a Node");
  });
  afterEach(() => rm(folder, { recursive: true }));
  const parts = (out: string) => ({
    version: "1.2.3",
    agentFolder: at("agent"),
    node: at("node"),
    outDir: at(out),
  });

  test("is an archive that a host unpacks, the same bytes each time", async () => {
    const [one, two] = [await packArchive(parts("one")), await packArchive(parts("two"))];
    expect(one).toEqual(two);
    expect(one.name).toMatch(/^berth-agent-1\.2\.3-[a-z0-9]+-[a-z0-9]+\.tar\.gz$/);
    await unpack(at("one", one.name), at("unpacked"));
    expect(await readdir(at("unpacked"))).toEqual(["berth-agent.mjs", "node", "release.json"]);
    expect(await readFile(at("unpacked", "node"), "utf8")).toBe("a Node");
    expect((await stat(at("unpacked", "node"))).mode & 0o777).toBe(0o755);
    expect(JSON.parse(await readFile(at("unpacked", "release.json"), "utf8"))).toMatchObject({
      version: "1.2.3",
    });
    const windows = await packArchive(parts("win"), ["agent.ps1"], "win32-x64");
    await unpack(at("win", windows.name), at("unpacked"));
    expect(await readdir(at("unpacked"))).toEqual([
      "agent.ps1",
      "berth-agent.mjs",
      "node.exe",
      "release.json",
    ]);
  });

  test("is a folder for Windows, whose configuration is one", async () => {
    await packWindows(at("agent"), at("windows"), at("node"), "1.2.3");
    expect(await readdir(at("windows"))).toEqual([
      "agent.yaml",
      "install.ps1",
      "launcher.cs",
      "release",
      "uninstall.ps1",
    ]);
    expect(await readdir(at("windows", "release"))).toEqual([
      "agent.ps1",
      "berth-agent.mjs",
      "node.exe",
      "release.json",
    ]);
    const text = await readFile(at("windows", "agent.yaml"), "utf8");
    expect(parseConfig("agent.yaml", text).faults).toEqual([]);
  });

  test("is started with the same of Node's options by both launchers, and Node knows them", async () => {
    const text = (file: string) => readFile(path.join(ROOT, "packaging", file), "utf8");
    const [linux, windows] = await Promise.all([
      text("linux/launcher"),
      text("windows/launcher.cs"),
    ]);
    const options =
      /^exec "\$release\/node" (.+) "\$release\/berth-agent\.mjs"/m.exec(linux)?.[1] ?? "";
    expect(options).toContain("--");
    expect(/NodeOptions = "(.+)";/.exec(windows)?.[1]).toBe(options);
    await run(process.execPath, [...options.split(" "), "--eval", "0"]);
  });

  test("is signed with a key that npm run release-key made, which nobody else may read", async () => {
    const made = await run(process.execPath, [
      path.join(ROOT, "scripts/release-key.ts"),
      at("key"),
    ]);
    expect((await stat(at("key"))).mode & 0o777).toBe(0o600);
    const key = ReleaseKey.parse(JSON.parse(await readFile(at("key"), "utf8")));
    const file = await packArchive(parts("one"));
    const manifest = { version: "1.2.3", oldest: "1.0.0", files: [file] };
    const text = await signManifest(manifest, key);
    expect(await openManifest(text, made.stdout.trim())).toEqual(manifest);
    expect(text).not.toContain(key.d);
    await expect(
      run(process.execPath, [path.join(ROOT, "scripts/release-key.ts"), at("key")]),
    ).rejects.toThrow("EEXIST");
  });
});

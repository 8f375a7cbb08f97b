import { chmod, mkdir, mkdtemp, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { cloneImage } from "./disks.ts";
import { fileModeIn, looseFiles, tightenFiles } from "./file-rights.ts";
import type { Folders } from "./files.ts";
import { writeSeedIso } from "./seed-iso.ts";

const STEM = "01900000-0000-7000-8000-0000000000a1.e1";
let root: string;
let folders: Folders;
beforeEach(async () => {
  root = await mkdtemp(path.join(tmpdir(), "berth-rights-"));
  const make = async (name: string) => {
    await mkdir(path.join(root, name));
    return path.join(root, name);
  };
  folders = {
    imageDir: await make("images"),
    diskDir: await make("disks"),
    seedDir: await make("seeds"),
    consoleDir: await make("consoles"),
    trashDir: await make("trash"),
  };
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(root, { recursive: true });
});
const put = async (folder: string, name: string, mode: number) => {
  const file = path.join(folder, name);
  await writeFile(file, "what a customer wrote");
  await chmod(file, mode);
  return file;
};
const modeOf = async (file: string) => (await stat(file)).mode & 0o777;

test("item 7: disks, seeds and consoles that everybody could read are taken from others, and from nobody else", async () => {
  const disk = await put(folders.diskDir, `${STEM}.qcow2`, 0o644);
  const seed = await put(folders.seedDir, `${STEM}.iso`, 0o666);
  const log = await put(folders.consoleDir, `${STEM}.log`, 0o604);
  const mine = await put(folders.diskDir, `${STEM}.snapshot1`, 0o660);
  const stranger = await put(folders.diskDir, "somebody-elses.qcow2", 0o644);
  await symlink(stranger, path.join(folders.diskDir, `${STEM}.link`));

  expect((await looseFiles(folders)).sort()).toEqual([disk, seed, log].sort());
  expect(await tightenFiles(folders)).toHaveLength(3);
  expect([await modeOf(disk), await modeOf(seed), await modeOf(log)]).toEqual([
    0o640, 0o660, 0o600,
  ]);
  expect([await modeOf(mine), await modeOf(stranger)]).toEqual([0o660, 0o644]);
  expect(await tightenFiles(folders)).toEqual([]);
});

test("item 7: a new file is its owner's alone, or the group's that its folder hands on", async () => {
  expect(await fileModeIn(folders.diskDir)).toBe(0o600);
  await chmod(folders.diskDir, 0o2711);
  expect(await fileModeIn(folders.diskDir)).toBe(0o660);
});

test("item 7: what qemu-img and genisoimage make is nobody else's, under any umask", async () => {
  const bin = path.join(root, "bin");
  await mkdir(bin);
  // Each writes as the real one does: into the file that is there, or into a new one that everybody reads.
  const program = (name: string, script: string) =>
    writeFile(path.join(bin, name), `#!/bin/sh\numask 000\n${script}\n`, { mode: 0o755 });
  await program("qemu-img", 'for a; do b=$c; c=$a; done; echo disk > "$b"');
  await program("genisoimage", 'while [ "$1" != -output ]; do shift; done; echo iso > "$2"');
  vi.stubEnv("PATH", `${bin}:/usr/bin:/bin`);

  const disk = path.join(folders.diskDir, `${STEM}.qcow2`);
  await cloneImage("/images/tiny.qcow2", disk, 2, Promise.resolve());
  expect(await modeOf(disk)).toBe(0o600);
  await chmod(folders.seedDir, 0o2711);
  const seed = path.join(folders.seedDir, `${STEM}.iso`);
  const volume = { volume: "cidata", files: { "user-data": "password: secret" } } as const;
  await writeSeedIso(volume, seed, Promise.resolve());
  expect(await modeOf(seed)).toBe(0o660);
});

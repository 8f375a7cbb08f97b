import { mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { aDesiredVm, anImage, realClock, SECRETS } from "#test/drivers/builders.ts";
import { stageSeed } from "./seed-image.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "berth-stage-"));
});
afterEach(() => rm(folder, { recursive: true }));
const windows = () => aDesiredVm({ image: anImage({ os: "windows" }) });

test("a seed is one file, named by its VM, which its owner alone may read", async () => {
  const vm = windows();
  // As on a new host, where the folder is not there yet.
  const staging = path.join(folder, "berth", "staging");
  await stageSeed(staging, vm, realClock, SECRETS);
  await stageSeed(staging, vm, realClock, SECRETS);
  expect(await readdir(staging)).toEqual([`${vm.vmId}.iso`]);
  const file = path.join(staging, `${vm.vmId}.iso`);
  expect(((await stat(file)).mode & 0o777).toString(8)).toBe("600");
  expect((await readFile(file, "latin1")).slice(0x8001, 0x8006)).toBe("CD001");
});

test("a seed whose password cannot be had is not there, nor anything of it", async () => {
  const outage = { administratorPassword: () => Promise.reject(new Error("nobody there")) };
  await expect(stageSeed(folder, windows(), realClock, outage)).rejects.toThrow("nobody there");
  expect(await readdir(folder)).toEqual([]);
});

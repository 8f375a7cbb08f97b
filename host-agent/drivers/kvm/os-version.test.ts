import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { release, tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { readOsVersion } from "./os-version.ts";

/* 5 item 2: what a host says of the system that it runs. */

let root: string;
beforeEach(async () => {
  root = await mkdtemp(path.join(tmpdir(), "berth-os-"));
});
afterEach(() => rm(root, { recursive: true }));

const put = async (file: string, text: string) => {
  await mkdir(path.dirname(path.join(root, file)), { recursive: true });
  await writeFile(path.join(root, file), text);
};
const DEBIAN = 'PRETTY_NAME="Debian GNU/Linux 13 (trixie)"\nNAME="Debian GNU/Linux"\nID=debian\n';

test("is its name and its kernel", async () => {
  await put("etc/os-release", DEBIAN);
  expect(await readOsVersion(root)).toBe(`Debian GNU/Linux 13 (trixie), Linux ${release()}`);
});

test("is read where a system without /etc of its own has it", async () => {
  await put("usr/lib/os-release", "PRETTY_NAME=Alpine\n");
  expect(await readOsVersion(root)).toBe(`Alpine, Linux ${release()}`);
});

test.each([null, "", "ID=x\n", 'PRETTY_NAME=" "\n'])(
  "is its kernel where it says %j",
  async (text) => {
    if (text !== null) await put("etc/os-release", text);
    expect(await readOsVersion(root)).toBe(`Linux ${release()}`);
  },
);

test("is no longer than the wire takes", async () => {
  await put("etc/os-release", `PRETTY_NAME="${"x".repeat(300)}"\n`);
  expect(await readOsVersion(root)).toHaveLength(200);
});

import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { isoImage } from "./iso9660.ts";

const at = new Date("2026-02-03T04:05:06.789Z");

/** Read by `isoinfo` of genisoimage, which shares nothing with the writer. */
const isoinfo = (image: Buffer, ...args: string[]): Buffer => {
  const folder = mkdtempSync(path.join(tmpdir(), "berth-iso-"));
  const file = path.join(folder, "image.iso");
  writeFileSync(file, image);
  try {
    return execFileSync("isoinfo", ["-i", file, ...args], { maxBuffer: 1e8 });
  } finally {
    rmSync(folder, { recursive: true });
  }
};
const hasIsoinfo = (() => {
  try {
    execFileSync("isoinfo", ["-version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
})();
const skipped = hasIsoinfo ? "" : " (skipped: no isoinfo, of the package genisoimage)";

describe.skipIf(!hasIsoinfo)(`a CD image, as another program reads it${skipped}`, () => {
  test("has its label, and every file under its own name with its own bytes", () => {
    const files = {
      "user-data": "#cloud-config\n# ümlaut 🦊 \0 NUL\n",
      "meta-data": "",
      "network-config": "x".repeat(2048),
      "large.bin": Buffer.alloc(5000, 7),
      "openstack/latest/meta_data.json": "{}",
      "openstack/content/0000": "first",
      "Unattend.xml": "<unattend/>",
    };
    const image = isoImage({ volume: "cidata", files, at });
    expect(isoinfo(image, "-d").toString()).toMatch(
      /Volume id: cidata\n[^]*Joliet with UCS level 3 found/,
    );
    const names = isoinfo(image, "-J", "-f").toString().trim().split("\n");
    const folders = ["/openstack", "/openstack/latest", "/openstack/content"];
    expect(names.sort()).toEqual(
      [...Object.keys(files).map((name) => `/${name}`), ...folders].sort(),
    );
    for (const [name, content] of Object.entries(files))
      expect(isoinfo(image, "-J", "-x", `/${name}`)).toEqual(Buffer.from(content));
  });

  test("a folder of more files than one sector holds lists them all", () => {
    const many = Array.from({ length: 120 }, (_, n) => [`file-with-a-long-name-${n}.txt`, `${n}`]);
    const image = isoImage({ volume: "many", files: Object.fromEntries(many), at });
    expect(isoinfo(image, "-J", "-f").toString().trim().split("\n")).toHaveLength(120);
    expect(isoinfo(image, "-J", "-x", "/file-with-a-long-name-119.txt").toString()).toBe("119");
    // The plain view has other names, and each once.
    const plain = isoinfo(image, "-f").toString().trim().split("\n");
    expect(new Set(plain).size).toBe(120);
  });
});

describe("a CD image", () => {
  test("is the same for the same contents and instant", () => {
    const content = { volume: "cidata", files: { a: "1", "b/c": "2" }, at };
    expect(isoImage(content)).toEqual(isoImage(content));
  });

  test.each(["", "a/", "/a", "a//b", "../a", ".", "a\0b", "a:b", "a\\b", "x".repeat(65)])(
    "has no file named %j",
    (name) => {
      expect(() => isoImage({ volume: "v", files: { [name]: "" }, at })).toThrow("not a file name");
    },
  );

  test.each(["", "has blanks", "x".repeat(17)])("has no label %j", (volume) => {
    expect(() => isoImage({ volume, files: {}, at })).toThrow("not a volume name");
  });
});

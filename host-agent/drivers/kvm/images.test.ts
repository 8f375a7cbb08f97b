import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { readImage, readImages } from "./images.ts";

let imageDir: string;
beforeEach(async () => {
  imageDir = await mkdtemp(path.join(tmpdir(), "berth-images-"));
});
afterEach(() => rm(imageDir, { recursive: true, force: true }));

/** The beginning of a qcow2 file: https://gitlab.com/qemu-project/qemu/-/blob/master/docs/interop/qcow2.rst */
function qcow2({ virtualBytes = 2n ** 30n, backing = 0n } = {}): Buffer {
  const header = Buffer.alloc(64);
  header.write("QFI\u00fb", 0, "latin1");
  header.writeBigUInt64BE(backing, 8);
  header.writeBigUInt64BE(virtualBytes, 24);
  return header;
}
const put = (name: string, bytes: Buffer) => writeFile(path.join(imageDir, name), bytes);
const folders = () => ({ imageDir, diskDir: "", seedDir: "", consoleDir: "", trashDir: "" });

test("the images of a host are its whole, flat qcow2 files, with what a guest would see, in bytes", async () => {
  await put("debian-13.qcow2", qcow2({ virtualBytes: 3_758_096_384n }));
  await put("b.qcow2", qcow2());
  await put("layered.qcow2", qcow2({ backing: 9n }));
  await put("short.qcow2", Buffer.from("QFI"));
  await put("empty.qcow2", qcow2({ virtualBytes: 0n }));
  await put("raw.img", qcow2());
  await put("Not A Name.qcow2", qcow2());
  await put("raw.qcow2", Buffer.alloc(512));
  expect(await readImages({ imageDir })).toEqual([
    { file: "b", path: path.join(imageDir, "b.qcow2"), virtualBytes: 2 ** 30 },
    {
      file: "debian-13",
      path: path.join(imageDir, "debian-13.qcow2"),
      virtualBytes: 3_758_096_384,
    },
  ]);
});

test("a folder that is not there is no empty one", async () => {
  await expect(readImages({ imageDir: path.join(imageDir, "no") })).rejects.toThrow("ENOENT");
});

test.each([
  ["missing", null],
  ["layered", qcow2({ backing: 9n })],
  ["raw", Buffer.alloc(512)],
])("no VM is made from one that is %s", async (name, bytes) => {
  if (bytes !== null) await put(`${name}.qcow2`, bytes);
  await expect(readImage(folders(), name)).rejects.toMatchObject({ code: "image_missing" });
});

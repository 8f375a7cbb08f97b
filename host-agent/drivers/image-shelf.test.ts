import { createHash } from "node:crypto";
import { mkdtemp, rm, truncate, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { memoryStore } from "#host-agent/state/state-store.ts";
import { createImageShelf } from "./image-shelf.ts";

// 4b A3, A4: what a host says of its images, and a base file that changed under its VMs.

let folder: string;
let store: ReturnType<typeof memoryStore>;
let lines: unknown[];
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "berth-shelf-"));
  store = memoryStore();
  lines = [];
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const log = {
  info: () => undefined,
  error: (event: string, fields: object) => void lines.push({ event, ...fields }),
};
const aShelf = () => createImageShelf({ store, log });
const anImage = (file = "debian-13", virtualBytes = 7) => ({
  file,
  path: path.join(folder, `${file}.qcow2`),
  virtualBytes,
});
const sumOf = (text: string) => createHash("sha256").update(text).digest("hex");
const write = (text: string, image = anImage()) => writeFile(image.path, text);

test("an image is told with the sum of its bytes, and after a restart as well", async () => {
  await write("whole");
  const told = [{ file: "debian-13", virtualBytes: 7, sha256: sumOf("whole"), changed: false }];
  expect(await aShelf().describe([anImage()])).toEqual(told);
  expect(await aShelf().describe([anImage()])).toEqual(told);
  await aShelf().confirm(anImage());
});

test("one that became another under its name is told as changed, and makes no VM, also after a restart", async () => {
  await write("first");
  const shelf = aShelf();
  await shelf.describe([anImage()]);
  await write("other");
  const changed = [{ file: "debian-13", virtualBytes: 7, sha256: sumOf("other"), changed: true }];
  await expect(shelf.confirm(anImage())).rejects.toMatchObject({ code: "image_missing" });
  expect(await shelf.describe([anImage()])).toEqual(changed);
  expect(await aShelf().describe([anImage()])).toEqual(changed);
  await expect(aShelf().confirm(anImage())).rejects.toMatchObject({ code: "image_missing" });
  expect(lines).toEqual([
    { event: "image_changed", file: "debian-13", was: sumOf("first"), is: sumOf("other") },
  ]);
});

test("one that is as it was again makes VMs again; touching it alone changes nothing", async () => {
  await write("first");
  const shelf = aShelf();
  await shelf.describe([anImage()]);
  await write("other");
  await write("first");
  await shelf.confirm(anImage());
  await utimes(anImage().path, 1, 1);
  await shelf.confirm(anImage());
  expect(await shelf.describe([anImage()])).toMatchObject([{ changed: false }]);
  expect(lines).toEqual([]);
});

test("one that is not known yet is not waited for, and is no other than it was", async () => {
  await write("new");
  await aShelf().confirm(anImage());
  expect(await store.read("images.json")).toBeNull();
});

test("a large one is told without its sum first, and with it at a later look", async () => {
  await write("");
  await truncate(anImage().path, 64 * 1024 ** 2 + 1);
  const shelf = aShelf();
  expect(await shelf.describe([anImage()])).toMatchObject([{ sha256: null, changed: false }]);
  await expect
    .poll(async () => (await shelf.describe([anImage()]))[0]?.sha256, { timeout: 60_000 })
    .toMatch(/^[0-9a-f]{64}$/);
});

test("one that cannot be read is left out, and costs no other", async () => {
  await write("here", anImage("here"));
  expect(await aShelf().describe([anImage("gone"), anImage("here")])).toMatchObject([
    { file: "here" },
  ]);
  expect(lines).toMatchObject([{ event: "image_unreadable", file: "gone" }]);
});

test("12.7: its sum is told to whoever serves it only once it is known, and while it is the file that it was", async () => {
  const sum = (shelf = aShelf()) => shelf.sumOf(anImage());
  expect(await sum()).toBeNull();
  await write("first");
  expect(await sum()).toBeNull();
  const shelf = aShelf();
  await shelf.describe([anImage()]);
  expect(await sum(shelf)).toBe(sumOf("first"));
  expect(await sum()).toBe(sumOf("first"));
  await write("other");
  expect(await sum(shelf)).toBeNull();
  await shelf.describe([anImage()]);
  expect(await sum(shelf)).toBeNull();
});

test("staff who meant the change take the entry out", async () => {
  await write("first");
  await aShelf().describe([anImage()]);
  await write("meant");
  await store.write("images.json", "{}");
  const shelf = aShelf();
  expect(await shelf.describe([anImage()])).toMatchObject([{ changed: false }]);
  await shelf.confirm(anImage());
});

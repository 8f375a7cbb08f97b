import { mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { fileStore, memoryStore, type StateStore } from "#host-agent/state/state-store.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "berth-store-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const stores: Record<string, () => StateStore> = {
  memory: memoryStore,
  files: () => fileStore(folder, { durable: false }),
  "durable files": () => fileStore(path.join(folder, "not/yet/there"), { durable: true }),
};

describe.each(Object.entries(stores))("stored state in %s", (_name, open) => {
  test("is read as it was written last, and is gone when removed", async () => {
    const store = open();
    expect(await store.read("a.json")).toBeNull();
    await store.write("a.json", "1");
    await store.write("a.json", "é2");
    expect(await store.read("a.json")).toBe("é2");
    await store.remove("a.json");
    await store.remove("a.json");
    expect(await store.read("a.json")).toBeNull();
  });

  test("is listed by folder, in order", async () => {
    const store = open();
    expect(await store.list("spool")).toEqual([]);
    for (const name of ["spool/02.json", "spool/01.json", "other.json"])
      await store.write(name, "");
    expect(await store.list("spool")).toEqual(["01.json", "02.json"]);
  });

  test.each(["../a.json", "/etc/a.json", "a/b/c.json", "a", "spool/../a.json", ".a.json"])(
    "has no place called %s",
    async (name) => {
      await expect(open().write(name, "x")).rejects.toThrow("not a name");
      await expect(open().read(name)).rejects.toThrow("not a name");
    },
  );
});

test("files of state are their owner's alone, and what a kill left half done is not seen", async () => {
  const store = fileStore(folder, { durable: true });
  await store.write("spool/01.json", "{}");
  await writeFile(path.join(folder, "spool/02.json.1.tmp"), '{"half":');
  expect(await store.list("spool")).toEqual(["01.json"]);
  expect((await stat(path.join(folder, "spool/01.json"))).mode & 0o777).toBe(0o600);
  expect((await stat(path.join(folder, "spool"))).mode & 0o777).toBe(0o700);
  expect(await readdir(folder)).toEqual(["spool"]);
});

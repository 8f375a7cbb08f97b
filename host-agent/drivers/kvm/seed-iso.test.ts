import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { writeSeedIso } from "./seed-iso.ts";

/* `genisoimage` is a shell script here, which writes what it finds; test/kvm boots guests from what the real one writes. */

let dir: string;
let iso: string;
beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), "berth-seed-"));
  iso = path.join(dir, "vm.iso");
  // The output is the word after `-output`, the tree the last one.
  await writeFile(
    path.join(dir, "genisoimage"),
    `#!/bin/sh
for word; do [ "$last" = -output ] && out=$word; [ "$last" = -volid ] && volume=$word; last=$word; done
{ echo "$volume"; cd "$last" && find . -type f | sort | while read -r f; do echo "$f: $(cat "$f")"; done; } > "$out"
`,
  );
  await chmod(path.join(dir, "genisoimage"), 0o755);
  vi.stubEnv("PATH", `${dir}:/usr/bin:/bin`);
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(dir, { recursive: true });
});

const SEED = { volume: "cidata", files: { "meta-data": "m", "deep/user-data": "secret" } };
const left = async () => (await readdir(dir)).toSorted();

describe("the first-boot seed on a KVM host", () => {
  test("may be read by its owner alone, whatever the host's umask", async () => {
    const before = process.umask(0);
    try {
      await writeSeedIso(SEED, iso, Promise.resolve());
    } finally {
      process.umask(before);
    }
    expect(((await stat(iso)).mode & 0o777).toString(8)).toBe("600");
    expect(await readFile(iso, "utf8")).toBe("cidata\n./deep/user-data: secret\n./meta-data: m\n");
    expect(await left()).toEqual(["genisoimage", "vm.iso"]);
  });

  test("replaces an earlier one as a whole, and not before it may", async () => {
    await writeFile(iso, "earlier");
    let allow = (): void => undefined;
    const allowed = new Promise<void>((resolve) => {
      allow = resolve;
    });
    const writing = writeSeedIso(SEED, iso, allowed);
    await vi.waitFor(async () => expect(await left()).toHaveLength(3));
    expect(await readFile(iso, "utf8")).toBe("earlier");
    allow();
    await writing;
    expect(await readFile(iso, "utf8")).toContain("secret");
  });

  test("is not there, nor anything of it, when it may not be or cannot be written", async () => {
    const no = new Error("another's");
    const refused = Promise.reject(no);
    refused.catch(() => undefined);
    await expect(writeSeedIso(SEED, iso, refused)).rejects.toBe(no);
    await writeFile(path.join(dir, "genisoimage"), "#!/bin/sh\nexit 1\n");
    await expect(writeSeedIso(SEED, iso, Promise.resolve())).rejects.toThrow("genisoimage");
    expect(await left()).toEqual(["genisoimage"]);
  });
});

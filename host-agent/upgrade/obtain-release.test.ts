import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Clock } from "#core/ports.ts";
import { aReleaseKey, makeRelease, plainFile, releaseFiles, serve } from "#test/harness/release.ts";
import { obtainRelease, type ReleaseRequest } from "./obtain-release.ts";
import { openReleaseHome, type ReleaseHome } from "./release-home.ts";

const key = await aReleaseKey();
const never: Clock = {
  now: () => new Date(0),
  sleep: (ms, signal) =>
    // Pauses between tries are over at once; limits are never reached.
    ms < 10_000
      ? Promise.resolve()
      : new Promise((_, reject) =>
          signal?.addEventListener("abort", () =>
            reject(new Error("aborted", { cause: signal.reason })),
          ),
        ),
};

describe.skipIf(process.platform !== "linux")("12.3: a release is brought to the host", () => {
  let folder: string;
  let home: ReleaseHome;
  const closing: (() => unknown)[] = [];
  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), "berth-home-"));
    home = openReleaseHome(folder);
    closing.push(() => rmSync(folder, { recursive: true }));
  });
  afterEach(async () => {
    for (const close of closing.splice(0)) await close();
  });
  const release = async (...args: Parameters<typeof makeRelease>) => {
    const made = await makeRelease(...args);
    closing.push(made.close);
    return made;
  };
  const served = async (...args: Parameters<typeof serve>) => {
    const server = await serve(...args);
    closing.push(server.close);
    return server;
  };
  const obtain = (from: string, over: Partial<ReleaseRequest> = {}) =>
    obtainRelease(
      home,
      { from, key: key.x, platform: "linux-x64", version: null, oldest: null, ...over },
      { clock: never, fetch },
    );
  const refusal = (code: string) => expect.objectContaining({ code });
  const releases = () => readdirSync(path.join(folder, "releases"));

  test("from a file, and from a URL, its programs as programs", async () => {
    const made = await release("0.2.0", key);
    expect(await obtain(made.manifest)).toMatchObject({ version: "0.2.0" });
    const node = path.join(home.releaseFolder("0.2.0"), "node");
    expect(statSync(node).mode & 0o777).toBe(0o755);
    expect(releases()).toEqual(["0.2.0"]);
    const server = await served((await release("0.3.0", key)).folder);
    await obtain(`${server.url}/manifest.json`, { version: "0.3.0", oldest: "0.3.0" });
    expect(releases()).toEqual(["0.2.0", "0.3.0"]);
  });

  test("goes on from where a line broke", async () => {
    const made = await release("0.2.0", key);
    const whole = readFileSync(made.archive);
    let breaks = 2;
    const tags: unknown[] = [];
    const server = await served(made.folder, (request, response) => {
      if (request.url?.endsWith(".json")) return false;
      tags.push(request.headers["if-range"]);
      if (breaks-- <= 0) return false;
      const from = Number(/\d+/.exec(request.headers.range ?? "0")?.[0]);
      const range = {
        "content-range": `bytes ${from}-${whole.length - 1}/${whole.length}`,
        etag: '"one"',
      };
      response.writeHead(from > 0 ? 206 : 200, range).end(whole.subarray(from, from + 40));
      return true;
    });
    await obtain(`${server.url}/manifest.json`);
    expect(releases()).toEqual(["0.2.0"]);
    expect(server.asked.slice(1).map((line) => line.split(" ")[1])).toEqual([
      "whole",
      "bytes=40-",
      "bytes=80-",
    ]);
    // 12.7: by the server's tag, as images are.
    expect(tags).toEqual([undefined, '"one"', '"one"']);
  });

  test("from its beginning again, when the server knows no ranges", async () => {
    const made = await release("0.2.0", key);
    mkdirSync(path.join(folder, "releases"));
    writeFileSync(home.releaseFolder(`.${made.file.sha256}.part`), "what is wrong");
    const server = await served(made.folder, (request, response) => {
      if (request.url?.endsWith(".json")) return false;
      response.writeHead(200).end(readFileSync(made.archive));
      return true;
    });
    await obtain(`${server.url}/manifest.json`);
    expect(releases()).toEqual(["0.2.0"]);
  });

  test("not when it is another's, changed, misnamed, older, or for another machine", async () => {
    const theirs = await release("0.2.0", await aReleaseKey());
    await expect(obtain(theirs.manifest)).rejects.toEqual(refusal("not_signed"));
    const made = await release("0.2.0", key);
    const other = Buffer.from(JSON.stringify({ version: "9.0.0", files: [made.file] }));
    const forged = made.text.replace(
      /"payload":"[^"]*"/,
      `"payload":"${other.toString("base64url")}"`,
    );
    writeFileSync(made.manifest, forged);
    await expect(obtain(made.manifest)).rejects.toEqual(refusal("not_signed"));
    writeFileSync(made.manifest, made.text);
    await expect(obtain(made.manifest, { version: "0.2.1" })).rejects.toEqual(
      refusal("other_version"),
    );
    await expect(obtain(made.manifest, { oldest: "0.2.1" })).rejects.toEqual(refusal("older"));
    await expect(obtain(made.manifest, { platform: "linux-arm64" })).rejects.toEqual(
      refusal("other_platform"),
    );
    const bytes = readFileSync(made.archive);
    bytes[bytes.length - 9] = (bytes.at(-9) ?? 0) ^ 1;
    writeFileSync(made.archive, bytes);
    await expect(obtain(made.manifest)).rejects.toEqual(refusal("checksum"));
    writeFileSync(made.archive, Buffer.concat([bytes, bytes]));
    await expect(obtain(made.manifest)).rejects.toEqual(refusal("checksum"));
    const server = await served(made.folder);
    await expect(obtain(`${server.url}/manifest.json`)).rejects.toEqual(refusal("checksum"));
    expect(releases()).toEqual([]);
  });

  test("not over what runs", async () => {
    const made = await release("0.2.0", key);
    await obtain(made.manifest);
    await home.point("current", "0.2.0");
    await expect(obtain(made.manifest)).rejects.toEqual(refusal("other_version"));
  });

  test("not when it does not start here, or says that it is another", async () => {
    const other = await release("0.2.0", key, { entries: releaseFiles("0.1.9") });
    await expect(obtain(other.manifest)).rejects.toEqual(refusal("does_not_start"));
    const bare = await release("0.2.0", key, {
      entries: [plainFile("node", "\x7fELF of another machine", 0o755)],
    });
    await expect(obtain(bare.manifest)).rejects.toEqual(refusal("does_not_start"));
    expect(releases()).toEqual([]);
  });

  const link = (linkname: string, type: "symlink" | "link") => ({
    header: { name: "berth-agent.mjs", size: 0, type, linkname },
  });
  test.each([
    ["a name that leads out", [plainFile("../../escaped", "x")]],
    ["an absolute name", [plainFile("/tmp/berth-escaped", "x")]],
    ["a folder", [plainFile("a/b", "x")]],
    ["a hidden name", [plainFile(".ssh", "x")]],
    ["a link", [link("/etc/passwd", "symlink"), plainFile("berth-agent.mjs", "x")]],
    ["a hard link", [link("/etc/passwd", "link")]],
    ["one name twice", [plainFile("node", "x"), plainFile("node", "y")]],
    ["too many files", Array.from({ length: 60 }, (_, n) => plainFile(`f${n}`, ""))],
  ])("not when its archive holds %s, however it is signed", async (_, entries) => {
    const made = await release("0.2.0", key, { entries });
    await expect(obtain(made.manifest)).rejects.toEqual(refusal("bad_archive"));
    expect(releases()).toEqual([]);
    expect(readdirSync(folder)).toEqual(["releases"]);
  });

  test("not when its archive is cut or none", async () => {
    for (const bytes of [
      Buffer.from("none"),
      readFileSync((await release("0.2.0", key)).archive).subarray(0, 60),
    ]) {
      const made = await release("0.2.0", key, { bytes });
      await expect(obtain(made.manifest)).rejects.toEqual(refusal("bad_archive"));
    }
  });

  test("later, when nobody answers or the manifest has no end", async () => {
    const made = await release("0.2.0", key);
    const server = await served(made.folder, (request, response) => {
      if (request.url === "/endless.json") {
        const more = () => response.write("x".repeat(10_000), () => response.destroyed || more());
        more();
        return true;
      }
      return false;
    });
    await expect(obtain(`${server.url}/none.json?token=secret`)).rejects.toSatisfy(
      (error: Error & { code: string; mayPass: boolean }) =>
        error.code === "not_reached" && error.mayPass && !error.message.includes("secret"),
    );
    await expect(obtain(`${server.url}/endless.json`)).rejects.toEqual(refusal("bad_manifest"));
    await expect(obtain(path.join(folder, "none.json"))).rejects.toEqual(refusal("not_reached"));
    rmSync(made.archive);
    await expect(obtain(`${server.url}/manifest.json`)).rejects.toEqual(refusal("not_reached"));
  });
});

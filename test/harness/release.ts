import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type RequestListener } from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { gzipSync } from "node:zlib";
import { exportJWK, generateKeyPair } from "jose";
import { packTar } from "modern-tar";
import type { ReleaseManifest } from "#host-agent/upgrade/manifest.ts";
import { ReleaseKey, signManifest } from "../../scripts/sign-manifest.ts";

export async function aReleaseKey(): Promise<typeof ReleaseKey._output> {
  const { privateKey } = await generateKeyPair("EdDSA", { crv: "Ed25519", extractable: true });
  return ReleaseKey.parse(await exportJWK(privateKey));
}

type Entry = Parameters<typeof packTar>[0][number];
export const plainFile = (name: string, body: string, mode = 0o644): Entry => ({
  header: { name, size: Buffer.byteLength(body), mode, type: "file" },
  body,
});
/** A release whose Node is a shell that answers with this version. */
export const releaseFiles = (version: string): Entry[] => [
  plainFile(
    "node",
    `#!/bin/sh\nshift\n[ "$1" = --version ] && echo ${version} || exec sleep 60\n`,
    0o755,
  ),
  plainFile("berth-agent.mjs", "// a program\n"),
];

/** A signed release in a folder of its own, as `npm run bundle -- --sign` lays it out. */
export async function makeRelease(
  version: string,
  key: typeof ReleaseKey._output,
  over: { entries?: Entry[]; manifest?: Partial<ReleaseManifest>; bytes?: Buffer } = {},
) {
  const folder = await mkdtemp(path.join(tmpdir(), "berth-release-"));
  const name = `berth-agent-${version}-linux-x64.tar.gz`;
  const bytes = over.bytes ?? gzipSync(await packTar(over.entries ?? releaseFiles(version)));
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  const file = { platform: "linux-x64", name, sha256, bytes: bytes.length };
  const text = await signManifest({ version, files: [file], ...over.manifest }, key);
  const manifest = path.join(folder, "manifest.json");
  await writeFile(manifest, text);
  await writeFile(path.join(folder, name), bytes);
  return {
    folder,
    manifest,
    archive: path.join(folder, name),
    file,
    text,
    close: () => rm(folder, { recursive: true }),
  };
}

/** Serves it over HTTP on this machine; `answer` in its place where it returns true. */
export async function serve(
  folder: string,
  answer: (...args: Parameters<RequestListener>) => boolean = () => false,
) {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(`${request.url} ${request.headers.range ?? "whole"}`);
    if (answer(request, response)) return;
    void readFile(path.join(folder, path.basename(request.url ?? ""))).then(
      (bytes) => {
        const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0);
        const range = { "content-range": `bytes ${from}-${bytes.length - 1}/${bytes.length}` };
        response.writeHead(from > 0 ? 206 : 200, from > 0 ? range : {}).end(bytes.subarray(from));
      },
      () => response.writeHead(404).end(),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const at = server.address();
  if (at === null || typeof at === "string") throw new Error("the server has a port");
  return {
    url: `http://127.0.0.1:${at.port}`,
    asked,
    close: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}

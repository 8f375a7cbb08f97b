import { execFile } from "node:child_process";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { freePort } from "#local/free-port.ts";
import { loadSaved } from "#local/saved-secrets.ts";
import { freePorts } from "#local/ports.ts";
import { aFolder, openStack } from "#test/harness/stack.ts";

let folder: string;
beforeEach(async () => {
  folder = await aFolder();
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** Starts `npm start`'s program, which is to fail, and tells what it wrote and how it ended. */
const start = (env: Record<string, string>, ...args: string[]) =>
  new Promise<{ code: number | string | null | undefined; stderr: string }>((resolve) => {
    execFile(
      process.execPath,
      [path.resolve("local/start.ts"), ...args],
      { env: { ...process.env, BERTH_LOCAL_DIR: folder, ...env }, timeout: 50_000 },
      (error, _, stderr) => resolve({ code: error?.code ?? 0, stderr }),
    );
  });
/** The first of four neighbours that are free, as far as one can tell. */
const freeBase = async () => String(Math.min(await freePort(), 65_000));

describe("npm start fails with one clear line", () => {
  test("when its port is busy", async () => {
    const server = createServer();
    const port = await new Promise<number>((resolve) => {
      server.listen(0, "127.0.0.1", () => {
        const address = server.address();
        resolve(typeof address === "object" && address ? address.port : 0);
      });
    });
    try {
      expect(await start({ BERTH_PORT: String(port) })).toEqual({
        code: 1,
        stderr: `berth: port ${port} is busy: is Berth running already? BERTH_PORT=<port> moves this one\n`,
      });
    } finally {
      server.close();
    }
  });

  test("when its port, its driver or an option is none", async () => {
    expect(await start({ BERTH_PORT: "banana" })).toEqual({
      code: 1,
      stderr: "berth: BERTH_PORT must be a port number up to 65532, not banana\n",
    });
    const { code, stderr } = await start({}, "--driver", "xen");
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: "berth: --driver is simulated or kvm, not xen; see --help\n",
    });
  });

  test("when its secrets are garbage", async () => {
    const file = path.join(folder, "secrets.json");
    await writeFile(file, "\0 not JSON");
    expect(await start({ BERTH_PORT: await freeBase() })).toEqual({
      code: 1,
      stderr: `berth: ${file} is not what \`npm start\` writes; move ${folder} away to begin anew\n`,
    });
  });

  test("when its database is damaged", async () => {
    await loadSaved(folder);
    await aDatabase({ PG_VERSION: "9.6\n", "base/1": "x" });
    const { code, stderr } = await start({ BERTH_PORT: await freeBase() });
    expect(code).toBe(1);
    expect(stderr).toMatch(/^berth: [^\n]*postgres[^\n]*\n$/i);
  });

  test("when its Stripe objects are garbage", async () => {
    await writeFile(path.join(folder, "stripe.json"), "{");
    const { code, stderr } = await start({ BERTH_PORT: await freeBase() });
    expect(code).toBe(1);
    expect(stderr).toMatch(/^berth: [^\n]*stripe\.json[^\n]*\n$/);
  });
});

describe("a stack does not start", () => {
  const startOn = async () =>
    (await openStack({ home: { folder, ports: await freePorts() } })).close();

  test.each(['{"databasePassword": "x"', '{"name": "berth"}', ""])(
    "with the secrets %j",
    async (text) => {
      await writeFile(path.join(folder, "secrets.json"), text);
      await expect(startOn()).rejects.toThrow(
        /^[^\n]*secrets\.json is not what `npm start` writes[^\n]*$/,
      );
    },
  );

  test("with a database whose secrets are gone", async () => {
    await aDatabase({ PG_VERSION: "18\n" });
    await expect(startOn()).rejects.toThrow(/^[^\n]*secrets\.json is missing[^\n]*$/);
  });

  test.each([
    { name: "without its version", files: { "base/1": "x" } },
    { name: "that is mostly missing", files: { PG_VERSION: "18\n" } },
  ])("with a database $name", async ({ files }) => {
    await loadSaved(folder);
    await aDatabase(files);
    await expect(startOn()).rejects.toThrow(/^[^\n]*postgres[^\n]*$/i);
  });
});

/** Something at the place of the database. */
async function aDatabase(files: Record<string, string>) {
  for (const [name, text] of Object.entries(files)) {
    const file = path.join(folder, "postgres", name);
    await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
    await writeFile(file, text);
  }
}

import { execFile } from "node:child_process";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import path from "node:path";
import { afterEach, beforeEach, describe, expect } from "vitest";
import { listPlans } from "#db/catalogue/catalogue.ts";
import { openDriver } from "#host-agent/drivers/open-driver.ts";
import type { LocalHost } from "#local/agents.ts";
import { freePorts, type Ports } from "#local/ports.ts";
import { CorruptFolder, loadSaved, save } from "#local/saved-secrets.ts";
import { anActiveVm } from "#test/harness/customer.ts";
import { runSql } from "#test/harness/database.ts";
import { costlyTest as test } from "#test/harness/costly-test.ts";
import { PATIENCE_MS } from "#test/harness/patience.ts";
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
      { env: { ...process.env, BERTH_LOCAL_DIR: folder, ...env }, timeout: PATIENCE_MS },
      (error, _, stderr) => resolve({ code: error?.code ?? 0, stderr }),
    );
  });
const aFreeBase = async () => String((await freePorts()).api);

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
    expect(await start({ BERTH_PORT: await aFreeBase() })).toEqual({
      code: 1,
      stderr: `berth: ${file} is not what \`npm start\` writes; move ${folder} away to begin anew\n`,
    });
  });

  test("when its database is damaged", async () => {
    await loadSaved(folder);
    await aDatabase({ PG_VERSION: "9.6\n", "base/1": "x" });
    const { code, stderr } = await start({ BERTH_PORT: await aFreeBase() });
    expect(code).toBe(1);
    expect(stderr).toMatch(/^berth: [^\n]*postgres[^\n]*\n$/i);
  });

  test("when its Stripe objects are garbage", async () => {
    await writeFile(path.join(folder, "stripe.json"), "{");
    const { code, stderr } = await start({ BERTH_PORT: await aFreeBase() });
    expect(code).toBe(1);
    expect(stderr).toMatch(/^berth: [^\n]*stripe\.json[^\n]*\n$/);
  });

  test("when there is no libvirt for --driver kvm", async () => {
    const bare = path.join(folder, "bin");
    await mkdir(bare);
    expect(await start({ BERTH_PORT: await aFreeBase(), PATH: bare }, "--driver", "kvm")).toEqual({
      code: 1,
      stderr: expect.stringMatching(/^berth: --driver kvm cannot be used here: [^\n]+\n$/),
    });
  });

  test("when its folder is a file", async () => {
    const file = path.join(folder, "file");
    await writeFile(file, "");
    expect(await start({ BERTH_PORT: await aFreeBase(), BERTH_LOCAL_DIR: file })).toEqual({
      code: 1,
      stderr: expect.stringMatching(
        /^berth: [^\n]*file cannot be made [^\n]*BERTH_LOCAL_DIR[^\n]*\n$/,
      ),
    });
  });
});

describe("npm run demo --driver kvm without libvirt", () => {
  test("says so in one line and leaves no folder behind", async () => {
    const { code, stderr } = await new Promise<{ code: unknown; stderr: string }>((resolve) => {
      execFile(
        process.execPath,
        [path.resolve("local/demo.ts"), "--driver", "kvm"],
        { env: { ...process.env, TMPDIR: folder, PATH: folder }, timeout: PATIENCE_MS },
        (error, _, text) => resolve({ code: error?.code ?? 0, stderr: text }),
      );
    });
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: expect.stringMatching(/^berth: --driver kvm cannot be used here: [^\n]+\n$/),
    });
    expect(await readdir(folder)).toEqual([]);
  });
});

/** A host whose VMs are files in its folder. */
const LASTING: LocalHost = {
  name: "kvm-1",
  open: (home, ports) =>
    openDriver(
      "simulated",
      {
        world: path.join(home, "world"),
        hypervisor: "kvm",
        delays: "off",
        host: { cpuThreads: 8, memoryMib: 16_384, diskGib: 1000 },
      },
      ports,
    ),
};

describe("on a folder that was damaged or cut short", () => {
  let home: { folder: string; ports: Ports };
  const openHere = () => openStack({ home, hosts: [LASTING], resyncSeconds: 1 });
  const inHost = (file: string) => path.join(folder, "hosts", LASTING.name, file);
  beforeEach(async () => {
    home = { folder, ports: await freePorts() };
  });

  test("an agent's file or a VM's that is garbage is named in one line, with its folder", async () => {
    const stack = await openHere();
    await anActiveVm(stack.customer);
    await stack.close();
    const [vmFile = ""] = await readdir(inHost("world/vms"));
    for (const file of ["state/desired-2.json", `world/vms/${vmFile}`]) {
      const good = await readFile(inHost(file), "utf8");
      await writeFile(inHost(file), "{");
      const said = await openHere().catch((error: unknown) => error);
      expect(said).toBeInstanceOf(CorruptFolder);
      expect(String(said)).toMatch(/^[^\n]*kvm-1 does not start on [^\n]*hosts\/kvm-1: [^\n]*$/);
      expect(String(said)).toContain(path.basename(file));
      await writeFile(inHost(file), good);
    }
    await (await openHere()).close();
  });

  test("a seed that was cut short at any step is finished: tokens, plans, pool, an agent not enrolled", async () => {
    const first = await openHere();
    for (const statement of [
      "delete from ip_addresses",
      "delete from network_pools",
      // Versions of plans are never deleted, which a replica's session does not ask.
      `set session_replication_role = replica;
       delete from plan_prices where plan_id = (select id from plans where name = 'L');
       delete from plan_versions where plan_id = (select id from plans where name = 'L');
       delete from plans where name = 'L'`,
    ])
      await runSql(first.ownerUrl, statement);
    await first.close();
    await save(folder, { ...(await loadSaved(folder)), tokens: null });
    await rm(inHost("state"), { recursive: true });

    const second = await openHere();
    try {
      expect(second.agents.map((a) => a.hostId)).toEqual(first.agents.map((a) => a.hostId));
      await anActiveVm(second.customer);
      expect((await listPlans(second.deps.db)).map((p) => p.name)).toContain("L");
      expect(second.errors).toEqual([]);
    } finally {
      await second.close();
    }
  });

  test("a database that is gone while its secrets are there is one line", async () => {
    const stack = await openHere();
    await stack.close();
    await rm(path.join(folder, "postgres"), { recursive: true });
    await expect(openHere()).rejects.toThrow(/^[^\n]*Postgres database of [^\n]* is gone[^\n]*$/);
  });
});

describe("a stack does not start", () => {
  const startOn = async () =>
    (await openStack({ home: { folder, ports: await freePorts() } })).close();

  for (const text of ['{"databasePassword": "x"', '{"name": "berth"}', ""])
    test(`with the secrets ${JSON.stringify(text)}`, async () => {
      await writeFile(path.join(folder, "secrets.json"), text);
      await expect(startOn()).rejects.toThrow(
        /^[^\n]*secrets\.json is not what `npm start` writes[^\n]*$/,
      );
    });

  test("with a database whose secrets are gone", async () => {
    await aDatabase({ PG_VERSION: "18\n" });
    await expect(startOn()).rejects.toThrow(/^[^\n]*secrets\.json is missing[^\n]*$/);
  });

  for (const { name, files } of [
    { name: "without its version", files: { "base/1": "x" } },
    { name: "that is mostly missing", files: { PG_VERSION: "18\n" } },
  ])
    test(`with a database ${name}`, async () => {
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

import { execFile } from "node:child_process";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { aCliWorld, answering, type CliWorld } from "#test/harness/cli-world.ts";
import { SCRIPTS } from "./scripts.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), "berth-completion-"));
  await writeFile(path.join(folder, "completion.bash"), SCRIPTS.bash);
  // A berth that tells the words that it was asked to complete, each in brackets, and offers two.
  await writeFile(
    path.join(folder, "berth"),
    `#!/bin/sh\nprintf '<%s>' "$@" > "$TOLD"\nprintf 'vm\\tVMs\\nvolume\\tmore\\n'\n`,
    { mode: 0o755 },
  );
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** What bash offers for these words, as it holds them, when Tab is pressed in the last; and what berth was asked. */
async function tab(...words: readonly string[]) {
  const told = path.join(folder, "told");
  const script = [
    `source ${folder}/completion.bash`,
    `source ${folder}/completion.bash`, // again, as a shell does that is started in another
    `COMP_WORDS=("$@")`,
    `COMP_CWORD=$(($# - 1))`,
    `_berth`,
    `printf '%s\\n' "\${COMPREPLY[@]}"`,
    `printf 'told:%s' "$(cat "$TOLD")"`,
  ].join("\n");
  const { stdout, stderr } = await promisify(execFile)(
    "bash",
    ["--norc", "-c", script, "bash", ...words],
    {
      cwd: folder,
      env: { PATH: `${folder}:${process.env["PATH"]}`, TOLD: told },
    },
  );
  expect(stderr).toBe("");
  const [offered = "", asked] = stdout.split("told:");
  return { offered: offered.trim().split("\n"), asked };
}

describe("bash's completion (6a item 7)", () => {
  it("offers words alone, and asks with what was typed", async () => {
    expect(await tab("berth", "vm", "show", "")).toEqual({
      offered: ["vm", "volume"],
      asked: "<__complete><vm><show><>",
    });
  });

  it.each([
    "$(touch x)",
    "`touch x`",
    "$(touch",
    ";touch x",
    "'a b",
    '"$HOME',
    "*",
    "\\",
    "a\nb",
    "-n",
  ])("runs nothing of what was typed, and hands it on as it is: %s", async (typed) => {
    const before = await readdir(folder);
    expect((await tab("berth", "vm", typed)).asked).toBe(`<__complete><vm><${typed}>`);
    expect(await readdir(folder)).toEqual(expect.arrayContaining(before));
    expect(await readdir(folder)).not.toContain("x");
  });
});

it("no shell's script has typed words read again", () => {
  for (const script of Object.values(SCRIPTS)) expect(script).not.toMatch(/\beval\b/);
});

const VM = {
  id: "vm_0199f0a2b3c47d5e8f90a1b2c3d4e5f6",
  orderId: null,
  hostname: "web-1.example.com",
  label: null,
  status: "running",
  lostSince: null,
  overdue: null,
  lastError: null,
  power: { desired: "running", observed: "running" },
  guest: "ready",
  suspended: [],
  suspendedBecause: [],
  cancelled: false,
  cancelAt: null,
  deleteProtected: false,
  lockedBy: null,
  planId: "plan_0199f0a2b3c47d5e8f90a1b2c3d4e5f6",
  planVersion: 1,
  price: null,
  imageId: "img_0199f0a2b3c47d5e8f90a1b2c3d4e5f6",
  locationId: "loc_0199f0a2b3c47d5e8f90a1b2c3d4e5f6",
  size: { vcpus: 1, memoryMib: 1024, diskGib: 20 },
  addresses: [],
  entitledUntil: null,
  createdAt: "2026-03-01T12:00:00.000Z",
};

describe("what is offered", () => {
  let world: CliWorld;
  const env = { BERTH_URL: "https://api.example.com", BERTH_TOKEN: "secret" };
  beforeEach(async () => {
    const me = {
      id: "acct_0199f0a2b3c47d5e8f90a1b2c3d4e5f6",
      email: "a@b.c",
      name: "A",
      role: "customer",
      scopes: [],
      currency: null,
      locale: "en",
    };
    const vms = [
      VM,
      { ...VM, hostname: "web-2" },
      { ...VM, hostname: "$(touch x)" },
      { ...VM, hostname: "a;b" },
    ];
    world = await aCliWorld(
      answering({
        "GET /v1/me": [200, me],
        "GET /v1/vms": [200, { items: vms, nextCursor: null }],
      }),
      { env },
    );
  });
  afterEach(() => world.close());
  const offered = async (...words: readonly string[]) =>
    (await world.run(["__complete", ...words])).stdout
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => line.split("\t")[0]);

  it("groups and commands, then verbs, then choices", async () => {
    expect(await offered("v")).toEqual(["vm"]);
    expect(await offered("wh")).toEqual(["whoami", "why"]);
    expect(await offered("vm", "ren")).toEqual(["rename"]);
    expect(await offered("vm", "crea")).toEqual(["create"]);
    expect(await offered("vm", "power", "web-2", "s")).toEqual(["start", "shutdown", "stop"]);
    expect(await offered("completion", "")).toEqual(["bash", "zsh", "fish"]);
    expect(world.asked).toEqual([]);
  });

  it("options by their names and the values that they take", async () => {
    expect(await offered("vm", "power", "web-2", "reboot", "--wa")).toEqual(["--watch"]);
    expect(await offered("order", "create", "--interval", "")).toEqual(["hour", "month", "year"]);
    // Once each, but for what may be given again.
    expect(await offered("vm", "list", "--all", "--al")).toEqual([]);
    expect(await offered("order", "create", "--ssh-key", "f", "--ssh-")).toEqual(["--ssh-key"]);
  });

  it("the names of what is there, of which none means anything to a shell", async () => {
    expect(await offered("vm", "show", "")).toEqual(["web-1.example.com", "web-2"]);
    expect(await offered("vm", "delete", "--yes", "web-1")).toEqual(["web-1.example.com"]);
  });

  it("nothing where nobody answers, and at once", async () => {
    const dead = await aCliWorld(() => Promise.reject(new TypeError("fetch failed")), { env });
    try {
      expect(await dead.run(["__complete", "vm", "show", ""])).toEqual({
        code: 0,
        stdout: "",
        stderr: "",
      });
      expect(dead.slept).toEqual([]);
    } finally {
      await dead.close();
    }
  });

  it("nothing after what is no command", async () => {
    expect(await offered("nope", "")).toEqual([]);
    expect(await offered("vm", "nope", "")).toEqual([]);
  });
});

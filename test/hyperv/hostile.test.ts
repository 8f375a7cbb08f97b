import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { XMLParser } from "fast-xml-parser";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { z } from "zod";
import type { DesiredVm } from "#core/contracts/agent/desired.ts";
import { DriverError } from "#host-agent/drivers/driver.ts";
import type { HypervDriver } from "#host-agent/drivers/hyperv/driver.ts";
import type { Worker } from "#host-agent/drivers/hyperv/powershell.ts";
import { computerName, firstLabel } from "#core/vms/guest-name.ts";
import { PATIENCE_MS } from "#test/harness/patience.ts";
import { aDesiredVm } from "../drivers/builders.ts";
import { GOOD_ID, HOSTILE } from "../drivers/hostile-strings.ts";
import { readIso } from "./read-iso.ts";
import { aWorld, noPwsh, type World } from "./world.ts";

const PASSWORD = "Once-0nly-Pass";
/** Every operation with every field as it should be. */
const REQUESTS: Record<string, Record<string, unknown>> = {
  create: {
    ...aVm(),
    ...aSize(),
    image: "tiny",
    os: "linux",
    firmware: "uefi",
    secureBoot: "off",
    seeded: false,
  },
  start: { ...aVm(), dropSavedState: false },
  guards: {},
  limits: {},
  guard: { ...aVm(), nics: aSize()["nics"] },
  stop: { ...aVm(), mode: "firm" },
  reset: aVm(),
  reboot: aVm(),
  resize: { ...aVm(), ...aSize() },
  destroy: { ...aVm(), at: "20260101T000000000Z" },
  "erase-seed": aVm(),
  checkpoint: { ...aVm(), checkpointId: GOOD_ID, most: 50 },
  revert: { ...aVm(), ...aSize(), checkpointId: GOOD_ID },
  "delete-checkpoint": { ...aVm(), checkpointId: GOOD_ID },
  checkpoints: aVm(),
  facts: {},
  list: { installation: GOOD_ID },
  unclaimed: { installation: GOOD_ID },
  claim: { ...aVm(), installation: GOOD_ID },
  counters: {},
  describe: aVm(),
  export: { ...aVm(), file: "export.vhdx" },
  import: {
    ...aVm(),
    ...aSize(),
    os: "linux",
    firmware: "uefi",
    secureBoot: "off",
    file: "import.vhdx",
  },
  release: aVm(),
  hold: aVm(),
  "live-end": aVm(),
  "live-prepare": { ...aVm(), os: "linux", firmware: "uefi", secureBoot: "off" },
  "live-move": { ...aVm(), computer: "hyperv-2", folder: "/vms/one" },
  "live-stop": aVm(),
  calls: {},
};
function aVm(): Record<string, unknown> {
  return { vmId: GOOD_ID, epoch: 1 };
}
function aSize(): Record<string, unknown> {
  const nic = { mac: "525400000001", address: "192.0.2.9", vlan: null, bandwidthBits: null };
  return { vcpus: 1, memoryMib: 128, diskGib: 1, iops: null, nics: [nic] };
}

describe.skipIf(noPwsh !== null)(`hostile input${noPwsh ? ` (skipped: ${noPwsh})` : ""}`, () => {
  let world: World;
  let driver: HypervDriver;
  let worker: Worker;
  let bystander: DesiredVm;
  beforeAll(async () => {
    world = await aWorld({ Computer: "hyperv-1", MigrationEnabled: true, Processor: "one" });
    driver = world.open();
    worker = world.worker();
    bystander = aDesiredVm({ image: world.image });
    await driver.create(bystander);
    await driver.start(bystander);
  });
  afterAll(() => world.close());
  beforeEach(() => world.record());

  const send = (op: string, fields: object) =>
    worker.call(op, fields, { timeoutMs: PATIENCE_MS }).then(
      () => "done",
      (error: unknown) => (error instanceof DriverError ? error.code : String(error)),
    );
  /** Everything that a command could have changed: all files of the host, and the VM that stands by. */
  const everything = async () => {
    const names = await readdir(world.folder, { recursive: true });
    const vms = (await world.vms()).map(({ Id, Name, State, Notes }) => ({
      Id,
      Name,
      State,
      Notes,
    }));
    return { files: names.filter((name) => !name.endsWith("calls.log")).sort(), vms };
  };

  describe.each(Object.entries(HOSTILE))("%s", (_, text) => {
    test("in any string field of any request is refused before a cmdlet runs", async () => {
      const before = await everything();
      for (const [op, good] of Object.entries(REQUESTS)) {
        const variants = [
          ...stringFields(good).map((field) => ({ ...good, [field]: text })),
          // Where a number, a truth or a list belongs, bare and in a list.
          ...Object.keys(good).map((field) => ({ ...good, [field]: text })),
          // A field where a number, a list or nothing belongs, and one that nobody knows.
          ...Object.keys(good).map((field) => ({ ...good, [field]: [text] })),
          { ...good, [text === "" ? "unknown" : text]: text },
        ];
        if ("nics" in good)
          for (const field of ["mac", "address", "vlan", "bandwidthBits"])
            variants.push({ ...good, nics: [{ ...first(good["nics"]), [field]: text }] });
        for (const fields of variants) expect(await send(op, fields)).toBe("unsupported");
      }
      expect(await send(text, aVm())).toBe("unsupported");
      expect((await world.recorded()).map((call) => call.cmdlet)).toEqual([]);
      expect(await everything()).toEqual(before);
    });

    test("in what a customer writes reaches the guest as it is, or is refused", async () => {
      const vm = aDesiredVm({
        image: world.image,
        hostname: text,
        userData: text,
        sshKeys: [text],
      });
      const came = await outcome(driver.create(vm));
      expect(["done", "unsupported"]).toContain(came);
      const cmdlets = (await world.recorded()).map((call) => call.cmdlet);
      expect(cmdlets.filter((name) => /^(Remove-VM|Stop-VM)$/.test(name))).toEqual([]);
      expect((await driver.list()).find((seen) => seen.vmId === bystander.vmId)?.power).toBe(
        "running",
      );
      const given = {
        userData: text,
        meta: {
          "instance-id": vm.vmId,
          "local-hostname": firstLabel(text),
          "public-keys": [text.trim()],
        },
      };
      const seed = path.join(world.root, "vms", vm.vmId, "seed.iso");
      expect(came === "done" ? await linuxSeed(seed) : given).toEqual(given);
      await driver.destroy(vm);
    });
  });

  test("in what an operator configures is a name of a folder or a switch, or is refused", async () => {
    const configurer = world.worker();
    const good = { root: world.root, images: world.options.images, switch: "Public" };
    const ask = (fields: object) =>
      configurer
        .call(
          "configure",
          { ...good, dynamicMemoryMinimumPercent: null, ...fields },
          { timeoutMs: PATIENCE_MS },
        )
        .then(
          () => "done",
          (error: unknown) => (error instanceof DriverError ? error.code : String(error)),
        );
    const before = await everything();
    for (const text of Object.values(HOSTILE)) {
      for (const field of ["root", "images", "dynamicMemoryMinimumPercent"])
        expect(await ask({ [field]: text }), `${field} ${text.slice(0, 40)}`).toBe("unsupported");
      const plain = /^[\p{L}\p{N}][\p{L}\p{N} ._()-]{0,99}$/u.test(text) && !text.includes("\n");
      expect(await ask({ switch: text })).toBe(plain ? "done" : "unsupported");
    }
    expect(await everything()).toEqual(before);
    expect((await world.recorded()).map((call) => call.cmdlet)).toEqual([]);
  });

  test.each(Object.entries(HOSTILE))("in the first boot of Windows: %s", async (_, text) => {
    const image = { ...world.image, os: "windows" } as const;
    // Each where the guest reads it, and nothing but what was given.
    const tried = [
      {
        over: { hostname: text },
        expected: { computerName: () => computerName(text), hostname: text },
      },
      { over: { userData: text }, expected: { userData: text } },
      { over: { sshKeys: [text] }, expected: { keys: { key0: text.trim() } } },
      { over: {}, password: text, expected: { password: text } },
    ];
    for (const { over, password = PASSWORD, expected } of tried) {
      const vm = aDesiredVm({ image, hostname: "web-1.example.com", ...over });
      const secrets = { administratorPassword: async () => password };
      const came = await outcome(driver.create(vm, undefined, secrets));
      expect(["done", "unsupported"]).toContain(came);
      if (came !== "done") continue;
      const { computerName: name = () => "web-1", ...rest } = expected;
      expect(await windowsSeed(path.join(world.root, "vms", vm.vmId, "seed.iso"))).toEqual({
        computerName: name(),
        hostname: "web-1.example.com",
        userData: null,
        keys: {},
        password: PASSWORD,
        ...rest,
      });
    }
    const cmdlets = (await world.recorded()).map((call) => call.cmdlet);
    expect(cmdlets.filter((name) => /^(Remove-VM|Stop-VM)$/.test(name))).toEqual([]);
    expect((await driver.list()).find((seen) => seen.vmId === bystander.vmId)?.power).toBe(
      "running",
    );
  });

  test("in the driver's own arguments is refused by it", async () => {
    for (const text of Object.values(HOSTILE)) {
      const vm = aDesiredVm({ image: world.image, vmId: text });
      expect(await outcome(driver.create(vm))).toBe("unsupported");
      expect(await outcome(driver.destroy(vm))).toBe("unsupported");
      const image = { ...world.image, file: text };
      expect(await outcome(driver.create(aDesiredVm({ image })))).toBe("unsupported");
      expect(await outcome(driver.checkpoint(bystander, text))).toBe("unsupported");
      const [nic] = bystander.nics;
      if (nic === undefined) throw new Error("the builder has a NIC");
      for (const over of [{ mac: text }, { ipv4: { ...nic.ipv4, address: text } }])
        expect(await outcome(driver.create(aDesiredVm({ nics: [{ ...nic, ...over }] })))).toBe(
          "unsupported",
        );
    }
    expect((await world.recorded()).map((call) => call.cmdlet)).not.toContain("New-VM");
  });

  test("a number that is none, or out of all bounds, is refused", async () => {
    const good = REQUESTS["create"] ?? {};
    for (const value of [0, -1, 1.5, 1e21, null, true, "1", [], {}])
      for (const field of ["epoch", "vcpus", "memoryMib", "diskGib"])
        expect(
          await send("create", { ...good, [field]: value }),
          `${field} ${JSON.stringify(value)}`,
        ).toBe("unsupported");
  });

  test("nothing but what is hostile is wrong with the requests that these tests begin with", async () => {
    const rules = await readFile(
      path.join(import.meta.dirname, "../../host-agent/drivers/hyperv/requests.ps1"),
      "utf8",
    );
    const table = /\$script:Operations = @\{\n([^]*?)\n\}/.exec(rules)?.[1] ?? "";
    const operations = [...table.matchAll(/^ +'([a-z-]+)'/gm)].map((found) => found[1]);
    expect(new Set(Object.keys(REQUESTS))).toEqual(
      new Set(operations.filter((op) => op !== "configure")),
    );
    const refused: string[] = [];
    for (const [op, good] of Object.entries(REQUESTS))
      if ((await send(op, good)) === "unsupported") refused.push(op);
    expect(refused).toEqual([]);
  });

  test("what passes the rules does what it says and nothing else", async () => {
    expect(await send("start", { ...aVm(), dropSavedState: false })).toBe("driver_failed");
    expect((await world.recorded()).map((call) => call.cmdlet)).toEqual(["Get-VM"]);
  });
});

async function linuxSeed(file: string) {
  const seed = await readIso(file);
  const meta: unknown = parse(seed.get("meta-data")?.toString() ?? "");
  return { userData: seed.get("user-data")?.toString(), meta };
}

/** What the guest finds on a seed of Windows: each field out of its own place. */
async function windowsSeed(file: string) {
  const seed = await readIso(file);
  const answer = Answer.parse(xml.parse(seed.get("Unattend.xml")?.toString() ?? ""));
  const parts = answer.unattend.settings.flatMap((settings) => settings.component);
  const hidden = parts.find((part) => part.UserAccounts)?.UserAccounts?.AdministratorPassword.Value;
  const meta = Metadata.parse(
    JSON.parse(seed.get("openstack/latest/meta_data.json")?.toString() ?? ""),
  );
  return {
    computerName: parts.find((part) => part.ComputerName !== undefined)?.ComputerName,
    hostname: meta.hostname,
    userData: seed.get("openstack/latest/user_data")?.toString() ?? null,
    keys: meta.public_keys,
    // Windows takes this word away from the end.
    password: Buffer.from(hidden ?? "", "base64")
      .toString("utf16le")
      .replace(/AdministratorPassword$/, ""),
  };
}
const xml = new XMLParser({
  parseTagValue: false,
  trimValues: false,
  isArray: (name) => name === "settings" || name === "component",
});
const Answer = z.object({
  unattend: z.object({
    settings: z.array(
      z.object({
        component: z.array(
          z.object({
            ComputerName: z.string().optional(),
            UserAccounts: z
              .object({ AdministratorPassword: z.object({ Value: z.string() }) })
              .optional(),
          }),
        ),
      }),
    ),
  }),
});
const Metadata = z.object({
  hostname: z.string(),
  public_keys: z.record(z.string(), z.string()),
});
function stringFields(fields: Record<string, unknown>): string[] {
  return Object.keys(fields).filter((name) => typeof fields[name] === "string");
}
function first(list: unknown): object {
  const [item]: unknown[] = Array.isArray(list) ? list : [];
  return typeof item === "object" && item !== null ? item : {};
}
async function outcome(call: Promise<unknown>): Promise<string> {
  return call.then(
    () => "done",
    (error: unknown) => (error instanceof DriverError ? error.code : String(error)),
  );
}

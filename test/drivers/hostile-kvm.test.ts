import { chmod, cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { XMLParser } from "fast-xml-parser";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { firstLabel } from "#core/vms/guest-name.ts";
import { parse } from "yaml";
import type { DesiredVm } from "#core/contracts/agent/desired.ts";
import { DriverError, type VmDriver } from "#host-agent/drivers/driver.ts";
import { createKvmDriver } from "#host-agent/drivers/kvm/driver.ts";
import type { Libvirt } from "#host-agent/drivers/kvm/libvirt.ts";
import { aDesiredVm, realClock } from "./builders.ts";
import { HOSTILE } from "./hostile-strings.ts";

/* The KVM driver over programs that write down what they are given, and a libvirt that keeps definitions. */

let dir: string;
let driver: VmDriver;
let defined: Map<string, string>;
let asked: string[][];
const FOLDERS = ["images", "disks", "seeds", "consoles", "trash"];

beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), "berth-hostile-"));
  for (const name of [...FOLDERS, "bin", "log"]) await mkdir(path.join(dir, name));
  // The argument at which each makes its file is a fixed one: a text that became an argument would move it.
  await program("qemu-img", `[ "$1" != create ] || cp "$8" "$9"`);
  await program("genisoimage", `cp -r "$8" "${dir}/log/tree"; : > "$7"`);
  vi.stubEnv("PATH", `${path.join(dir, "bin")}:/usr/bin:/bin`);
  const image = Buffer.alloc(64);
  image.writeUInt32BE(0x514649fb, 0);
  image.writeBigUInt64BE(2n ** 30n, 24);
  await writeFile(path.join(dir, "images", "tiny.qcow2"), image);
  await writeFile(path.join(dir, "outside.qcow2"), image);
  defined = new Map();
  asked = [];
  const at = (name: string) => path.join(dir, name);
  driver = createKvmDriver({
    imageDir: at("images"),
    diskDir: at("disks"),
    seedDir: at("seeds"),
    consoleDir: at("consoles"),
    trashDir: at("trash"),
    reserveDiskMib: 0,
    uri: "test:///",
    network: { kind: "network", name: "berth" },
    emulationAllowed: true,
    agentVersion: "test",
    clock: realClock,
    log: { info: () => undefined, error: () => undefined },
    libvirt: keeper(),
  });
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(dir, { recursive: true });
});

async function program(name: string, then: string): Promise<void> {
  const file = path.join(dir, "bin", name);
  const log = path.join(dir, "log", name);
  await writeFile(file, `#!/bin/sh\nprintf '%s\\0' "$@" >> '${log}'\n${then}\n`);
  await chmod(file, 0o755);
}

function keeper(): Libvirt {
  const one: Libvirt = {
    async run(args) {
      asked.push([...args]);
      if (args[0] === "define" && args[1] !== undefined) {
        const xml = await readFile(args[1], "utf8");
        defined.set(/<uuid>(.*?)<\/uuid>/.exec(xml)?.[1] ?? "", xml);
      }
      return "";
    },
    async read(commands) {
      for (const words of commands)
        for (const word of words) expect(word).toMatch(/^[A-Za-z0-9_.=-]+$/);
      return commands.map(([verb, ...words]) => {
        const uuid = words.at(-1) ?? "";
        if (verb === "list")
          return words.includes("--transient") ? "" : [...defined.keys()].join("\n");
        if (verb === "dumpxml") return defined.get(uuid) ?? "";
        return [...defined.keys()]
          .map((one) => `Domain: 'berth-${one}'\n  state.state=5\n  state.reason=0\n`)
          .join("");
      });
    },
    readThen: (commands, last) => one.read([...commands, last]),
  };
  return one;
}

const outcome = (call: Promise<unknown>): Promise<string> =>
  call.then(
    () => "done",
    (error: unknown) => (error instanceof DriverError ? error.code : String(error)),
  );
const given = async (name: string): Promise<string[]> =>
  (await readFile(path.join(dir, "log", name), "utf8").catch(() => "")).split("\0").slice(0, -1);
const domain = (vm: DesiredVm): unknown =>
  new XMLParser({
    ignoreAttributes: false,
    attributeNamePrefix: "@",
    parseTagValue: false,
    trimValues: false,
  }).parse(defined.get(vm.vmId) ?? "");
const seed = (name: string) => readFile(path.join(dir, "log", "tree", name), "utf8");
/** Everything that lies in the driver's folders and beside them. */
const files = async () =>
  (await readdir(dir, { recursive: true })).filter((name) => !/^(log|bin)/.test(name)).sort();

/** A VM with the text in one of its fields, and where it must come out as it went in. */
const FIELDS: Record<string, (text: string) => Partial<DesiredVm>> = {
  hostname: (hostname) => ({ hostname }),
  "an SSH key": (key) => ({ sshKeys: [key] }),
  "user-data": (userData) => ({ userData }),
  "a nameserver": (server) => ({ nameservers: [server] }),
  "a MAC": (mac) => ({ nics: nics({ mac }) }),
  "an address": (address) => ({ nics: nics({ address }) }),
  "a gateway": (gateway) => ({ nics: nics({ gateway }) }),
};
function nics({ mac, ...ipv4 }: { mac?: string; address?: string; gateway?: string }) {
  return aDesiredVm().nics.map((nic) => ({
    ...nic,
    ...(mac !== undefined && { mac }),
    ipv4: { ...nic.ipv4, ...ipv4 },
  }));
}

describe.each(Object.entries(HOSTILE))("hostile text to the KVM driver: %s", (_, text) => {
  test.each(Object.keys(FIELDS))("in %s stays text, or is refused", async (field) => {
    const vm = aDesiredVm(FIELDS[field]?.(text));
    const before = await files();
    const came = await outcome(driver.create(vm));
    expect(`${came}, ${defined.size} defined`).toMatch(/^(done, 1|unsupported, 0) defined$/);
    if (came !== "done") return;
    const disk = path.join(dir, "disks", `${vm.vmId}.e1.qcow2`);
    const made = ["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b"];
    const image = path.join(dir, "images", "tiny.qcow2");
    expect(await given("qemu-img")).toEqual([...made, image, `${disk}.part`, "1G"]);
    const iso = await given("genisoimage");
    expect(iso.filter((word) => word.startsWith("-"))).toEqual([
      "-quiet",
      "-volid",
      "-joliet",
      "-rock",
      "-output",
    ]);
    expect(iso).toHaveLength(8);
    expect(asked.filter(([verb]) => verb !== "define" && verb !== "domcapabilities")).toEqual([]);
    const stem = `${vm.vmId}.e1`;
    expect(await files()).toEqual([...before, `disks/${stem}.qcow2`, `seeds/${stem}.iso`].sort());
    const [nic] = vm.nics;
    expect(domain(vm)).toMatchObject({
      domain: {
        title: vm.hostname,
        devices: {
          disk: [{ source: { "@file": disk } }, {}],
          interface: {
            mac: { "@address": nic?.mac },
            filterref: { parameter: { "@value": nic?.ipv4.address } },
          },
        },
      },
    });
    expect(parse(await seed("meta-data"), { version: "1.1" })).toMatchObject({
      "local-hostname": firstLabel(vm.hostname),
      "public-keys": vm.sshKeys.map((key) => key.trim()),
    });
    expect(await seed("user-data")).toBe(vm.userData ?? "#cloud-config\n{}\n");
  });

  test("as the name of an image or the id of a VM is refused, and no program runs", async () => {
    const before = await files();
    const image = { ...aDesiredVm().image, file: text };
    expect(["image_missing", "unsupported"]).toContain(
      await outcome(driver.create(aDesiredVm({ image }))),
    );
    const vm = aDesiredVm({ vmId: text });
    for (const call of [
      () => driver.create(vm),
      () => driver.start(vm),
      () => driver.stop(vm, "firm"),
      () => driver.once(vm, "reset"),
      () => driver.resize(vm),
      () => driver.eraseSeed(vm),
      () => driver.destroy(vm),
    ])
      expect(await outcome(call())).toBe("not_ours");
    expect(await given("qemu-img")).toEqual([]);
    expect(await given("genisoimage")).toEqual([]);
    expect(asked.filter(([verb]) => verb !== "domcapabilities")).toEqual([]);
    expect(await files()).toEqual(before);
  });
});

test("the name of an image cannot lead out of the folder of images", async () => {
  for (const file of ["../outside", "../images/tiny", "./tiny", "images/../tiny", ".tiny"]) {
    await cp(path.join(dir, "outside.qcow2"), path.join(dir, "images", ".tiny.qcow2"));
    const image = { ...aDesiredVm().image, file };
    expect(await outcome(driver.create(aDesiredVm({ image })))).toBe("image_missing");
  }
  expect(await given("qemu-img")).toEqual([]);
});

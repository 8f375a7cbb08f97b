import { createHash } from "node:crypto";
import { chmod, mkdir, mkdtemp, rm, stat, utimes, writeFile } from "node:fs/promises";
import { release, tmpdir } from "node:os";
import path from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import type { DesiredVm } from "#core/contracts/agent/desired.ts";
import { createHttpControlPlane } from "#host-agent/channel/control-plane.ts";
import { enroll } from "#host-agent/channel/identity.ts";
import { parseConfig } from "#host-agent/config-file.ts";
import type { DoctorOptions } from "#host-agent/cli.ts";
import { createImageServer } from "#host-agent/images/serve-images.ts";
import { fileStore } from "#host-agent/state/state-store.ts";
import { aDesiredVm, anImage, randomIds, realClock } from "#test/drivers/builders.ts";
import { createFakeControlPlane, type FakeControlPlane } from "#test/drivers/fake-control-plane.ts";
import { startHttpPlane } from "#test/drivers/http-plane.ts";
import { checksAsText, examine } from "./doctor.ts";
import type { DoctorPorts } from "./examine-agent.ts";

/*
 * A host of files and programs: the doctor's own shell looks at them, and a control plane over HTTP answers it. Nothing of the
 * machine that runs the test is touched.
 */
const VERSION = "1.2.3";
const STEM = "01900000-0000-7000-8000-0000000000a1.e1";
let http: Awaited<ReturnType<typeof startHttpPlane>>;
beforeAll(async () => {
  http = await startHttpPlane();
});
afterAll(() => http.close());

let root: string;
let plane: FakeControlPlane;
let hosts = 0;
let options: DoctorOptions;
let ports: DoctorPorts;
let driverOptions: Record<string, unknown>;
const at = (...parts: string[]) => path.join(root, ...parts);

beforeEach(async () => {
  root = await mkdtemp(path.join(tmpdir(), "berth-doctor-"));
  await chmod(root, 0o711);
  plane = createFakeControlPlane();
  hosts += 1;
  const apiUrl = http.add(`host-${hosts}`, plane);
  ports = {
    clock: realClock,
    ids: randomIds,
    agentVersion: VERSION,
    nodeVersion: "24.21.0",
    root,
  };
  await aHost();
  await aStateFolder(apiUrl);
  driverOptions = {
    imageDir: at("images"),
    diskDir: at("disks"),
    seedDir: at("seeds"),
    consoleDir: at("consoles"),
    trashDir: at("trash"),
    network: { kind: "bridge", name: "br0", vlans: { 100: "br100" } },
    reserveDiskMib: 1,
  };
  options = {
    name: "doctor",
    json: true,
    fix: false,
    apiUrl,
    stateDir: at("state"),
    driver: { driver: "kvm", fileOptions: {}, driverConfigFile: null, driverOptions },
    config: { path: "/etc/berth/agent.yaml", values: {}, faults: [], isThere: true },
  };
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(root, { recursive: true });
});

async function put(file: string, text: string | Buffer, mode = 0o600): Promise<void> {
  await mkdir(path.dirname(at(file)), { recursive: true, mode: 0o711 });
  await writeFile(at(file), text);
  await chmod(at(file), mode);
}
const program = (name: string, script: string) =>
  put(path.join("bin", name), `#!/bin/sh\n${script}\n`, 0o755);

/** libvirt 9 on Debian 12, as far as its answers are read. `answers` stand before the usual ones. */
const virsh = (answers = "") =>
  program(
    "virsh",
    `case "$4" in
${answers}
version) printf 'Using library: libvirt 9.0.0\\nRunning hypervisor: QEMU 7.2.0\\n';;
nwfilter-list) echo ' 7a1b  clean-traffic';;
net-info) echo 'Active:         yes';;
capabilities) echo '<secmodel><model>apparmor</model></secmodel>';;
esac`,
  );

async function aHost(): Promise<void> {
  await virsh();
  for (const name of ["qemu-img", "qemu-system-x86_64", "genisoimage", "ebtables"])
    await program(name, ":");
  vi.stubEnv("PATH", at("bin"));
  await put("proc/cpuinfo", "flags\t\t: fpu vmx sse2\n");
  await put("dev/kvm", "", 0o660);
  for (const socket of ["libvirt-sock", "virtlogd-sock"]) await put(`run/libvirt/${socket}`, "");
  for (const bridge of ["br0", "br100"]) {
    await put(`sys/class/net/${bridge}/operstate`, "up\n");
    await put(`sys/class/net/${bridge}/bridge/stp_state`, "0\n");
  }
  await put(`lib/modules/${release()}/modules.builtin`, "kernel/net/sched/sch_sfq.ko\n");
  await put("sys/module/apparmor/parameters/enabled", "Y\n");
  for (const folder of ["images", "disks", "seeds", "consoles"]) {
    await mkdir(at(folder));
    await chmod(at(folder), 0o711);
  }
  await mkdir(at("trash"), { mode: 0o700 });
  await put("images/debian-12.qcow2", qcow2(false), 0o444);
  await put(`disks/${STEM}.qcow2`, qcow2(true), 0o600);
}

function qcow2(hasBackingFile: boolean): Buffer {
  const head = Buffer.alloc(32);
  head.writeUInt32BE(0x51_46_49_fb, 0);
  if (hasBackingFile) head.writeBigUInt64BE(104n, 8);
  head.writeBigUInt64BE(2n ** 31n, 24);
  return head;
}

const held = (...folders: string[]) =>
  put(
    "proc/net/unix",
    folders
      .map((folder) => createHash("sha256").update(path.resolve(folder)).digest("hex"))
      .map((hash) => `0000: 00000002 00000000 00010000 0001 01 42 @berth-agent-${hash}\n`)
      .join(""),
  );
const noted = (over: Record<string, unknown> = {}) =>
  put(
    "state/status.json",
    JSON.stringify({
      pid: 4711,
      version: VERSION,
      driver: "kvm",
      api: "http://127.0.0.1",
      hostId: plane.hostId,
      startedAt: ago(7200),
      lastReport: { at: ago(20), desiredGeneration: 5 },
      vms: { running: 3 },
      reportError: null,
      ...over,
    }),
  );
const ago = (seconds: number) => new Date(realClock.now().getTime() - seconds * 1000).toISOString();

async function aStateFolder(apiUrl: string): Promise<void> {
  await mkdir(at("state"), { mode: 0o700 });
  const open = createHttpControlPlane({ apiUrl, fetch, clock: realClock, sign: null });
  await enroll(fileStore(at("state"), { durable: false }), open, {
    joinToken: "t".repeat(20),
    facts: FACTS,
  });
  await held(at("state"));
  await noted();
}
const FACTS = {
  hypervisor: "kvm",
  hypervisorVersion: "QEMU 7.2.0",
  accelerator: "hardware",
  capabilities: {
    hotResize: false,
    hotDiskGrow: true,
    gracefulStop: true,
    liveSnapshot: false,
    bandwidthLimit: true,
    iopsLimit: true,
  },
  cpuThreads: 8,
  memoryMib: 65_536,
  diskGib: 900,
  agentVersion: VERSION,
} as const;

/** What is held of a desired document with this VM. */
const desire = (vm: DesiredVm) => {
  plane.want([vm]);
  return put("state/desired-2.json", JSON.stringify(plane.document()));
};
const page = JSON.stringify({ samples: [], marks: [] });
const doctor = (over: Partial<DoctorOptions> = {}) => examine({ ...options, ...over }, ports);
const wrongIn = (checks: Awaited<ReturnType<typeof examine>>) =>
  checks.filter(({ ok }) => !ok).map(({ name }) => name);
const drive = (over: Record<string, unknown>) => {
  Object.assign(driverOptions, over);
};

test("item 4: on a good host nothing is wrong, and every check says what it found", async () => {
  const checks = await doctor();
  expect(checks.filter(({ ok }) => !ok)).toEqual([]);
  expect(new Set(checks.map(({ name }) => name)).size).toBe(checks.length);
  for (const check of checks)
    expect(Object.keys(check)).toEqual(["name", "ok", "found", "why", "fix"]);
  expect(checks.filter(({ found, why }) => found === "" || why === "")).toEqual([]);
  expect(checksAsText(checks)).toContain(`all ${checks.length} are well\n`);
});

const serve = (listen: string) => {
  options = { ...options, config: { ...options.config, values: { serveImages: { listen } } } };
};
test("12.7: images that are served are well", async () => {
  const server = createImageServer({
    hostId: plane.hostId,
    folder: { path: at("images"), ending: ".qcow2", sumOf: async () => null },
    options: { address: "127.0.0.1", port: 0, mbitPerSecond: 10, hostsAtOnce: 1 },
    filesOf: () => [],
    clock: realClock,
    planeNow: () => realClock.now(),
    log: { info: () => undefined, error: () => undefined },
    signal: new AbortController().signal,
  });
  const { port = 0 } = (await server.serving()) ?? {};
  serve(`127.0.0.1:${port}`);
  const check = (await doctor()).find(({ name }) => name === "image-serving");
  await server.close();
  expect(check).toMatchObject({ ok: true, found: `answers at 127.0.0.1:${port}` });
});

/** By check: what is planted, and what else cannot be well then. */
const TROUBLES: readonly [
  check: string,
  what: string,
  plant: () => unknown,
  others?: readonly string[],
][] = [
  [
    "config-file",
    "a key that is misspelt",
    () => {
      const parsed = parseConfig(
        "/etc/berth/agent.yaml",
        "api: https://a.example\nconcurency: 4\n",
      );
      options = { ...options, config: { ...options.config, ...parsed } };
    },
  ],
  ["node-version", "an old Node", () => (ports = { ...ports, nodeVersion: "18.20.0" })],
  ["agent-running", "no agent", () => held()],
  ["one-agent", "another agent", () => held(at("state"), "/elsewhere")],
  ["agent-version", "an upgrade without a restart", () => noted({ version: "1.2.2" })],
  ["state-folder", "a state folder that others enter", () => chmod(at("state"), 0o755)],
  [
    "state-folder",
    "no state folder",
    () => rm(at("state"), { recursive: true }),
    ["state-files", "identity", "last-report", "identity-accepted"],
  ],
  ["state-files", "half a file", () => put("state/actions.json", '{"begun":')],
  [
    "identity",
    "a host that is not enrolled",
    () => rm(at("state/identity.json")),
    ["identity-accepted"],
  ],
  [
    "last-report",
    "six minutes of silence",
    () => noted({ lastReport: { at: ago(360), desiredGeneration: 5 } }),
  ],
  [
    "last-report",
    "a control plane that takes no report",
    () => noted({ lastReport: null, reportError: { at: ago(1), error: "http_503" } }),
  ],
  [
    "spool",
    "usage that is two hours old",
    async () => {
      await put("state/spool/000000000007.json", page);
      const then = realClock.now().getTime() / 1000 - 7200;
      await utimes(at("state/spool/000000000007.json"), then, then);
    },
  ],
  [
    "spool-refused",
    "usage that was refused",
    () => put("state/spool-refused/000000000003.json", page),
  ],
  [
    "dns",
    "a name that leads nowhere",
    // Longer than a label may be (RFC 1035), so that no resolver is asked.
    () => (options = { ...options, apiUrl: `https://${"x".repeat(64)}.example` }),
    ["tls", "control-plane", "clock", "identity-accepted"],
  ],
  [
    "tls",
    "a port that speaks no TLS",
    () => (options = { ...options, apiUrl: (options.apiUrl ?? "").replace("http:", "https:") }),
    ["control-plane", "clock", "identity-accepted"],
  ],
  [
    "control-plane",
    "a URL that is not the API's",
    () => (options = { ...options, apiUrl: `${options.apiUrl}-of-nobody` }),
    ["identity-accepted"],
  ],
  [
    "clock",
    "a clock that is three minutes ahead",
    () =>
      (ports = {
        ...ports,
        clock: { ...realClock, now: () => new Date(realClock.now().getTime() + 180_000) },
      }),
  ],
  ["image-serving", "images to be served at another's address", () => serve("192.0.2.7:9110")],
  ["image-serving", "images to be served where nobody listens", () => serve("127.0.0.1:1")],
  [
    "image-serving",
    "images to be served where another program listens",
    () => serve(new URL(options.apiUrl ?? "").host),
  ],
  ["identity-accepted", "a key that was withdrawn", () => http.revoke(`host-${hosts}`)],
  ["driver-options", "an option that there is not", () => drive({ pool: "default" })],
  ["programs", "genisoimage is not installed", () => rm(at("bin/genisoimage"))],
  [
    "cpu-flags",
    "virtualisation is off",
    () => put("proc/cpuinfo", "flags\t\t: fpu sse2\n"),
    ["accelerator"],
  ],
  ["kvm-device", "no /dev/kvm", () => rm(at("dev/kvm"))],
  ["kvm-device", "a /dev/kvm for root alone", () => chmod(at("dev/kvm"), 0o600)],
  [
    "accelerator",
    "a libvirt that offers no hardware",
    () => virsh("domcapabilities) echo 'error: invalid argument' >&2; exit 1;;"),
  ],
  [
    "libvirt",
    "a libvirt that does not answer",
    () => program("virsh", "echo 'error: failed to connect to the hypervisor' >&2; exit 1"),
    ["libvirt-version", "accelerator", "confinement", "spoof-filter"],
  ],
  [
    "libvirt-version",
    "an old libvirt",
    () => virsh("version) echo 'Using library: libvirt 6.0.0';;"),
  ],
  ["libvirt-sockets", "no socket of libvirt", () => rm(at("run/libvirt/libvirt-sock"))],
  ["virtlogd", "no socket of virtlogd", () => rm(at("run/libvirt/virtlogd-sock"))],
  [
    "confinement",
    "AppArmor that libvirt does not use",
    () => virsh("capabilities) echo '<model>none</model>';;"),
  ],
  ["network", "no bridge", () => rm(at("sys/class/net/br0"), { recursive: true })],
  [
    "network",
    "a NIC in the bridge's place",
    () => rm(at("sys/class/net/br0/bridge"), { recursive: true }),
  ],
  ["network", "a bridge that is down", () => put("sys/class/net/br0/operstate", "down\n")],
  [
    "network",
    "a network of libvirt's that is off",
    async () => {
      drive({ network: { kind: "network", name: "default" } });
      await virsh("net-info) echo 'Active:         no';;");
    },
  ],
  ["vlans", "no bridge of a VLAN", () => rm(at("sys/class/net/br100"), { recursive: true })],
  [
    "bandwidth",
    "a kernel without sch_sfq",
    () => put(`lib/modules/${release()}/modules.builtin`, ""),
  ],
  ["spoof-filter", "no filter", () => virsh("nwfilter-list) echo ' 7a1b  no-arp-spoofing';;")],
  [
    "ebtables",
    "ebtables that the kernel refuses",
    () => program("ebtables", "echo 'Permission denied' >&2; exit 1"),
  ],
  ["folders", "a folder that is gone", () => rm(at("trash"), { recursive: true })],
  ["folder-rights", "a disk folder that others write to", () => chmod(at("disks"), 0o777)],
  ["folder-entry", "a disk folder that QEMU cannot enter", () => chmod(at("disks"), 0o700)],
  ["file-rights", "a disk that everybody reads", () => chmod(at(`disks/${STEM}.qcow2`), 0o644)],
  ["free-space", "less space than is kept", () => drive({ reserveDiskMib: 2 ** 40 })],
  ["images", "no image", () => rm(at("images/debian-12.qcow2"))],
  ["images", "an image with a backing file", () => put("images/layer.qcow2", qcow2(true), 0o444)],
  [
    "images",
    "a VM whose image is gone",
    () => desire(aDesiredVm({ image: anImage({ file: "gone" }) })),
  ],
  [
    "image-checksums",
    "an image that was replaced in place",
    () =>
      put(
        "disks/images.json",
        JSON.stringify({
          "debian-12": { state: "1 2 3", sha256: "b".repeat(64), first: "a".repeat(64) },
        }),
      ),
  ],
  [
    "firmware",
    "a VM of an image for UEFI, and no OVMF",
    () => desire(aDesiredVm({ image: anImage({ file: "debian-12", firmware: "uefi" }) })),
  ],
  [
    "selinux-labels",
    "SELinux, and folders that are not labelled",
    async () => {
      await put("sys/fs/selinux/enforce", "1");
      await virsh("capabilities) echo '<model>apparmor</model><model>selinux</model>';;");
      await program("stat", "printf system_u:object_r:default_t:s0");
    },
  ],
];

describe("item 4: a doctor finds", () => {
  test.each(TROUBLES)("%s: %s", async (check, _what, plant, others = []) => {
    await plant();
    const checks = await doctor();
    expect(wrongIn(checks).sort()).toEqual([check, ...others].sort());
    const found = checks.find(({ name }) => name === check);
    expect(found?.fix).not.toBe("");
  });

  test("20 kinds of trouble and more", () => {
    expect(new Set(TROUBLES.map(([check]) => check)).size).toBeGreaterThanOrEqual(20);
  });
});

test("item 4: what cannot be looked at is said to be so, and is not well", async () => {
  await program("virsh", "echo 'error: failed to connect to the hypervisor' >&2; exit 1");
  const filter = (await doctor()).find(({ name }) => name === "spoof-filter");
  expect(filter).toMatchObject({
    ok: false,
    found: expect.stringMatching(/^could not be looked at: libvirt does not answer/),
  });
});

test("item 4: with nothing configured a doctor still ends, and names what is missing", async () => {
  const checks = await doctor({ apiUrl: null, stateDir: null, driver: null });
  expect(checks.find(({ name }) => name === "config-file")).toMatchObject({
    ok: false,
    found: "nothing says api, state-dir, driver",
  });
  expect(checks.find(({ name }) => name === "driver-options")?.ok).toBe(false);
});

test("item 4: --fix mends rights and makes folders, says so of each, and finds nothing to do the next time", async () => {
  await chmod(at("state"), 0o755);
  await chmod(at("disks"), 0o777);
  await chmod(at(`disks/${STEM}.qcow2`), 0o644);
  await rm(at("trash"), { recursive: true });

  expect(wrongIn(await doctor())).toEqual([
    "state-folder",
    "folders",
    "folder-rights",
    "file-rights",
  ]);
  const mended = await doctor({ fix: true });
  expect(wrongIn(mended)).toEqual([]);
  const said = (name: string) => mended.find((check) => check.name === name)?.found;
  expect(said("state-folder")).toContain(`mended now: took ${at("state")} from others`);
  expect(said("folders")).toContain(`mended now: made ${at("trash")} (0700)`);
  expect(said("folder-rights")).toContain(`mended now: took ${at("disks")} from others`);
  expect(said("file-rights")).toContain("mended now: took 1 files from others");
  expect((await stat(at("disks"))).mode & 0o777).toBe(0o771);
  expect(JSON.stringify(await doctor({ fix: true }))).not.toContain("mended now");
});

test("item 4: without --fix a doctor changes nothing", async () => {
  await put("state/spool/000000000001.json", "half a pa");
  await chmod(at("disks"), 0o777);
  await rm(at("trash"), { recursive: true });
  expect(wrongIn(await doctor())).toEqual(["state-files", "folders", "folder-rights"]);
  expect((await stat(at("state/spool/000000000001.json"))).size).toBe(9);
  await expect(stat(at("trash"))).rejects.toThrow("ENOENT");
});

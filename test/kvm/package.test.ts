import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { stringify } from "yaml";
import { bundleAgent } from "#cdk/bundle/bundle.ts";
import type { DesiredVm } from "#core/contracts/agent/desired.ts";
import type { UsageSample } from "#core/contracts/agent/usage.ts";
import { aDesiredVm, eventually } from "#test/drivers/builders.ts";
import { createFakeControlPlane } from "#test/drivers/fake-control-plane.ts";
import { startHttpPlane } from "#test/drivers/http-plane.ts";
import { PATIENCE_MS } from "#test/harness/patience.ts";
import { aReleaseKey, serve } from "#test/harness/release.ts";
import { packArchive, packDeb } from "../../scripts/pack-release.ts";
import { signManifest } from "../../scripts/sign-manifest.ts";
import { fileDigest } from "./guest.ts";
import { type KvmTestHost, openKvmTestHost } from "./host.ts";
import { openGround } from "./libvirt-daemon.ts";
import { type Machine, openMachine } from "./machine.ts";

const ground = await openGround();
const why = ground.available ? "" : ` (skipped: ${ground.reason})`;
const FIRST = "0.1.0";
const HOME = "/var/lib/berth-agent";

/** Each test goes on where the one before it ended: a host's life, from the package to its removal. */
describe.skipIf(!ground.available)(`12.3: the Debian package on real libvirt${why}`, () => {
  let host: KvmTestHost;
  let machine: Machine;
  let folder: string;
  let deb: string;
  let vm: DesiredVm;
  let service: ReturnType<typeof startService>;
  const plane = createFakeControlPlane();
  const closing: (() => unknown)[] = [];
  let releases: Awaited<ReturnType<typeof serve>>;
  let key: Awaited<ReturnType<typeof aReleaseKey>>;
  let apiUrl: string;

  beforeAll(async () => {
    const opened = await openKvmTestHost();
    if (!opened.available) throw new Error(opened.reason);
    host = opened;
    vm = aDesiredVm({ image: host.image });
    folder = await mkdtemp(path.join(tmpdir(), "berth-package-"));
    const http = await startHttpPlane();
    apiUrl = http.add("host", plane);
    releases = await serve(folder);
    machine = await openMachine();
    key = await aReleaseKey();
    closing.push(
      () => rm(folder, { recursive: true }),
      http.close,
      releases.close,
      machine.close,
      host.close,
    );
    plane.session_ = {
      doorbell: null,
      intervals: { resyncSeconds: 2, usageSampleSeconds: 1, usageFlushSeconds: 1 },
      releases: { key: key.x, wanted: null },
    };
  });
  afterAll(async () => {
    await service?.stop();
    for (const close of closing) await close();
  });

  const current = async () =>
    path.basename(await machine.run("readlink", `${HOME}/current`)).trim();
  const note = (name: string) => machine.run("cat", `${HOME}/${name}`).catch(() => "");
  const version = () =>
    plane.reports.findLast((report) => report.facts !== null)?.facts?.agentVersion;
  const until = (what: string, isSo: () => Promise<boolean> | boolean) =>
    eventually(what, async () => isSo(), PATIENCE_MS, 100);
  const samples = () => [...plane.samples.values()].filter(({ vmId }) => vmId === vm.vmId);
  /** Counted on in the same boot, without a gap, while `work` is done. */
  const countsOn = async (work: () => Promise<void>) => {
    const before = samples().length;
    await work();
    const after = samples().length;
    await until("usage comes again", () => samples().length > after + 1);
    expect(samples().length).toBeGreaterThan(before);
    expect(new Set(samples().map(({ bootEpoch }) => bootEpoch)).size).toBe(1);
    expect(gaps(samples())).toEqual([]);
    expect(plane.last(vm.vmId)).toMatchObject({ observed: { power: "running" }, settled: true });
  };
  /** A signed release, whose Node is this test's own, where the server has it. */
  const publish = async (of: string, agentFolder: string): Promise<string> => {
    const node = path.join(folder, "node");
    await writeFile(node, `#!/bin/sh\nexec ${process.execPath} "$@"\n`);
    await chmod(node, 0o755);
    const file = await packArchive({ version: of, agentFolder, node, outDir: folder });
    const name = `berth-agent-${of}.manifest.json`;
    await writeFile(
      path.join(folder, name),
      await signManifest({ version: of, files: [file] }, key),
    );
    return name;
  };
  const want = (of: string, manifest: string) => {
    const wanted = { version: of, manifestUrl: `${releases.url}/${manifest}` };
    plane.session_ = { ...plane.session_, releases: { key: key.x, wanted } };
    // It asks for a session when it starts, and then every few minutes.
    service.restart();
  };

  test("is the same bytes whoever makes it, and is installed with a release that runs", async () => {
    const { folder: agentFolder } = await bundleAgent(path.join(folder, "agent"), FIRST);
    const parts = { version: FIRST, agentFolder, node: process.execPath, outDir: folder };
    const { name } = await packArchive({ ...parts, level: 1 });
    deb = await packDeb(parts, path.join(folder, name));
    const digest = await fileDigest(deb);
    expect(await fileDigest(await packDeb(parts, path.join(folder, name)))).toBe(digest);
    await machine.run("dpkg", "--install", deb);
    expect(await machine.run("berth-agent", "--version")).toBe(`${FIRST}\n`);
    expect(await current()).toBe(FIRST);
    // Of the agent itself dpkg owns the launcher, and what it was unpacked from.
    const owned = (await machine.run("dpkg", "--listfiles", "berth-agent")).split("\n");
    expect(owned.filter((file) => file.startsWith("/var"))).toEqual([]);
    // Nothing is changed by an installation again.
    await machine.run("dpkg", "--install", deb);
    expect([await current(), await note("trial")]).toEqual([FIRST, ""]);
  });

  test("has a unit without a fault, and a manual page that tells every command", async () => {
    const unit = "/usr/lib/systemd/system/berth-agent.service";
    const judged = 'systemd-analyze verify --man=no "$0" 2>&1';
    expect(await machine.run("sh", "-c", judged, unit)).toBe("");
    // Of 10, where 0 is nothing at all: it has 3.9 as root that makes disks and looks at bridges.
    await machine.run("systemd-analyze", "security", "--offline=true", "--threshold=40", unit);
    const page = await machine.run("sh", "-c", "zcat /usr/share/man/man8/berth-agent.8.gz");
    const help = await machine.run("berth-agent", "--help");
    const commands = [...help.matchAll(/^ {2}berth-agent ([a-z]+)/gm)].map(([, name]) => name);
    expect(commands.length).toBeGreaterThan(6);
    expect(commands.filter((name) => !page.includes(`.B ${name}`))).toEqual([]);
  });

  test("enrols, pins the key of releases, and makes the first VM, with no more rights than its unit gives", async () => {
    const config = {
      api: apiUrl,
      stateDir: `${HOME}/state`,
      joinTokenFile: "/etc/berth/join-token",
      driver: "kvm",
      driverOptions: {
        ...host.dirs,
        uri: host.options.uri,
        network: host.options.network,
        emulationAllowed: true,
        reserveDiskMib: 0,
      },
    };
    await put("/etc/berth/agent.yaml", stringify(config));
    await put("/etc/berth/join-token", "a-join-token-for-the-test\n");
    plane.want([vm]);
    const unit = await machine.run("cat", "/usr/lib/systemd/system/berth-agent.service");
    service = startService(machine, unit);
    await until("the guest is up", () => plane.last(vm.vmId)?.observed?.guest != null);
    expect(version()).toBe(FIRST);
    expect(JSON.parse(await note("state/release-key.json"))).toEqual({ key: key.x });
    await countsOn(async () => undefined);
  });

  test("follows the version that staff want, under a guest that notices nothing", async () => {
    const { folder: agentFolder } = await bundleAgent(path.join(folder, "next"), "0.2.0");
    const manifest = await publish("0.2.0", agentFolder);
    await countsOn(async () => {
      want("0.2.0", manifest);
      await until(
        "the new release is kept",
        async () => version() === "0.2.0" && (await note("trial")) === "",
      );
    });
    expect([
      await current(),
      path.basename(await machine.run("readlink", `${HOME}/previous`)).trim(),
    ]).toEqual(["0.2.0", FIRST]);
  });

  test("goes back by hand, takes no older release unasked, and forward by hand again", async () => {
    // 0.2.0 is wanted still: what was taken back by hand stays so.
    const at = path.join(folder, "berth-agent-0.2.0.manifest.json");
    await countsOn(async () => {
      expect(await machine.run("berth-agent", "rollback")).toContain(
        `release ${FIRST} is in place of 0.2.0`,
      );
      service.restart();
      await until("the older one runs", () => version() === FIRST);
    });
    await countsOn(async () => {
      expect(await machine.run("berth-agent", "upgrade", "--to", at)).toContain(
        "release 0.2.0 is in place",
      );
      service.restart();
      await until(
        "the newer one is kept",
        async () => version() === "0.2.0" && (await note("trial")) === "",
      );
    });
    const { folder: older } = await bundleAgent(path.join(folder, "older"), "0.0.9");
    await publish("0.0.9", older);
    const down = path.join(folder, "berth-agent-0.0.9.manifest.json");
    await expect(machine.run("berth-agent", "upgrade", "--to", down)).rejects.toThrow(
      "older than 0.2.0",
    );
    expect(await current()).toBe("0.2.0");
  });

  test("goes back from a release that crashes, tells it, and does not try it again", async () => {
    const broken = path.join(folder, "broken");
    await machine.run("mkdir", broken);
    const program = `if (process.argv[2] !== "--version") process.exit(1);\nconsole.log("0.3.0");\n`;
    await writeFile(path.join(broken, "berth-agent.mjs"), program);
    const manifest = await publish("0.3.0", broken);
    await countsOn(async () => {
      want("0.3.0", manifest);
      await until("it is told", () => told().some(({ detail }) => detail.startsWith("0.3.0")));
    });
    expect(told().at(-1)).toEqual({
      code: "upgrade_failed",
      detail: "0.3.0 was taken back: crashed",
    });
    expect([await current(), version()]).toEqual(["0.2.0", "0.2.0"]);
    const asked = releases.asked.length;
    await countsOn(async () => service.restart());
    expect(releases.asked).toHaveLength(asked);
  });

  test("says what stays when it goes, and leaves VMs, configuration and state as they are", async () => {
    const running = await host.virsh("domstate", vm.vmId);
    const text = await machine.run("berth-agent", "uninstall");
    for (const word of ["left as they are", "virsh list", `${HOME}/state`, "apt-get remove"])
      expect(text).toContain(word);
    await service.stop();
    expect(await machine.run("dpkg", "--remove", "berth-agent")).toContain("left as they are");
    expect((await machine.run("ls", HOME)).trim()).toBe("state");
    await machine.run("dpkg", "--purge", "berth-agent");
    expect(await machine.run("ls", `${HOME}/state`)).toContain("identity.json");
    expect(await host.virsh("domstate", vm.vmId)).toBe(running);
  });

  const told = () => plane.reports.flatMap((report) => report.findings ?? []);
  const put = async (file: string, text: string) => {
    const from = path.join(folder, "text");
    await writeFile(from, text);
    await machine.run("cp", from, file);
  };
});

/** systemd's part: what its unit says of rights, and a new start whenever it ends. */
function startService(machine: Machine, unit: string) {
  const capabilities = (/^CapabilityBoundingSet=(.*)$/m.exec(unit)?.[1] ?? "")
    .split(" ")
    .map((name) => `+${name.replace("CAP_", "").toLowerCase()}`);
  const [, ...words] = (/^ExecStart=(.*)$/m.exec(unit)?.[0] ?? "").replace("=", " ").split(" ");
  const rights = ["--no-new-privs", `--bounding-set=-all,${capabilities.join(",")}`];
  const [program, ...args] = machine.within("setpriv", ...rights, ...words);
  const stopping = new AbortController();
  let child: ChildProcess;
  const running = (async () => {
    while (!stopping.signal.aborted) {
      child = spawn(program, args, { stdio: ["ignore", "ignore", "inherit"] });
      await once(child, "exit");
    }
  })();
  return {
    restart: () => void child.kill("SIGTERM"),
    async stop() {
      stopping.abort();
      child.kill("SIGTERM");
      await running;
    },
  };
}

/** Where one sample does not begin where the one before it ended. */
const gaps = (samples: readonly UsageSample[]) =>
  samples
    .toSorted((a, b) => a.seq - b.seq)
    .flatMap((sample, n, all) => (n > 0 && all[n - 1]?.to !== sample.from ? [sample.seq] : []));

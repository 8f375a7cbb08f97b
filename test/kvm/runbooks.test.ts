import { spawn } from "node:child_process";
import { once } from "node:events";
import { copyFile, mkdir, readFile, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { stringify } from "yaml";
import { aDesiredVm, eventually } from "#test/drivers/builders.ts";
import { createFakeControlPlane, type FakeControlPlane } from "#test/drivers/fake-control-plane.ts";
import { startHttpPlane } from "#test/drivers/http-plane.ts";
import { blocksRunBy } from "#test/harness/runbooks.ts";
import { openKvmTestHost, type KvmTestHost } from "./host.ts";
import { openGround } from "./libvirt-daemon.ts";

/*
 * 5 item 9: the commands of the runbooks, typed as they stand there on a KVM host with an agent. Only where things lie is
 * the test's own: in the place of /var/lib/berth, /var/lib/berth-agent and /etc/berth it has folders of its own.
 */

const MAIN = path.resolve("host-agent/main.ts");
const ground = await openGround();
const skipped = ground.available ? "" : ` (skipped: ${ground.reason})`;

describe.skipIf(!ground.available)(`the runbooks' commands on a KVM host${skipped}`, () => {
  const blocks = Map.groupBy(blocksRunBy(import.meta.filename), ({ page }) => path.basename(page));
  const vm = aDesiredVm();
  let host: KvmTestHost;
  let http: Awaited<ReturnType<typeof startHttpPlane>>;
  let plane: FakeControlPlane;
  let root: string;
  const at = (...parts: string[]) => path.join(root, ...parts);

  beforeAll(async () => {
    const opened = await openKvmTestHost();
    if (!opened.available) throw new Error(opened.reason);
    host = opened;
    root = path.dirname(host.dirs.diskDir);
    http = await startHttpPlane();
    plane = createFakeControlPlane();
    const intervals = { resyncSeconds: 3600, usageSampleSeconds: 3600, usageFlushSeconds: 3600 };
    plane.session_ = { doorbell: null, intervals };
    plane.want([{ ...vm, image: host.image, nics: vm.nics.map(unlimited) }]);
    await mkdir(at("etc"));
    await writeFile(at("etc/join-token"), "a-join-token-for-the-test\n");
    const config = {
      api: http.add("host", plane),
      stateDir: at("agent/state"),
      joinTokenFile: at("etc/join-token"),
      driver: "kvm",
      driverOptions: { ...host.dirs, uri: host.options.uri, network: host.options.network },
      trashHours: 168,
    };
    const emulated = { ...config.driverOptions, emulationAllowed: true };
    await writeFile(at("etc/agent.yaml"), stringify({ ...config, driverOptions: emulated }));
    await mkdir(at("agent"));
  });
  afterAll(async () => {
    await http.close();
    await host.close();
  });

  /** The control plane is in this process, so nothing here may wait for a program without letting go. */
  const start = (program: string, args: readonly string[], env: NodeJS.ProcessEnv = {}) => {
    const child = spawn(program, args, {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...env },
    });
    const said = { out: "", err: "" };
    child.stdout.on("data", (chunk: Buffer) => (said.out += chunk.toString()));
    child.stderr.on("data", (chunk: Buffer) => (said.err += chunk.toString()));
    const ended = once(child, "close").then(([code]: unknown[]) => ({ code, ...said }));
    return { child, ended };
  };
  const agent = (command = "run") =>
    start(process.execPath, [MAIN, command, "--config", at("etc/agent.yaml")]);
  const whole = () => eventually("the VM runs", () => plane.last(vm.vmId)?.settled);

  /** All blocks of a page. A line may end with 1, as a doctor does who found something; no other failure is passed over. */
  async function typed(page: string, before = ""): Promise<string> {
    const lines = (blocks.get(page) ?? []).map(({ text }) =>
      text
        .replaceAll("/var/lib/berth-agent", at("agent"))
        .replaceAll("/var/lib/berth", root)
        .replaceAll("/etc/berth", at("etc")),
    );
    expect(lines.length).toBeGreaterThan(0);
    const script = `trap 'code=$?; [ $code -le 1 ] || exit $code' ERR
cd "$FOLDER"
berth-agent() { "$NODE" "$MAIN" "$@" --config "$CONFIG"; }
${before}
${lines.join("\n")}`;
    const env = { NODE: process.execPath, MAIN, CONFIG: at("etc/agent.yaml"), FOLDER: root };
    const words = ["--net", "bash", "-uo", "pipefail", "-c", script];
    // What is said of bridges is done in a network of its own, which is gone with it.
    const ran = before === "" ? start("bash", words.slice(2), env) : start("unshare", words, env);
    const { code, out, err } = await ran.ended;
    expect([code === 0 || code === 1, err]).toEqual([true, ""]);
    return out;
  }

  test("a disk that is full: what takes it, what stands on which image, the trash", async () => {
    const running = agent();
    await whole();
    const said = await typed("disk-full.md");
    expect(said).toContain(host.dirs.diskDir);
    expect(said).toMatch(/\.qcow2 on .*images\/tiny\.qcow2/);
    expect(await readFile(at("etc/agent.yaml"), "utf8")).toContain("trashHours: 24\n");
    running.child.kill("SIGTERM");
    expect((await running.ended).code).toBe(0);
  });

  test("a host from its bridges to its image", async () => {
    await copyFile(path.join(host.dirs.imageDir, "tiny.qcow2"), at("debian-13-a.qcow2"));
    const said = await typed(
      "kvm-host.md",
      "ip link add eno1 type veth peer name far\nip link set eno1 up",
    );
    expect(said).toContain("file format: qcow2");
    const image = path.join(host.dirs.imageDir, "debian-13-a.qcow2");
    expect((await stat(image)).mode & 0o777).toBe(0o444);
  });

  test("an image that disks stand on", async () => {
    expect(await typed("images.md")).toMatch(/^backing file: .*images\/tiny\.qcow2\n/);
  });

  test("a clock that is wrong: how far it is off", async () => {
    expect(await typed("clock-wrong.md")).toMatch(/^(true|false): .*\n$/);
  });

  test("an agent that does not start, as a file of its state is damaged", async () => {
    await writeFile(at("agent/state/desired-2.json"), "{");
    expect(await agent().ended).toMatchObject({
      code: 4,
      err: expect.stringContaining("desired-2.json"),
    });
    const said = await typed("agent-does-not-start.md");
    expect(said).toContain("no agent runs on");
    const told = plane.reports.length;
    const again = agent();
    await eventually("it works", () => plane.reports.length > told);
    expect((await agent("status").ended).code).toBe(0);
    again.child.kill("SIGTERM");
    expect((await again.ended).code).toBe(0);
  });
});

const unlimited = <T extends { bandwidthMbit: number | null }>(nic: T): T => ({
  ...nic,
  bandwidthMbit: null,
});

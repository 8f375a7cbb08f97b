import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import packageJson from "../../package.json" with { type: "json" };
import { aDesiredVm, eventually } from "./builders.ts";
import { createFakeControlPlane, type FakeControlPlane } from "./fake-control-plane.ts";
import { startHttpPlane } from "./http-plane.ts";

/* What an operator does with the program itself: its config file, `status`, `doctor`, SIGHUP. */
const MAIN = path.join(import.meta.dirname, "../../host-agent/main.ts");

let folder: string;
let http: Awaited<ReturnType<typeof startHttpPlane>>;
let plane: FakeControlPlane;
let apiUrl: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "berth-operator-"));
  http = await startHttpPlane();
  plane = createFakeControlPlane();
  apiUrl = http.add("host", plane);
  // So long that a pass is made when somebody asks for one, and at the start.
  const intervals = { resyncSeconds: 3600, usageSampleSeconds: 3600, usageFlushSeconds: 3600 };
  plane.session_ = { doorbell: null, intervals };
  await writeFile(at("token"), "a-join-token-for-the-test\n");
});
afterEach(async () => {
  await http.close();
  await rm(folder, { recursive: true, force: true });
});

const at = (name: string) => path.join(folder, name);
const configure = (more: string) =>
  writeFile(
    at("agent.yaml"),
    `api: ${apiUrl}
stateDir: ${at("state")}
driver: simulated
driverOptions: { world: ${at("world")}, delays: off }
joinTokenFile: ${at("token")}
${more}`,
  );

function agent(...args: readonly string[]) {
  const all = [MAIN, ...args, "--config", at("agent.yaml")];
  const child = spawn(process.execPath, all, { stdio: ["ignore", "pipe", "pipe"] });
  const told = { out: "", err: "" };
  child.stdout.on("data", (chunk: Buffer) => (told.out += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (told.err += chunk.toString()));
  const ended = once(child, "close").then(([code]: unknown[]) => ({ code, ...told }));
  return { child, told, ended };
}

type Checks = { checks: { name: string; ok: boolean; found: string }[] };
/** Agents of other tests run on this machine meanwhile. */
const wrongIn = (out: string) => {
  const { checks }: Checks = JSON.parse(out);
  return checks.filter(({ ok, name }) => !ok && name !== "one-agent").map(({ name }) => name);
};

test("item 4: an agent runs by its config file; status and doctor tell of it beside it, and of one that has ended", async () => {
  const vm = aDesiredVm();
  plane.want([vm]);
  await configure("");
  const before = await agent("status").ended;
  expect([before.code, before.err]).toEqual([1, ""]);
  expect(before.out).toContain(`no agent runs on ${at("state")}`);

  const running = agent("run");
  await eventually("the VM runs", () => plane.last(vm.vmId)?.settled);
  const status = async () => JSON.parse((await agent("status", "--json").ended).out);
  await eventually("its report is noted", async () => (await status()).vms.running === 1);
  expect(await status()).toMatchObject({
    running: true,
    hostId: plane.hostId,
    api: apiUrl,
    driver: "simulated",
    version: packageJson.version,
    pid: running.child.pid,
    generation: 1,
    reportError: null,
    spool: { refusedPages: 0 },
    faults: [],
  });

  const well = await agent("doctor", "--json").ended;
  expect([wrongIn(well.out), well.err]).toEqual([[], ""]);
  expect(running.child.exitCode).toBeNull();

  running.child.kill("SIGTERM");
  expect((await running.ended).code).toBe(0);
  const after = await agent("status").ended;
  expect([after.code, after.out]).toEqual([
    1,
    expect.stringMatching(/^no agent runs on .*; what the last one left:\n/),
  ]);
  expect(after.out).toContain("1 running");
  const ill = await agent("doctor", "--json").ended;
  expect([ill.code, wrongIn(ill.out)]).toEqual([1, ["agent-running"]]);
});

test("item 4: SIGHUP reads the config file again: limits change, a bad file changes nothing, the rest is said to need a restart", async () => {
  const vm = aDesiredVm();
  plane.want([vm]);
  await configure("destroysPerHour: 0\n");
  const running = agent("run");
  await eventually("the VM runs", () => plane.last(vm.vmId)?.settled);
  const lines = (event: string) =>
    running.told.out
      .split("\n")
      .filter((line) => line.includes(`"event":"${event}"`))
      .map((line): Record<string, unknown> => JSON.parse(line));

  await configure("destroysPerHour: many\n");
  running.child.kill("SIGHUP");
  await eventually("the bad file is told", () => lines("config_not_reloaded").length === 1);
  expect(lines("config_not_reloaded")[0]?.["error"]).toContain(
    `${at("agent.yaml")}:6: destroysPerHour: `,
  );

  await configure("destroysPerHour: 3\n");
  running.child.kill("SIGHUP");
  await eventually("the good file is told", () => lines("config_reloaded").length === 1);
  expect(lines("config_reloaded")[0]).toMatchObject({
    changed: ["destroysPerHour"],
    needs_restart: [],
  });

  // Of the agent that was started, and not of the file before: it is told as long as it differs.
  const started = apiUrl;
  apiUrl = `${apiUrl}/elsewhere`;
  await configure("destroysPerHour: 3\nlogLevel: error\n");
  running.child.kill("SIGHUP");
  await eventually("the restart is told", () => lines("config_reloaded").length === 2);
  expect(lines("config_reloaded")[1]).toMatchObject({
    changed: ["logLevel"],
    needs_restart: ["api"],
  });
  apiUrl = started;
  running.child.kill("SIGTERM");
  const { code, out } = await running.ended;
  expect(code).toBe(0);
  // Errors alone, from the last file on.
  expect(out).not.toContain("agent_stopped");
});

test("item 4: a mistake in the file ends any command but the doctor, with its path and line", async () => {
  await configure("concurency: 4\n");
  const { code, err } = await agent("run").ended;
  expect([code, err]).toEqual([
    2,
    `berth-agent: ${at("agent.yaml")}:6: concurency: there is no such key\n`,
  ]);
  const told = await agent("doctor", "--json").ended;
  expect(told.code).toBe(1);
  expect(wrongIn(told.out)).toContain("config-file");
});

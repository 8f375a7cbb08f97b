import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { startFauxqs } from "fauxqs";
import { CreateQueueCommand, SendMessageCommand, SQSClient } from "@aws-sdk/client-sqs";
import { afterEach, beforeEach, expect, test } from "vitest";
import packageJson from "../../package.json" with { type: "json" };
import { PATIENCE_MS } from "#test/harness/patience.ts";
import { aDesiredVm, eventually } from "./builders.ts";
import { createFakeControlPlane, type FakeControlPlane } from "./fake-control-plane.ts";
import { startHttpPlane } from "./http-plane.ts";

const MAIN = path.join(import.meta.dirname, "../../host-agent/main.ts");

let folder: string;
let http: Awaited<ReturnType<typeof startHttpPlane>>;
let plane: FakeControlPlane;
let apiUrl: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "berth-agent-"));
  http = await startHttpPlane();
  plane = createFakeControlPlane();
  apiUrl = http.add("host", plane);
  await writeFile(path.join(folder, "token"), "a-join-token-for-the-test\n");
});
afterEach(async () => {
  await http.close();
  await rm(folder, { recursive: true, force: true });
});

const at = (name: string) => path.join(folder, name);
const here = () => {
  const place = ["--api", apiUrl, "--state-dir", at("state"), "--driver", "simulated"];
  return [...place, "--driver-option", `world=${at("world")}`, "--driver-option", "delays=off"];
};

function agent(...args: readonly string[]) {
  const child = spawn(process.execPath, [MAIN, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  const told = { out: "", err: "" };
  child.stdout.on("data", (chunk: Buffer) => (told.out += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (told.err += chunk.toString()));
  const ended = once(child, "close").then(([code]: unknown[]) => ({ code, ...told }));
  return { child, told, ended };
}

test("berth-agent explains itself", async () => {
  expect(await agent("--help").ended).toMatchObject({
    code: 0,
    out: expect.stringContaining("berth-agent run"),
  });
  expect(await agent("--version").ended).toMatchObject({
    code: 0,
    out: `${packageJson.version}\n`,
  });
});

test.each([
  [[], "say run, enroll, status, doctor, selftest"],
  [["selftest", "--driver", "hyperv"], "--image is needed"],
  [["selftest", "--driver", "simulated", "--image", "tiny"], "has no self-test"],
  [["run"], "--api is needed"],
  [["run", "--api", "ftp://x"], "not an http(s) URL"],
  [
    ["run", "--api", "http://127.0.0.1:9", "--driver", "xen"],
    "--driver is one of kvm, hyperv, simulated",
  ],
  [["run", "--nonsense"], "--nonsense"],
])("berth-agent %j is wrong use, told in one line", async (args, message) => {
  const { code, err } = await agent(...args).ended;
  expect(code).toBe(2);
  expect(err).toMatch(/^berth-agent: [^\n]*\n$/);
  expect(err).toContain(message);
});

test("a driver option that is missing or wrong is named", async () => {
  const args = ["--api", apiUrl, "--state-dir", at("state"), "--driver", "simulated"];
  expect((await agent("run", ...args).ended).err).toContain("world");
  await writeFile(at("driver.json"), JSON.stringify({ world: at("world"), delays: "often" }));
  const { code, err } = await agent("run", ...args, "--driver-config", at("driver.json")).ended;
  expect([code, err]).toEqual([2, expect.stringContaining("driver options: delays")]);
});

test("a host that is not enrolled, or was replaced, says so and ends", async () => {
  expect(await agent("run", ...here()).ended).toMatchObject({
    code: 3,
    err: "berth-agent: this host is not enrolled: give --join-token-file\n",
  });
  expect(await agent("enroll", ...here(), "--join-token-file", at("token")).ended).toMatchObject({
    code: 0,
    err: "",
  });
  const identity = await stat(at("state/identity.json"));
  expect((identity.mode & 0o777).toString(8)).toBe("600");
  http.revoke("host");
  expect(await agent("run", ...here()).ended).toMatchObject({
    code: 3,
    err: "berth-agent: identity_revoked\n",
  });
});

test("a corrupt state file is one clear error, and nothing is done", async () => {
  await agent("enroll", ...here(), "--join-token-file", at("token")).ended;
  await mkdir(at("state"), { recursive: true });
  await writeFile(at("state/desired-2.json"), '{"hostId":');
  plane.want([aDesiredVm()]);
  expect(await agent("run", ...here()).ended).toMatchObject({
    code: 4,
    err: "berth-agent: the agent's state file desired-2.json is corrupt: restore it or delete it\n",
  });
  expect(plane.reports).toEqual([]);
});

test("a running agent answers its queue's doorbell, keeps others off its state, and ends with 0 on SIGTERM", async () => {
  const sqs = await startFauxqs({ port: 0, logger: false });
  const region = "us-east-1";
  const credentials = { accessKeyId: "test", secretAccessKey: "test" };
  const endpoint = `http://127.0.0.1:${sqs.port}`;
  const client = new SQSClient({ region, endpoint, credentials: { ...credentials } });
  await client.send(new CreateQueueCommand({ QueueName: "berth-host-test" }));
  // As the embedded SQS names it, but reached by address.
  const queueUrl = `${endpoint}/000000000000/berth-host-test`;
  plane.session_ = {
    doorbell: {
      queueUrl,
      region,
      credentials: {
        ...credentials,
        sessionToken: null,
        expiresAt: new Date(Date.now() + 3_600_000).toISOString(),
      },
    },
    // So long that only the doorbell can be what woke it.
    intervals: { resyncSeconds: 3600, usageSampleSeconds: 3600, usageFlushSeconds: 3600 },
  };
  const running = agent("run", ...here(), "--join-token-file", at("token"));
  await eventually("the first report", () => plane.reports.length > 0);
  expect(await agent("run", ...here()).ended).toMatchObject({
    code: 5,
    err: expect.stringMatching(/^berth-agent: another agent works on .*\n$/),
  });

  const vm = aDesiredVm();
  plane.want([vm]);
  const ring = (body: unknown) =>
    client.send(new SendMessageCommand({ QueueUrl: queueUrl, MessageBody: JSON.stringify(body) }));
  await ring({ hostId: plane.hostId, generation: 1 });
  await eventually("the VM runs", () => plane.last(vm.vmId)?.settled, PATIENCE_MS, 1);
  await eventually("the doorbell is deleted", () => {
    const { ready, inflight } = sqs.inspectQueue("berth-host-test")?.messages ?? {};
    return ready?.length === 0 && inflight?.length === 0;
  });

  running.child.kill("SIGTERM");
  const { code, err, out } = await running.ended;
  expect([code, err]).toEqual([0, ""]);
  expect(out.trimEnd().split("\n").at(-1)).toContain('"event":"agent_stopped"');
  // Its log is for machines, and holds no secret.
  const key = await readFile(at("state/identity.json"), "utf8");
  const secret = /"d":"([^"]+)"/.exec(key)?.[1] ?? "none";
  expect(out).not.toContain(secret);
  client.destroy();
  await sqs.stop();
});

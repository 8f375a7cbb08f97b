import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect, test } from "vitest";
import { configFileOf, parseCommand } from "./cli.ts";
import { compareOptions } from "./compare-options.ts";
import { DEFAULT_CONFIG, parseConfig, readConfigFile } from "./config-file.ts";

const FILE = "/etc/berth/agent.yaml";
const faultsOf = (text: string) => parseConfig(FILE, text).faults;

test("item 4: the documented example is well-formed, and everything in it arrives", async () => {
  const { values, faults } = await readConfigFile(
    path.join(import.meta.dirname, "../docs/agent.example.yaml"),
    true,
  );
  expect(faults).toEqual([]);
  expect(parseCommand(["run"], {}, { path: FILE, values, faults, isThere: true })).toEqual({
    name: "run",
    apiUrl: "https://api.example.com",
    stateDir: "/var/lib/berth-agent/state",
    driver: "kvm",
    fileOptions: values.driverOptions,
    driverConfigFile: null,
    driverOptions: {},
    joinTokenFile: "/etc/berth/join-token",
    logLevel: "info",
    metricsListen: { host: "127.0.0.1", port: 9109 },
    // 12.7: no host is open to others unless that is asked for.
    serveImages: null,
    moves: null,
    settings: { destroysPerHour: 20, concurrency: 8, trashHours: 168 },
  });
});

test("12.7: the example's words for serving images are well-formed when they are let in, and have their defaults", async () => {
  const example = path.join(import.meta.dirname, "../docs/agent.example.yaml");
  const text = (await readFile(example, "utf8")).replaceAll(/^# (?=serveImages:|moves:| )/gm, "");
  const serving = (of: string) => {
    const { values, faults } = parseConfig(FILE, of);
    expect(faults).toEqual([]);
    const config = { path: FILE, values, faults, isThere: true };
    return parseCommand(
      ["run", "--driver", "kvm", "--api", "https://a", "--state-dir", "/s"],
      {},
      config,
    );
  };
  const serveImages = { address: "10.0.0.5", port: 9110, mbitPerSecond: 400, hostsAtOnce: 2 };
  expect(serving(text)).toMatchObject({ serveImages });
  expect(serving("serveImages: { listen: 10.0.0.5:9110 }")).toMatchObject({ serveImages });
  expect(serving('serveImages: { listen: "[FD00:0::5]:9110" }')).toMatchObject({
    serveImages: { ...serveImages, address: "fd00::5" },
  });
});

test("the example's words for moves are well-formed when they are let in, and have their defaults", async () => {
  const example = path.join(import.meta.dirname, "../docs/agent.example.yaml");
  const text = (await readFile(example, "utf8")).replaceAll(/^# (?=serveImages:|moves:| )/gm, "");
  const options = (of: string) => {
    const { values, faults } = parseConfig(FILE, of);
    expect(faults).toEqual([]);
    const config = { path: FILE, values, faults, isThere: true };
    const words = ["run", "--driver", "kvm", "--api", "https://a", "--state-dir", "/s"];
    return parseCommand(words, {}, config);
  };
  const moves = { address: "10.0.0.5", port: 9111, mbitPerSecond: 800, atOnce: 2 };
  expect(options(text)).toMatchObject({ moves });
  expect(options("moves: { listen: 10.0.0.5:9111 }")).toMatchObject({
    moves: { ...moves, mbitPerSecond: null },
  });
});

const open = (listen: string) => `serveImages:\n  listen: ${JSON.stringify(listen)}\n`;
test.each<readonly [string, string]>([
  ...[
    "0.0.0.0:9110",
    "9110",
    "127.0.0.1:9110",
    "[::]:9110",
    "host.example:9110",
    "10.0.0.5",
    "10.0.0.5:0",
  ].map((listen) => [open(listen), `${FILE}:2: serveImages.listen: it is ADDRESS:PORT`] as const),
  [`${open("10.0.0.5:9110")}  mbitPerSecond: 1\n`, `${FILE}:3: serveImages.mbitPerSecond: `],
  [`${open("10.0.0.5:9110")}  hostsAtOnce: 0\n`, `${FILE}:3: serveImages.hostsAtOnce: `],
  ["serveImages: {}\n", `${FILE}:1: serveImages.listen: `],
  ["moves: {}\n", `${FILE}:1: moves.listen: `],
  ["moves:\n  listen: 0.0.0.0:9111\n", `${FILE}:2: moves.listen: it is ADDRESS:PORT`],
  ["moves:\n  listen: 10.0.0.5:9111\n  atOnce: 0\n", `${FILE}:3: moves.atOnce: `],
  ["api: https://a.example\nconcurency: 4\n", `${FILE}:2: concurency: there is no such key`],
  ["# the host\n\nconcurrency: 0\n", `${FILE}:3: concurrency: `],
  ["metricsListen: everywhere\n", `${FILE}:1: metricsListen: it is a port`],
  ["driver: xen\n", `${FILE}:1: driver: `],
  ["api: http://api.example.com\n", `${FILE}:1: api: is plain http to another machine`],
  [
    "driver: kvm\ndriverOptions:\n  uri: qemu:///system\n  pool: a\n",
    `${FILE}:4: driverOptions.pool: there is no such key`,
  ],
  [
    "driver: kvm\ndriverOptions:\n  network:\n    kind: bridge\n    name: 7\n",
    `${FILE}:5: driverOptions.network.name: `,
  ],
  ["api: https://a.example\napi: https://b.example\n", `${FILE}:2: `],
  ["api: [\n", `${FILE}:`],
  ["- api\n", `${FILE}:1: file: `],
])("item 4: of the mistake in %j the path and the line are told", (text, fault) => {
  const { values, faults } = parseConfig(FILE, text);
  expect(faults[0]).toContain(fault);
  // Nobody goes by half a file.
  expect(values).toEqual({});
});

test("item 4: what the file leaves out of the driver's options may come from elsewhere, and an empty file says nothing", () => {
  expect(faultsOf("driver: kvm\ndriverOptions:\n  uri: qemu:///system\n")).toEqual([]);
  expect(faultsOf("")).toEqual([]);
  expect(faultsOf("# nothing yet\n")).toEqual([]);
});

test("item 4: the command line wins over the environment, and both over the file", () => {
  const values = {
    api: "https://file.example",
    stateDir: "/file",
    driver: "simulated",
    concurrency: 3,
    destroysPerHour: 5,
  } as const;
  const config = { path: FILE, values, faults: [], isThere: true };
  const env = { BERTH_AGENT_API: "https://env.example", BERTH_AGENT_STATE_DIR: "/env" };
  expect(
    parseCommand(["run", "--state-dir", "/line", "--concurrency", "4"], env, config),
  ).toMatchObject({
    apiUrl: "https://env.example",
    stateDir: "/line",
    driver: "simulated",
    settings: { concurrency: 4, destroysPerHour: 5 },
  });
});

test("item 4: a file that is named must be there, and the default one need not", async () => {
  expect(configFileOf(["run"], {})).toEqual({ path: DEFAULT_CONFIG, must: false });
  expect(configFileOf(["run"], { BERTH_AGENT_CONFIG: "/e" })).toEqual({ path: "/e", must: true });
  expect(configFileOf(["run", "--config", "/c"], {})).toEqual({ path: "/c", must: true });
  const folder = await mkdtemp(path.join(tmpdir(), "berth-config-"));
  const file = path.join(folder, "agent.yaml");
  expect(await readConfigFile(file, false)).toMatchObject({ isThere: false, faults: [] });
  expect((await readConfigFile(file, true)).faults[0]).toContain(`${file}: cannot be read`);
  await writeFile(file, "concurrency: 2\n");
  expect(await readConfigFile(file, true)).toMatchObject({
    values: { concurrency: 2 },
    faults: [],
  });
  await rm(folder, { recursive: true });
});

test("item 4: a file with a fault is wrong use for everybody but the doctor, who tells of it", () => {
  const config = { path: FILE, values: {}, faults: [`${FILE}:2: x`], isThere: true };
  expect(() => parseCommand(["run"], {}, config)).toThrow(`${FILE}:2: x`);
  expect(parseCommand(["doctor", "--json"], {}, config)).toMatchObject({
    name: "doctor",
    json: true,
    apiUrl: null,
    config,
  });
});

test("item 4: of a file that is read again it is told what changed, and what needs a restart", () => {
  const run = (values: object) => {
    const all = { api: "https://a.example", stateDir: "/s", driver: "kvm", ...values } as const;
    const command = parseCommand(
      ["run"],
      {},
      { path: FILE, values: all, faults: [], isThere: true },
    );
    if (command.name !== "run") throw new Error("not a run");
    return command;
  };
  const started = run({ driverOptions: { imageDir: "/images" } });
  const second = run({ driverOptions: { imageDir: "/other" }, concurrency: 2, logLevel: "error" });
  expect(compareOptions(started, started, second)).toEqual({
    changed: ["concurrency", "logLevel"],
    needsRestart: ["driverOptions"],
  });
  // Read a third time: nothing is new, and the images folder still waits for its restart.
  expect(compareOptions(second, started, second)).toEqual({
    changed: [],
    needsRestart: ["driverOptions"],
  });
});

import { describe, expect, test } from "vitest";
import { parseCommand, USAGE } from "./cli.ts";

const REST = ["--state-dir", "/s", "--driver", "simulated"];
const api = (url: string) => parseCommand(["run", "--api", url, ...REST], {});

describe("4b B7: the control plane's address", () => {
  test.each([
    "https://api.example.com",
    "https://192.0.2.1:8443/berth",
    "http://127.0.0.1:8787",
    "http://127.9.9.9",
    "http://localhost:8787",
    "http://[::1]:8787",
  ])("may be %s", (url) => {
    expect(api(url)).toMatchObject({ apiUrl: url });
  });

  test.each([
    "http://api.example.com",
    "http://192.0.2.1:8787",
    "http://localhost.example.com",
    "http://127.0.0.1.example.com",
    "http://127.0.0.1@example.com",
    "http://[::2]",
    "http://0.0.0.0:8787",
  ])("may not be %s: anybody between could read and change what is sent", (url) => {
    expect(() => api(url)).toThrow(/plain http to another machine.*use https/);
  });

  // 5 item 5
  test("is where metrics are served only when that is asked for, and then on loopback unless another is named", () => {
    const served = (...args: string[]) =>
      parseCommand(["run", "--api", "https://api.example.com", ...REST, ...args], {});
    expect(served()).toMatchObject({ metricsListen: null });
    const loopback = { host: "127.0.0.1", port: 9109 };
    expect(served("--metrics-listen", "9109")).toMatchObject({ metricsListen: loopback });
    expect(() => served("--metrics-listen", "on")).toThrow(/--metrics-listen is a port/);
  });

  test("comes from the environment under the same rule, and --help says so", () => {
    const env = { BERTH_AGENT_API: "http://api.example.com" };
    expect(() => parseCommand(["run", ...REST], env)).toThrow(/use https/);
    expect(USAGE).toContain("https only");
  });
});

test("12.3: upgrade, rollback and uninstall say what they need, and nothing of the driver", () => {
  const place = ["--state-dir", "/s"];
  const upgrade = (...args: string[]) => parseCommand(["upgrade", ...place, ...args], {});
  const to = { name: "upgrade", stateDir: "/s", to: "m.json" };
  expect(upgrade("--to", "m.json")).toEqual({ ...to, allowDowngrade: false });
  expect(upgrade("--to", "m.json", "--allow-downgrade")).toEqual({ ...to, allowDowngrade: true });
  expect(upgrade("--packaged", "/d")).toEqual({ name: "upgrade", stateDir: "/s", packaged: "/d" });
  expect(() => upgrade()).toThrow("--to is needed");
  expect(() => upgrade("--to", "m.json", "--packaged", "/d")).toThrow("--to");
  expect(() => parseCommand(["upgrade", "--to", "m.json"], {})).toThrow("--state-dir is needed");
  expect(() => parseCommand(["status", ...place, "--to", "m.json"], {})).toThrow("for upgrade");
  expect(parseCommand(["rollback"], {})).toEqual({ name: "rollback" });
  expect(parseCommand(["uninstall"], {})).toMatchObject({ name: "uninstall", stateDir: null });
});

import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openReleaseHome, type ReleaseHome } from "./release-home.ts";
import { keepRelease, oldestOf, takeBack, takeRelease } from "./swap.ts";

const LAUNCHER = path.join(import.meta.dirname, "../../packaging/linux/launcher");

let folder: string;
let home: ReleaseHome;
beforeEach(async () => {
  folder = mkdtempSync(path.join(tmpdir(), "berth-home-"));
  home = openReleaseHome(folder);
  for (const version of ["0.1.0", "0.2.0"]) plant(version);
  await takeRelease(home, { version: "0.1.0" }, true);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** A release whose program says its version and what it was given, and exits with what `exit` in its folder says. */
function plant(version: string): void {
  const at = home.releaseFolder(version);
  mkdirSync(at, { recursive: true });
  writeFileSync(
    path.join(at, "node"),
    `#!/bin/sh\nwhile [ "$1" != run ]; do shift; done\necho ${version} "$@"\n`,
    { mode: 0o755 },
  );
  writeFileSync(path.join(at, "berth-agent.mjs"), "//");
}

/** One start by the launcher: the version that it started. */
function start(more: NodeJS.ProcessEnv = {}): string {
  const env = {
    ...process.env,
    BERTH_AGENT_HOME: folder,
    BERTH_AGENT_TRIAL_SECONDS: "60",
    ...more,
  };
  return execFileSync("sh", [LAUNCHER, "run", "--x"], { env, encoding: "utf8" }).trim();
}

/** The same home, whose power fails at its nth change. */
function failing(at: number): ReleaseHome {
  let changes = 0;
  const count = () => {
    if (++changes === at) throw new Error("power cut");
  };
  return {
    ...home,
    point: async (...args) => {
      count();
      await home.point(...args);
    },
    write: async (...args) => {
      count();
      await home.write(...args);
    },
    remove: async (...args) => {
      count();
      await home.remove(...args);
    },
  };
}

describe.skipIf(process.platform === "win32")("12.3: a release is swapped", () => {
  test("and the launcher starts it, and it alone, with the words that it was given", async () => {
    expect(start()).toBe("0.1.0 run --x");
    await takeRelease(home, { version: "0.2.0" }, true);
    expect(start()).toBe("0.2.0 run --x");
    expect(readlinkSync(path.join(folder, "previous"))).toBe("releases/0.1.0");
  });

  test.each([1, 2, 3])(
    "or not, when the power fails at step %i, and a next try does it",
    async (step) => {
      await expect(takeRelease(failing(step), { version: "0.2.0" }, true)).rejects.toThrow("power");
      expect(start()).toBe("0.1.0 run --x");
      expect(await home.read("trial")).toBeNull();
      await takeRelease(home, { version: "0.2.0" }, true);
      expect(start()).toBe("0.2.0 run --x");
    },
  );

  test.each([1, 2, 3])("back, whenever the power fails (step %i)", async (step) => {
    await takeRelease(home, { version: "0.2.0" }, true);
    await expect(takeBack(failing(step), "no_pass")).rejects.toThrow("power");
    // On trial still, or back: what starts then works, and a next try ends it.
    const now = await home.version("current");
    expect(start()).toBe(`${now} run --x`);
    if (now === "0.2.0") await takeBack(home, "no_pass");
    expect(start()).toBe("0.1.0 run --x");
    expect(await home.read("trial")).toBeNull();
    expect(await home.read("failed")).toEqual(["0.2.0", "no_pass"]);
  });

  test("back by the launcher when it was started three times and is not kept", async () => {
    await takeRelease(home, { version: "0.2.0", oldest: "0.1.0" }, false);
    for (const n of [1, 2, 3]) {
      expect(start()).toBe("0.2.0 run --x");
      expect(await home.read("trial")).toEqual(["0.2.0", String(n), "no", "0.1.0"]);
    }
    expect(start()).toBe("0.1.0 run --x");
    expect(await home.read("failed")).toEqual(["0.2.0", "crashed"]);
    expect(await home.read("trial")).toBeNull();
    for (let n = 0; n < 5; n++) expect(start()).toBe("0.1.0 run --x");
  });

  test("back by the launcher when it hangs", async () => {
    await takeRelease(home, { version: "0.2.0" }, true);
    writeFileSync(path.join(home.releaseFolder("0.2.0"), "node"), "#!/bin/sh\nexec sleep 1000\n");
    const env = { ...process.env, BERTH_AGENT_HOME: folder, BERTH_AGENT_TRIAL_SECONDS: "0.2" };
    expect(spawnSync("sh", [LAUNCHER, "run"], { env }).signal).toBe("SIGKILL");
    expect(start()).toBe("0.1.0 run --x");
    expect(await home.read("failed")).toEqual(["0.2.0", "hung"]);
  });

  test("and a kept one is watched no longer, and those before the one before go", async () => {
    await takeRelease(home, { version: "0.2.0", oldest: "0.1.0" }, true);
    await keepRelease(home);
    plant("0.3.0");
    await takeRelease(home, { version: "0.3.0" }, true);
    expect(start()).toBe("0.3.0 run --x");
    await keepRelease(home);
    for (let n = 0; n < 5; n++) expect(start()).toBe("0.3.0 run --x");
    expect(readdirSync(path.join(folder, "releases")).toSorted()).toEqual(["0.2.0", "0.3.0"]);
    expect(await oldestOf(home)).toBe("0.1.0");
    expect(await takeBack(home, "by_hand")).toBe("0.2.0");
    await expect(takeBack(home, "by_hand")).rejects.toMatchObject({ code: "no_previous" });
  });

  test("without a trial where there is none before it, since there is nothing to go back to", async () => {
    expect(await home.read("trial")).toBeNull();
    for (let n = 0; n < 5; n++) expect(start()).toBe("0.1.0 run --x");
  });

  test("and one whose files are gone does not keep the host from the one before", async () => {
    await takeRelease(home, { version: "0.2.0" }, true);
    await keepRelease(home);
    rmSync(path.join(home.releaseFolder("0.2.0"), "node"));
    for (let n = 0; n < 2; n++) expect(start()).toBe("0.1.0 run --x");
    expect(await home.version("current")).toBe("0.1.0");
    expect(await home.read("failed")).toEqual(["0.2.0", "broken"]);
  });
});

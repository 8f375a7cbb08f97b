import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { fileStore } from "#host-agent/state/state-store.ts";
import { createVirtualClock } from "#test/drivers/virtual-clock.ts";
import { aReleaseKey, makeRelease } from "#test/harness/release.ts";
import { rollBackByHand, takePackaged, upgradeByHand } from "./by-hand.ts";
import { openReleaseHome, type ReleaseHome } from "./release-home.ts";
import { pinAtEnrolment } from "./release-key.ts";
import { keepRelease, takeRelease } from "./swap.ts";

const key = await aReleaseKey();
const refusal = (code: string) => expect.objectContaining({ code });

describe.skipIf(process.platform !== "linux")("12.3: an operator's upgrade", () => {
  let folder: string;
  let home: ReleaseHome;
  let restarts: number;
  let said: string[];
  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "berth-home-"));
    home = openReleaseHome(folder);
    [restarts, said] = [0, []];
    await plant(home.releaseFolder("0.2.0"));
    await takeRelease(home, { version: "0.2.0" }, true);
  });
  afterEach(() => rm(folder, { recursive: true }));

  const plant = async (at: string) => {
    await mkdir(at, { recursive: true });
    await writeFile(path.join(at, "berth-agent.mjs"), "//");
  };
  const stateDir = () => path.join(folder, "state");
  const ports = (own: string) => ({
    home,
    own,
    say: (line: string) => void said.push(line),
    restartService: async () => void (restarts += 1),
    clock: createVirtualClock(),
    fetch,
  });
  const upgrade = async (version: string, allowDowngrade = false) => {
    const made = await makeRelease(version, key);
    try {
      const own = (await home.version("current")) ?? "none";
      await upgradeByHand({ stateDir: stateDir(), to: made.manifest, allowDowngrade }, ports(own));
    } finally {
      await made.close();
    }
  };
  const state = async () => [await home.version("current"), await home.read("trial")];

  test("needs a pinned key, and is refused while another release is on trial", async () => {
    await expect(upgrade("0.3.0")).rejects.toEqual(refusal("no_key"));
    await pinAtEnrolment(fileStore(stateDir(), { durable: false }), key.x);
    await upgrade("0.3.0");
    await expect(upgrade("0.4.0")).rejects.toEqual(refusal("on_trial"));
    // No agent runs here, so nothing was reached before.
    expect(await state()).toEqual(["0.3.0", ["0.3.0", "0", "no", "-"]]);
    expect(restarts).toBe(1);
  });

  test("takes no older release unless that is asked for", async () => {
    await pinAtEnrolment(fileStore(stateDir(), { durable: false }), key.x);
    await expect(upgrade("0.1.0")).rejects.toEqual(refusal("older"));
    await home.write("oldest", ["0.3.5"]);
    await expect(upgrade("0.3.0")).rejects.toEqual(refusal("older"));
    await upgrade("0.1.0", true);
    expect(await home.version("current")).toBe("0.1.0");
  });

  test("is undone by hand, once", async () => {
    await pinAtEnrolment(fileStore(stateDir(), { durable: false }), key.x);
    await upgrade("0.3.0");
    await keepRelease(home);
    await rollBackByHand(ports("0.3.0"));
    expect(await state()).toEqual(["0.2.0", null]);
    expect(await home.read("failed")).toEqual(["0.3.0", "by_hand"]);
    expect(said.at(-1)).toContain("0.2.0 is in place of 0.3.0");
    await expect(rollBackByHand(ports("0.2.0"))).rejects.toEqual(refusal("no_previous"));
  });

  test("is nothing where the launcher did not start it", async () => {
    const bare = { ...ports("0.2.0"), home: null };
    const options = { stateDir: stateDir(), to: "m.json", allowDowngrade: false };
    await expect(upgradeByHand(options, bare)).rejects.toEqual(refusal("no_launcher"));
    await expect(rollBackByHand(bare)).rejects.toEqual(refusal("no_launcher"));
  });

  describe("by a package", () => {
    const install = async (version: string) => {
      const packaged = home.releaseFolder(".packaged.new");
      await plant(packaged);
      await takePackaged({ stateDir: stateDir(), packaged }, ports(version));
      expect(await readdir(path.join(folder, "releases"))).not.toContain(".packaged.new");
    };

    test("puts a newer release in place, on trial, and leaves a newer one where it is", async () => {
      await install("0.2.0");
      await install("0.1.0");
      expect(await state()).toEqual(["0.2.0", null]);
      await install("0.3.0");
      expect(await state()).toEqual(["0.3.0", ["0.3.0", "0", "no", "-"]]);
      expect(await home.version("previous")).toBe("0.2.0");
    });

    test("brings back a release whose files are gone", async () => {
      await rm(home.releaseFolder("0.2.0"), { recursive: true });
      await install("0.2.0");
      expect(await state()).toEqual(["0.2.0", null]);
      expect(await readdir(home.releaseFolder("0.2.0"))).toEqual(["berth-agent.mjs"]);
    });
  });
});

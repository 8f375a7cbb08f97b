import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createFollowWanted } from "#host-agent/upgrade/follow-wanted.ts";
import type { ReleaseManifest } from "#host-agent/upgrade/manifest.ts";
import { pinAtEnrolment, pinnedKey } from "#host-agent/upgrade/release-key.ts";
import { openReleaseHome, type ReleaseHome } from "#host-agent/upgrade/release-home.ts";
import { takeBack, takeRelease } from "#host-agent/upgrade/swap.ts";
import { UpgradeError } from "#host-agent/upgrade/upgrade-error.ts";
import { watchTrial } from "#host-agent/upgrade/watch-trial.ts";
import { memoryStore, type StateStore } from "#host-agent/state/state-store.ts";
import { enroll } from "#host-agent/channel/identity.ts";
import { hostFacts } from "#test/builders.ts";
import { createTestHost, type TestHost } from "#test/drivers/agent-harness.ts";
import { aDesiredVm } from "#test/drivers/builders.ts";
import { unreachable } from "#test/drivers/fake-control-plane.ts";

const KEY = "k".repeat(43);
const OTHER_KEY = "o".repeat(43);
const OWN = "0.2.0";
const wanted = { version: "0.3.0", manifestUrl: "https://r.example/0.3.0.json" };

/** An agent of version 0.2.0 in a home of releases, whose control plane wants what a test says. */
class Upgrading {
  host: TestHost;
  obtained: string[] = [];
  restarts: string[] = [];
  #following: Promise<unknown>[] = [];
  logged: string[] = [];
  outcome: () => Promise<ReleaseManifest> = async () => ({ version: "0.3.0", files: [] });
  readonly store: StateStore = memoryStore();
  readonly home: ReleaseHome | null;
  constructor(home: ReleaseHome | null) {
    this.home = home;
    this.host = createTestHost({
      store: this.store,
      followWanted: (releases, signal) => {
        const following = this.#follow(releases, signal);
        this.#following.push(following);
        return following;
      },
    });
  }
  #follow: ReturnType<typeof createFollowWanted> = (...args) => {
    const note = (event: string) => void this.logged.push(event);
    this.#follow = createFollowWanted({
      own: OWN,
      home: this.home,
      store: this.store,
      clock: this.host.clock,
      log: { info: note, error: note },
      obtain: ({ manifestUrl }) => {
        this.obtained.push(manifestUrl);
        return this.outcome();
      },
      restart: (why) => void this.restarts.push(why),
    });
    return this.#follow(...args);
  };
  want(releases: { key: string; wanted: typeof wanted | null }) {
    const intervals = { resyncSeconds: 300, usageSampleSeconds: 3600, usageFlushSeconds: 3600 };
    this.host.plane.session_ = { doorbell: null, intervals, releases };
  }
  /** The agent runs for so long, which is some sessions. */
  async runs(ms: number) {
    const stop = new AbortController();
    const running = this.host.restart().run(stop.signal);
    // The home of its releases is on a real disk, which has its own time.
    for (let at = 0; at < ms; at += 150_000) {
      await this.host.clock.advance(150_000);
      await Promise.allSettled(this.#following.splice(0));
    }
    stop.abort();
    await running;
  }
  told = () =>
    this.host.plane.reports.flatMap((r) => r.findings ?? []).map((f) => [f.code, f.detail]);
}

describe.skipIf(process.platform === "win32")("12.3: the version that staff want", () => {
  let folder: string;
  let home: ReleaseHome;
  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "berth-home-"));
    home = openReleaseHome(folder);
    for (const version of [OWN, "0.3.0"]) {
      await mkdir(home.releaseFolder(version), { recursive: true });
      await writeFile(path.join(home.releaseFolder(version), "berth-agent.mjs"), "//");
    }
    await takeRelease(home, { version: OWN }, true);
  });
  afterEach(() => rm(folder, { recursive: true }));

  test("is put in place once, under running VMs, and the agent ends for it", async () => {
    const agent = new Upgrading(home);
    const vm = aDesiredVm();
    agent.host.plane.want([vm]);
    agent.want({ key: KEY, wanted });
    await agent.runs(20 * 60_000);
    expect(agent.obtained).toEqual([wanted.manifestUrl]);
    expect(agent.restarts).toEqual(["release 0.3.0 is in place"]);
    expect(await home.version("current")).toBe("0.3.0");
    expect(await home.read("trial")).toEqual(["0.3.0", "0", "yes", "-"]);
    expect(agent.host.plane.last(vm.vmId)).toMatchObject({ observed: { power: "running" } });
    expect(agent.told()).toEqual([]);
  });

  test("that was taken back is told again and again, and not tried again until another is wanted", async () => {
    const agent = new Upgrading(home);
    agent.want({ key: KEY, wanted });
    await agent.runs(10 * 60_000);
    await takeBack(home, "not_reached");
    await agent.runs(24 * 3_600_000);
    expect(agent.obtained).toHaveLength(1);
    const told = agent.told();
    expect(told.length).toBeGreaterThan(1);
    expect(new Set(told.map(String))).toEqual(
      new Set([String(["upgrade_failed", "0.3.0 was taken back: not_reached"])]),
    );
    const again = { ...wanted, manifestUrl: "https://r.example/0.3.0-b.json" };
    agent.want({ key: KEY, wanted: again });
    await agent.runs(10 * 60_000);
    expect(agent.obtained).toEqual([wanted.manifestUrl, again.manifestUrl]);
  });

  test("that cannot be had is told, and tried again more and more seldom", async () => {
    const agent = new Upgrading(home);
    agent.outcome = () => Promise.reject(new UpgradeError("not_reached", "no answer"));
    agent.want({ key: KEY, wanted });
    await agent.runs(24 * 3_600_000);
    // At the beginning, and after 1, 3, 7 and 15 hours.
    expect(agent.obtained).toHaveLength(5);
    expect(agent.restarts).toEqual([]);
    expect(agent.told()[0]?.[1]).toBe("0.3.0: no answer");
    expect(await home.version("current")).toBe(OWN);
  });

  test("that is not signed by the pinned key is told, and not tried again", async () => {
    const agent = new Upgrading(home);
    agent.outcome = () => Promise.reject(new UpgradeError("not_signed", "not signed"));
    agent.want({ key: KEY, wanted });
    await agent.runs(24 * 3_600_000);
    expect(agent.obtained).toHaveLength(1);
    expect(agent.told()[0]?.[0]).toBe("upgrade_failed");
  });

  test("is told where no launcher started the agent", async () => {
    const agent = new Upgrading(null);
    agent.want({ key: KEY, wanted });
    await agent.runs(10 * 60_000);
    expect([agent.obtained, agent.restarts]).toEqual([[], []]);
    expect(agent.told()[0]?.[1]).toContain("no launcher");
  });

  test("waits while another release is in place, which starts next", async () => {
    const agent = new Upgrading(home);
    await takeRelease(home, { version: "0.3.0" }, true);
    agent.want({ key: KEY, wanted });
    await agent.runs(10 * 60_000);
    expect([agent.obtained, agent.told()]).toEqual([[], []]);
  });

  test("waits while the release that runs is on trial", async () => {
    const agent = new Upgrading(home);
    await home.write("trial", [OWN, "1", "yes", "-"]);
    agent.want({ key: KEY, wanted });
    await agent.runs(10 * 60_000);
    expect(agent.obtained).toEqual([]);
  });

  test("the key of a session is pinned by a host that has none; another one changes nothing and is logged", async () => {
    const agent = new Upgrading(home);
    agent.want({ key: KEY, wanted: null });
    await agent.runs(10 * 60_000);
    agent.want({ key: OTHER_KEY, wanted: null });
    await agent.runs(10 * 60_000);
    expect(await pinnedKey(agent.store)).toBe(KEY);
    expect(agent.logged.filter((event) => event.startsWith("release_key"))).toContain(
      "release_key_differs",
    );
  });

  test("the key comes at enrolment, and an answer without one takes none away", async () => {
    const { plane } = createTestHost();
    const store = memoryStore();
    const enrolled = { hostId: plane.hostId, identityEpoch: 1 };
    const request = { joinToken: "t".repeat(20), facts: hostFacts() };
    const answering = (more: object) => ({
      ...plane,
      enroll: async () => ({ ...enrolled, ...more }),
    });
    await enroll(store, answering({ releaseKey: KEY }), request);
    await enroll(store, answering({}), request);
    expect(await pinnedKey(store)).toBe(KEY);
    await pinAtEnrolment(store, OTHER_KEY);
    expect(await pinnedKey(store)).toBe(OTHER_KEY);
  });

  describe("a release on trial", () => {
    const judged = async (host: TestHost, reachedBefore: boolean, ms: number) => {
      await takeRelease(home, { version: "0.3.0" }, reachedBefore);
      const restarts: string[] = [];
      const stop = new AbortController();
      const agent = host.restart();
      const running = agent.run(stop.signal);
      let up = 0;
      const watching = watchTrial({
        home,
        own: "0.3.0",
        progress: () => agent.progress(),
        // A second of waiting is a second, and lets the agent work.
        clock: {
          now: () => host.clock.now(),
          sleep: async (wait) => {
            up += wait;
            await host.clock.advance(wait);
            if (up >= ms) stop.abort();
          },
        },
        uptimeMs: () => up,
        log: { info: () => undefined, error: () => undefined },
        signal: stop.signal,
        restart: (why) => void restarts.push(why),
      });
      await watching;
      stop.abort();
      await running;
      return {
        restarts,
        current: await home.version("current"),
        trial: await home.read("trial"),
        up,
      };
    };

    test("is kept as soon as a pass is done and the control plane took a report", async () => {
      const host = createTestHost();
      const outcome = await judged(host, true, 300_000);
      expect(outcome).toMatchObject({ restarts: [], current: "0.3.0", trial: null });
      expect(outcome.up).toBeLessThan(120_000);
    });

    test("is taken back after two minutes when it does not reach whom the one before reached", async () => {
      const host = createTestHost();
      host.plane.outage = unreachable();
      expect(await judged(host, true, 119_000)).toMatchObject({ current: "0.3.0", restarts: [] });
      await takeBack(home, "by_hand");
      const outcome = await judged(host, true, 300_000);
      expect(outcome).toMatchObject({ current: OWN, trial: null });
      expect(outcome.restarts).toHaveLength(1);
      expect(await home.read("failed")).toEqual(["0.3.0", "not_reached"]);
    });

    test("is kept when the control plane is as unreachable as before", async () => {
      const host = createTestHost();
      host.plane.outage = unreachable();
      expect(await judged(host, false, 300_000)).toMatchObject({ current: "0.3.0", trial: null });
    });
  });
});

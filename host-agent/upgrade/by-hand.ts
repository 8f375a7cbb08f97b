import { execFile } from "node:child_process";
import { rename, rm } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import type { AgentStatus } from "#host-agent/state/status-notes.ts";
import { readStatus } from "#host-agent/state/status-notes.ts";
import { holdAlone } from "#host-agent/state/single-instance.ts";
import { fileStore } from "#host-agent/state/state-store.ts";
import { compareVersions } from "./decide.ts";
import type { FetchPorts } from "./fetch-release.ts";
import type { ReleaseManifest } from "./manifest.ts";
import { obtainRelease, type ReleaseRequest } from "./obtain-release.ts";
import { isThere, openReleaseHome, type ReleaseHome } from "./release-home.ts";
import { pinnedKey } from "./release-key.ts";
import { oldestOf, takeBack, takeRelease } from "./swap.ts";
import { UpgradeError } from "./upgrade-error.ts";

/** The release's platform, as a manifest names it. */
export const PLATFORM = `${process.platform}-${process.arch}`;

/** Where the launcher, which started this process, keeps the host's releases; null: none started it. */
export function homeOfLauncher(env: NodeJS.ProcessEnv): ReleaseHome | null {
  const folder = env["BERTH_AGENT_HOME"];
  return folder ? openReleaseHome(folder) : null;
}

function mustHome(home: ReleaseHome | null): ReleaseHome {
  if (home !== null) return home;
  throw new UpgradeError(
    "no_launcher",
    "the launcher did not start this: use the installed berth-agent",
  );
}

/** As `obtainRelease`, while nobody else upgrades this host. Throws `AlreadyRunning` too. */
export const obtainAlone = (
  home: ReleaseHome | null,
  request: ReleaseRequest,
  ports: FetchPorts,
): Promise<ReleaseManifest> => {
  const there = mustHome(home);
  return alone(there, () => obtainRelease(there, request, ports));
};

/** One upgrade of a host at a time, whoever asks for it. Throws `AlreadyRunning`. */
async function alone<T>(home: ReleaseHome, work: () => Promise<T>): Promise<T> {
  const letGo = await holdAlone(home.folder, "upgrade");
  try {
    return await work();
  } finally {
    letGo();
  }
}

type ByHand = FetchPorts & {
  home: ReleaseHome | null;
  own: string;
  say: (line: string) => void;
  /** Ends the agent that runs here, whose next start is the new release. */
  restartService: (say: (line: string) => void) => Promise<void>;
};

/** `berth-agent upgrade`: puts a release in place and starts it. Throws `UpgradeError`, `AlreadyRunning`. */
export async function upgradeByHand(
  options: { stateDir: string; to: string; allowDowngrade: boolean },
  ports: ByHand,
): Promise<void> {
  const home = mustHome(ports.home);
  const { own, say, clock } = ports;
  const store = fileStore(options.stateDir, { durable: true });
  const key = await pinnedKey(store);
  if (key === null)
    throw new UpgradeError(
      "no_key",
      "this host knows no key of releases: it comes at enrolment, or with a session",
    );
  const [onTrial] = (await home.read("trial")) ?? [];
  if (onTrial !== undefined && onTrial === (await home.version("current")))
    throw new UpgradeError(
      "on_trial",
      `${onTrial} is on trial still: wait two minutes, or berth-agent rollback`,
    );
  const held = await oldestOf(home);
  const oldest = held !== null && compareVersions(held, own) > 0 ? held : own;
  const reachedBefore = isReached(await readStatus(store), +clock.now());
  await alone(home, async () => {
    const release = await obtainRelease(
      home,
      {
        from: options.to,
        key,
        platform: PLATFORM,
        version: null,
        oldest: options.allowDowngrade ? null : oldest,
      },
      ports,
    );
    await takeRelease(home, release, reachedBefore);
    say(`release ${release.version} is in place of ${own}; VMs run on`);
  });
  await ports.restartService(say);
  say(
    "it is taken back unless it works within two minutes: berth-agent status, journalctl -u berth-agent",
  );
}

/**
 * `berth-agent upgrade --packaged`: as the package's postinst calls it, by the release's own program. Trusted as the package is.
 * What runs and is newer goes on; whoever installs the package starts the service.
 */
export async function takePackaged(
  { stateDir, packaged }: { stateDir: string; packaged: string },
  ports: Pick<ByHand, "home" | "own" | "say" | "clock">,
): Promise<void> {
  const home = mustHome(ports.home);
  const { own, say } = ports;
  const store = fileStore(stateDir, { durable: true });
  const reachedBefore = isReached(await readStatus(store), +ports.clock.now());
  await alone(home, async () => {
    const current = await home.version("current");
    // One whose files are gone is put in place again.
    const isWhole =
      current !== null &&
      (await isThere(path.join(home.releaseFolder(current), "berth-agent.mjs")));
    if (isWhole && compareVersions(own, current) <= 0) {
      await rm(packaged, { recursive: true, force: true });
      return say(`release ${current} stays: the package has ${own}`);
    }
    await rm(home.releaseFolder(own), { recursive: true, force: true });
    await rename(packaged, home.releaseFolder(own));
    await takeRelease(home, { version: own }, reachedBefore);
    say(`release ${own} is in place${current === null ? "" : ` of ${current}; VMs run on`}`);
  });
}

/** `berth-agent rollback`: the release before, at once, and the present one not again until staff want another. */
export async function rollBackByHand(ports: Omit<ByHand, keyof FetchPorts>): Promise<void> {
  const home = mustHome(ports.home);
  const previous = await alone(home, () => takeBack(home, "by_hand"));
  ports.say(`release ${previous} is in place of ${ports.own}; VMs run on`);
  await ports.restartService(ports.say);
}

const REPORT_AGE_MS = 10 * 60_000;

/** An agent that does not run reaches nothing. */
const isReached = (status: AgentStatus | null, now: number): boolean =>
  status !== null &&
  status.reportError === null &&
  status.lastReport !== null &&
  now - Date.parse(status.lastReport.at) < REPORT_AGE_MS;

const UNIT = "berth-agent.service";
const hasSystemd = (): Promise<boolean> => isThere("/run/systemd/system");

export async function restartService(say: (line: string) => void): Promise<void> {
  if (await hasSystemd()) await promisify(execFile)("systemctl", ["try-restart", UNIT]);
  else if (process.platform === "win32") say("start it: Restart-Service BerthAgent");
  else say("start it: no systemd runs here, so whoever runs the agent must restart it");
}

/** `berth-agent uninstall`: the service ends and starts no more. Deletes nothing, and says what there is. */
export async function uninstall(
  options: { stateDir: string | null; config: string },
  say: (line: string) => void,
): Promise<void> {
  if (await hasSystemd()) {
    await promisify(execFile)("systemctl", ["disable", "--now", UNIT]);
    say("the service berth-agent is stopped, and does not start again");
  } else if (process.platform === "win32") say("the service: run uninstall.ps1, which ends it");
  else say("no systemd runs here: whoever runs the agent must stop it");
  for (const line of WHAT_STAYS) say(line);
  say(`- ${options.config} (configuration)`);
  say(
    `- ${options.stateDir ?? "the state folder"} (this host's key, and usage not yet sent: remove it and the host must enrol again)`,
  );
  say(
    "the program: apt-get remove berth-agent (releases go with it; the state folder stays even when purged)",
  );
  say(
    "before that, tell the control plane to place nothing here: POST /staff/v1/hosts/{id}/cordon",
  );
}

const WHAT_STAYS = [
  "VMs are left as they are: those that run, run on; after a reboot of the host nobody starts them",
  "what stays, and is yours to remove:",
  "- VMs (virsh list --all; on Windows Get-VM): they are still sold, and end by a delete through the control plane",
  "- disks, seeds, consoles, trash and images, in the folders that the configuration names",
];

import { compareVersions, type TakenBack } from "./decide.ts";
import type { ReleaseManifest } from "./manifest.ts";
import type { ReleaseHome } from "./release-home.ts";
import { UpgradeError } from "./upgrade-error.ts";

/*
 * The release that runs, replaced. After each step a cut of the power leaves a `current` that works: what the launcher makes
 * of each state stands in `packaging/linux/launcher`, and `swap.test.ts` stops at each.
 */

/** From the next start on this release runs, on trial. Nothing is started here. */
export async function takeRelease(
  home: ReleaseHome,
  { version, oldest }: Pick<ReleaseManifest, "version" | "oldest">,
  reachedBefore: boolean,
): Promise<void> {
  const current = await home.version("current");
  // A host's first release has none before it to go back to, and so no trial.
  if (current === null || current === version) return home.point("current", version);
  await home.point("previous", current);
  // Before the link: a trial of what is not current is passed over, while a release without its trial would never be judged.
  await home.write("trial", [version, "0", reachedBefore ? "yes" : "no", oldest ?? "-"]);
  await home.point("current", version);
}

/** The release on trial stays; those before the one before it go. */
export async function keepRelease(home: ReleaseHome): Promise<void> {
  const oldest = (await home.read("trial"))?.[3] ?? "-";
  const held = await oldestOf(home);
  if (oldest !== "-" && (held === null || compareVersions(held, oldest) < 0))
    await home.write("oldest", [oldest]);
  await home.remove("trial");
  const [current, previous] = [await home.version("current"), await home.version("previous")];
  const [failed] = (await home.read("failed")) ?? [];
  if (failed === current) await home.remove("failed");
  if (current !== null) await home.keepOnly(previous === null ? [current] : [current, previous]);
}

/** Nothing older than this runs here unless somebody on the host asks for it; null: anything may. */
export const oldestOf = async (home: ReleaseHome): Promise<string | null> =>
  (await home.read("oldest"))?.[0] ?? null;

/** From the next start on the release before runs. Throws `UpgradeError` when there is none. */
export async function takeBack(home: ReleaseHome, why: TakenBack): Promise<string> {
  const [current, previous] = [await home.version("current"), await home.version("previous")];
  if (previous === null || current === null || previous === current)
    throw new UpgradeError("no_previous", "there is no release before this one");
  // First, or a cut of the power would leave the older release to try the same again.
  await home.write("failed", [current, why]);
  await home.point("current", previous);
  await home.remove("trial");
  return previous;
}

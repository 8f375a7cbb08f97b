import { z } from "zod";
import type { Log } from "#core/ports.ts";
import { loadSaved, save } from "#host-agent/state/saved.ts";
import type { StateStore } from "#host-agent/state/state-store.ts";

const FILE = "release-key.json";
const Pinned = z.object({ key: z.string() });

/** Whose releases this host runs, as the x of an Ed25519 key; null while it knows of none. */
export const pinnedKey = async (store: StateStore): Promise<string | null> =>
  (await loadSaved(store, FILE, Pinned))?.key ?? null;

/** At an enrolment, which somebody on the host asked for. One that tells of no key takes none away. */
export async function pinAtEnrolment(store: StateStore, key: string | undefined): Promise<void> {
  if (key !== undefined) await save(store, FILE, { key });
}

/** Of a session: taken by a host that has none. Another one changes nothing. Answers the key that holds. */
export async function pinOnce(store: StateStore, key: string, log: Log): Promise<string> {
  const pinned = await pinnedKey(store);
  if (pinned === null) {
    await save(store, FILE, { key });
    log.info("release_key_pinned", { key });
    return key;
  }
  if (pinned !== key) log.error("release_key_differs", { pinned, told: key });
  return pinned;
}

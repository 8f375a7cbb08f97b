import { createHash } from "node:crypto";
import { once } from "node:events";
import { readdir, readFile } from "node:fs/promises";
import { createServer } from "node:net";
import path from "node:path";

/** Another agent works on this state folder. */
export class AlreadyRunning extends Error {
  override name = "AlreadyRunning";
}

/** An agent on its state folder, or an upgrade on the folder of releases. */
type Held = "agent" | "upgrade";
const PREFIX = "berth-agent-";
const nameOf = (folder: string, as: Held = "agent"): string =>
  `berth-${as}-${createHash("sha256").update(path.resolve(folder)).digest("hex")}`;

/** Where Windows lists the pipes that somebody serves. */
const PIPES = "\\\\.\\pipe\\";

/**
 * Holds a name that the system gives to one process at a time and takes back when that dies, however it dies: two
 * agents on one folder would count usage and act twice. Linux has abstract sockets for it, Windows named pipes;
 * elsewhere (a developer's machine) nothing is held.
 */
export async function holdAlone(folder: string, as: Held = "agent"): Promise<() => void> {
  const name = nameOf(folder, as);
  const places: Partial<Record<NodeJS.Platform, string>> = {
    linux: `\0${name}`,
    win32: `${PIPES}${name}`,
  };
  const place = places[process.platform];
  if (place === undefined) return () => undefined;
  const server = createServer((socket) => socket.destroy());
  server.unref();
  server.listen(place);
  try {
    await once(server, "listening");
  } catch (cause) {
    throw new AlreadyRunning(`another ${as} works on ${folder}`, { cause });
  }
  return () => server.close();
}

/**
 * Whether an agent works on this state folder, and how many work on others here. Asks the system which names are held and
 * holds none itself, so that nobody who starts meanwhile is refused. `root`: of the host's files.
 */
export async function agentsHere(
  stateDir: string,
  root = "/",
): Promise<{ mine: boolean; others: number }> {
  const held = new Set(await namesHeld(root));
  const mine = held.has(nameOf(stateDir));
  return { mine, others: held.size - (mine ? 1 : 0) };
}

async function namesHeld(root: string): Promise<string[]> {
  if (process.platform === "win32")
    return (await readdir(PIPES)).filter((name) => name.startsWith(PREFIX));
  // proc(5): an abstract name is shown with an @ in the place of its first byte.
  const sockets = await readFile(path.join(root, "proc/net/unix"), "utf8");
  return [...sockets.matchAll(/ @(berth-agent-[0-9a-f]{64})$/gm)].flatMap(([, name]) => name ?? []);
}

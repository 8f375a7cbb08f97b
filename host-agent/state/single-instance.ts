import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:net";
import path from "node:path";

/** Another agent works on this state folder. */
export class AlreadyRunning extends Error {
  override name = "AlreadyRunning";
}

/**
 * Holds a name that the system gives to one process at a time and takes back when that dies, however it dies: two
 * agents on one folder would count usage and act twice. Linux has abstract sockets for it, Windows named pipes;
 * elsewhere (a developer's machine) nothing is held.
 */
export async function holdAlone(stateDir: string): Promise<() => void> {
  const name = `berth-agent-${createHash("sha256").update(path.resolve(stateDir)).digest("hex")}`;
  const places: Partial<Record<NodeJS.Platform, string>> = {
    linux: `\0${name}`,
    win32: `\\\\.\\pipe\\${name}`,
  };
  const place = places[process.platform];
  if (place === undefined) return () => undefined;
  const server = createServer((socket) => socket.destroy());
  server.unref();
  server.listen(place);
  try {
    await once(server, "listening");
  } catch (cause) {
    throw new AlreadyRunning(`another agent works on ${stateDir}`, { cause });
  }
  return () => server.close();
}

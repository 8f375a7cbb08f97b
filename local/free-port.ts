import { randomInt } from "node:crypto";
import { createServer } from "node:net";

/** Below what a system gives out by itself: no socket of another process comes there between our look and our use. */
const FROM = 10_000;
const BELOW = 32_000;

/** The first of so many neighbouring loopback ports that nobody listens on now. */
export async function freePort(neighbours = 1): Promise<number> {
  for (;;) {
    const base = randomInt(FROM, BELOW - neighbours);
    const all = Array.from({ length: neighbours }, (_, n) => base + n);
    const free = await Promise.all(all.map(isFree));
    if (free.every(Boolean)) return base;
  }
}

/** Whether nobody listens on a loopback port now. */
export const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });

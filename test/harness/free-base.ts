import { randomInt } from "node:crypto";
import { busyPort, portsFrom } from "#local/ports.ts";

/**
 * The first of a stack's ports, all of which are free. Below the range that the system gives out by itself, so that no
 * other test's socket is there when the stack gets to it.
 */
export async function freeBase(): Promise<number> {
  for (;;) {
    const base = 10 * randomInt(1000, 3200);
    if ((await busyPort(portsFrom(base))) === undefined) return base;
  }
}

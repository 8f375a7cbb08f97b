import { randomUUID } from "node:crypto";
import { setTimeout as wait } from "node:timers/promises";
import type { DesiredVm, HostImage } from "#core/contracts/agent/desired.ts";
import type { Clock, IdSource } from "#core/ports.ts";
import type { FirstBootSecrets } from "#host-agent/drivers/driver.ts";
import { PATIENCE_MS } from "#test/harness/patience.ts";

export const randomIds: IdSource = { newId: () => randomUUID() };

export const realClock: Clock = {
  now: () => new Date(),
  sleep: async (ms, signal) => {
    try {
      await wait(ms, undefined, signal ? { signal } : {});
    } catch (error) {
      throw signal?.aborted ? signal.reason : error;
    }
  },
};

/** What a control plane gives for the seed of a Windows VM. */
export const SECRETS: FirstBootSecrets = { administratorPassword: async () => "Once-0nly-Pass" };

export const anImage = (over: Partial<HostImage> = {}): HostImage => ({
  id: randomUUID(),
  file: "tiny",
  os: "linux",
  minMemoryMib: 64,
  ...over,
});

let addresses = 0;
/** A small VM that should run, entitled for years. Addresses are from TEST-NET-1 (RFC 5737). */
export function aDesiredVm(over: Partial<DesiredVm> = {}): DesiredVm {
  addresses = (addresses % 250) + 1;
  const last = addresses.toString(16).padStart(2, "0");
  return {
    vmId: randomUUID(),
    generation: 1,
    ownerEpoch: 1,
    presence: "present",
    mayCreate: true,
    power: "running",
    stopMode: "graceful",
    entitledUntil: "2099-01-01T00:00:00.000Z",
    hostname: `vm-${last}.example.com`,
    size: { vcpus: 1, memoryMib: 128, diskGib: 1 },
    image: anImage(),
    nics: [
      {
        mac: `52:54:00:00:02:${last}`,
        ipv4: { address: `192.0.2.${addresses + 2}`, prefix: 24, gateway: "192.0.2.1" },
        vlan: null,
        bandwidthMbit: null,
      },
    ],
    nameservers: ["192.0.2.1"],
    sshKeys: [],
    userData: null,
    diskIops: null,
    pendingActions: [],
    ...over,
  };
}

/** Looks until `found` gives something, and fails with `what` when that takes longer than `withinMs`. */
export async function eventually<T>(
  what: string,
  found: () => Promise<T | null | undefined | false> | T | null | undefined | false,
  withinMs = PATIENCE_MS,
  everyMs = 10,
): Promise<T> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    const value = await found();
    if (value !== null && value !== undefined && value !== false) return value;
    if (performance.now() > deadline) throw new Error(`did not happen in ${withinMs} ms: ${what}`);
    await wait(everyMs);
  }
}

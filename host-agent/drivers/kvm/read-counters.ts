import { stat } from "node:fs/promises";
import type { VmCounters } from "../driver.ts";
import { readBootEpochs } from "./boot-epoch.ts";
import { filesOf } from "./files.ts";
import type { KvmHost } from "./host.ts";
import { isActive, parseDomstats } from "./parse-domain.ts";
import type { Owned } from "./look.ts";

/** Only the groups that are billed or shown: each one more costs libvirt a question to every QEMU. */
const DOMSTATS = [
  "domstats",
  "--list-active",
  "--cpu-total",
  "--balloon",
  "--interface",
  "--block",
] as const;
/** What `stat` counts in, whatever the file system's blocks are. */
const STAT_BLOCK_BYTES = 512n;

/** Counters of every running VM, each tied to the process that counted them. */
export async function readCounters(host: KvmHost, signal?: AbortSignal): Promise<VmCounters[]> {
  const domains = await host.look.all(signal);
  const running = domains.flatMap((domain) =>
    domain.own !== null && isActive(domain.power) ? [{ ...domain, own: domain.own }] : [],
  );
  const bootEpochs = () =>
    readBootEpochs(
      host.runDir,
      running.map(({ uuid }) => uuid),
    );
  const before = await bootEpochs();
  const text = await host.libvirt.run(DOMSTATS, { signal });
  const after = await bootEpochs();
  const stats = parseDomstats(text);

  const counters = await Promise.all(
    running.map(async (domain) => {
      const bootEpoch = before.get(domain.uuid);
      const fields = stats.get(domain.name);
      // Counters of one process may never be told under the epoch of another.
      if (!bootEpoch || bootEpoch !== after.get(domain.uuid) || fields === undefined) return [];
      const disk = await diskOf(host, domain);
      return disk === null ? [] : [countersOf(domain, bootEpoch, fields, disk)];
    }),
  );
  return counters.flat();
}

/** null: the VM is being destroyed, and its disk lies in the trash already. */
async function diskOf(host: KvmHost, domain: Owned): Promise<{ blocks: bigint } | null> {
  try {
    return await stat(filesOf(host.folders, domain.own.tag).disk, { bigint: true });
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw error;
  }
}

function countersOf(
  domain: Owned,
  bootEpoch: string,
  fields: ReadonlyMap<string, string>,
  disk: { blocks: bigint },
): VmCounters {
  const count = (key: string) => BigInt(fields.get(key) ?? "0");
  const nics = Array.from({ length: domain.own.nics }, (_, n) => n);
  // The system disk alone: what the guest reads of its seed is not the customer's traffic.
  const { systemDevice } = domain.own;
  const system = [...fields].find(
    ([key, value]) => /^block\.\d+\.name$/.test(key) && value === systemDevice,
  );
  const block = system?.[0].replace(/name$/, "") ?? "";
  return {
    vmId: domain.own.tag.vmId,
    bootEpoch,
    cpuNs: count("cpu.time"),
    rxBytes: nics.map((n) => count(`net.${n}.rx.bytes`)),
    txBytes: nics.map((n) => count(`net.${n}.tx.bytes`)),
    readBytes: count(`${block}rd.bytes`),
    writeBytes: count(`${block}wr.bytes`),
    memoryBytes: count("balloon.current") * 1024n,
    diskBytes: disk.blocks * STAT_BLOCK_BYTES,
  };
}

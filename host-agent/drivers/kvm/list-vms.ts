import type { ObservedVm } from "#core/contracts/agent/report.ts";
import { readBootEpoch, readBootEpochs } from "./boot-epoch.ts";
import { gibOf, readQcow2 } from "./disks.ts";
import { exists, filesOf, type TaggedFile, taggedFiles } from "./files.ts";
import type { KvmHost } from "./host.ts";
import type { Owned } from "./look.ts";
import { isActive } from "./parse-domain.ts";
import type { VmRef } from "../driver.ts";

/** All VMs with Berth's tag: the defined ones, and those that are only files so far, or still. */
export async function listVms(host: KvmHost, signal?: AbortSignal): Promise<ObservedVm[]> {
  // The files first: a VM whose creation ends between the two looks is then at worst called incomplete.
  const files = await taggedFiles(host.folders);
  const domains = await host.look.all(signal);
  const seeds = new Set(files.filter(({ kind }) => kind === "seed").map(({ path }) => path));

  const running = domains.filter(({ own, power }) => own !== null && isActive(power));
  const epochs = await readBootEpochs(
    host.runDir,
    running.map(({ uuid }) => uuid),
  );

  const defined = new Set<string>();
  const vms: Promise<ObservedVm>[] = [];
  for (const domain of domains) {
    const { own } = domain;
    // Files of another Berth's VM, in folders that were shared by mistake, are no VM of ours that was cut short.
    if (own !== null || domain.foreign) defined.add(domain.uuid);
    if (own === null) continue;
    const bootEpoch = epochs.get(domain.uuid) ?? null;
    vms.push(observeDomain(host, { ...domain, own }, bootEpoch, seeds, signal));
  }
  for (const file of newestByVm(files))
    if (!defined.has(file.tag.vmId)) vms.push(observeFiles(host, file.tag, seeds, signal));
  return await Promise.all(vms);
}

async function observeDomain(
  host: KvmHost,
  { power, persistent, own }: Owned,
  bootEpoch: string | null,
  seeds: ReadonlySet<string>,
  signal: AbortSignal | undefined,
): Promise<ObservedVm> {
  const { tag } = own;
  const files = filesOf(host.folders, tag);
  const disk = await readQcow2(files.disk);
  if (!isActive(power)) host.evidence.forget(tag.vmId);
  return {
    ...tag,
    power,
    size: {
      vcpus: own.vcpus,
      memoryMib: own.memoryMib,
      diskGib: disk === null ? own.diskGib : gibOf(disk),
    },
    limits: own.limits,
    hotVcpus: own.mostVcpus,
    // The definition came last: a seed that is not there beside it was erased. A layer that somebody's snapshot put on
    // top and that is gone is a part of it that no start brings back.
    complete: disk !== null && (await hasTopLayer(own, files.disk)),
    bootEpoch,
    ...(!persistent && { defined: false }),
    guest:
      power === "running" && bootEpoch !== null
        ? await host.evidence.read(
            { vmId: tag.vmId, bootEpoch, files, agentConnected: own.agentConnected },
            signal,
          )
        : null,
    seeded: seeds.has(files.seed),
  };
}

const hasTopLayer = async ({ systemFile }: Owned["own"], disk: string): Promise<boolean> =>
  systemFile === null || systemFile === disk || (await exists(systemFile));

/** Without a definition there are no vCPUs and no memory to be seen: the least that a size can say is told. */
async function observeFiles(
  host: KvmHost,
  tag: VmRef,
  seeds: ReadonlySet<string>,
  signal: AbortSignal | undefined,
): Promise<ObservedVm> {
  // A process without a domain: made since the look, or libvirt left it out. Said to be off it might be made anew.
  if ((await readBootEpoch(host.runDir, tag.vmId)) !== null) {
    const domain = await host.owned(tag, signal);
    if (domain !== null) {
      const bootEpoch = isActive(domain.power) ? await readBootEpoch(host.runDir, tag.vmId) : null;
      return await observeDomain(host, domain, bootEpoch, seeds, signal);
    }
  }
  const disk = await readQcow2(filesOf(host.folders, tag).disk);
  return {
    ...tag,
    power: "off",
    size: { vcpus: 1, memoryMib: 1, diskGib: disk === null ? 1 : gibOf(disk) },
    complete: false,
    bootEpoch: null,
    guest: null,
    seeded: await exists(filesOf(host.folders, tag).seed),
  };
}

/** One file a VM: of several epochs, which only a lost host could leave, the newest speaks for it. */
function newestByVm(files: readonly TaggedFile[]): TaggedFile[] {
  const newest = new Map<string, TaggedFile>();
  for (const file of files) {
    const known = newest.get(file.tag.vmId);
    if (known === undefined || known.tag.ownerEpoch < file.tag.ownerEpoch)
      newest.set(file.tag.vmId, file);
  }
  return [...newest.values()];
}

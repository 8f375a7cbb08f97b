import { rm, writeFile } from "node:fs/promises";
import type { DesiredVm } from "#core/contracts/agent/desired.ts";
import { pause } from "#host-agent/time-limit.ts";
import { DriverError, type VmRef } from "../driver.ts";
import type { BaseImage, LiveCalls, LiveEnd, LiveTarget } from "../move-calls.ts";
import { startFound } from "./change-power.ts";
import { refuseWhatHostCannot } from "./create-vm.ts";
import { createDisk, GIB, needFreeSpace, readQcow2 } from "./disks.ts";
import { domainXml } from "./domain-xml.ts";
import { COPY_TIMEOUT_MS } from "./export-disk.ts";
import { filesOf, taggedFiles } from "./files.ts";
import type { KvmHost } from "./host.ts";
import { hypervisorSockets } from "./live-sockets.ts";
import { liveXml } from "./live-xml.ts";
import { heldBase, movableDisk } from "./movable-disk.ts";
import { isActive } from "./parse-domain.ts";
import { checkOwner } from "./tag.ts";

/** libvirt refuses a call-off until its job has begun, and between two phases of it. */
const CALL_OFF_EVERY_MS = 250;
const TELL_EVERY_MS = 5_000;

/** Makes the disk that libvirt copies into: it takes one that is there, and needs no storage pool for that. */
export async function prepareLive(
  host: KvmHost,
  vm: DesiredVm,
  base: BaseImage | null,
  signal?: AbortSignal,
): Promise<LiveTarget> {
  if ((await host.owned(vm, signal)) !== null)
    throw new DriverError("unsupported", `${vm.vmId} is here already`);
  for (const file of await taggedFiles(host.folders, vm.vmId)) checkOwner(file.tag, vm);
  await refuseWhatHostCannot(host, vm, signal);
  const image = base === null ? null : await heldBase(host, base);
  const files = filesOf(host.folders, vm);
  const place = {
    files,
    network: host.network,
    accelerator: await host.accelerator(signal),
    installation: host.installation(),
  };
  const definition = domainXml(vm, place);
  await needFreeSpace(host.folders.diskDir, host.reserveDiskMib);
  // One of an earlier attempt is taken as it is: whatever that had sent is a part of what is sent now.
  await createDisk({ image, disk: files.disk, sizeGib: vm.size.diskGib }, signal);
  const disk = await readQcow2(files.disk);
  const isIt =
    disk?.virtualSize === BigInt(vm.size.diskGib) * GIB && disk.hasBackingFile === (image !== null);
  if (!isIt)
    throw new DriverError("unsupported", `another disk of VM ${vm.vmId} lies at ${files.disk}`);
  return { definition };
}

/** Moves a running guest by libvirt's own migration (https://libvirt.org/migration.html, over UNIX sockets). */
export async function migrateLive(
  host: KvmHost,
  ref: VmRef,
  { moved, target, base, mbitPerSecond, tell }: Parameters<LiveCalls["migrateLive"]>[1],
  signal?: AbortSignal,
): Promise<void> {
  const { domain, image } = await movableDisk(host, ref, signal);
  if (domain.power !== "running")
    throw new DriverError("unsupported", `${ref.vmId} is ${domain.power}: it cannot be moved live`);
  if (base !== null) {
    if (image !== base.file)
      throw new DriverError("unsupported", `the disk stands on ${image}, not on ${base.file}`);
    await heldBase(host, base);
  }
  const { libvirt, qemu, nbd } = hypervisorSockets(host, moved);
  const running = await host.libvirt.run(["dumpxml", ref.vmId, "--migratable"], { signal });
  // They bear the VM's tag, should a crash leave them behind.
  const file = filesOf(host.folders, ref).definition;
  const written = { live: `${file}.live`, lasting: `${file}.lasting` };
  const options = {
    xml: written.live,
    "persistent-xml": written.lasting,
    migrateuri: `unix://${qemu}`,
    "disks-uri": `unix://${nbd}`,
    domain: ref.vmId,
    desturi: `qemu+unix:///system?socket=${libvirt}`,
    ...(mbitPerSecond !== null && { bandwidth: String(mibPerSecond(mbitPerSecond)) }),
  };
  const command = [
    "migrate",
    "--live",
    // Without --undefinesource: the source's copy and its tag stay until the control plane has the release in writing.
    "--persistent",
    // It runs there when it is known that it runs here no more. Left to libvirt, an answer of the destination's that is lost once
    // that has let it run would have the source run it on as well.
    "--suspend",
    base === null ? "--copy-storage-all" : "--copy-storage-inc",
    "--auto-converge",
    "--abort-on-error",
    ...Object.entries(options).flatMap(([name, value]) => [`--${name}`, value]),
  ];
  try {
    await writeFile(written.live, liveXml(running, target.definition, moved), { mode: 0o600 });
    await writeFile(written.lasting, target.definition, { mode: 0o600 });
    signal?.throwIfAborted();
    await telling(host, ref, tell, () => untilCalledOff(host, ref, command, signal));
  } finally {
    await Promise.all(Object.values(written).map((each) => rm(each, { force: true })));
  }
}

const MBIT = 1_000_000 / 8;
const MIB = 1024 ** 2;
/** libvirt's unit, of which it takes no part. */
const mibPerSecond = (mbit: number): number => Math.max(1, Math.floor((mbit * MBIT) / MIB));

/** Says how far it is, so that one who waits knows that it goes on. */
async function telling<T>(
  host: KvmHost,
  { vmId }: VmRef,
  tell: (bytes: number) => void,
  work: () => Promise<T>,
): Promise<T> {
  const ended = new AbortController();
  const watch = async () => {
    for (let before = 0; ;) {
      await pause(host.clock, TELL_EVERY_MS, ended.signal);
      if (ended.signal.aborted) return;
      const [info = ""] = await host.libvirt
        .read([["domjobinfo", vmId]], { signal: ended.signal })
        .catch(() => []);
      const bytes = processedBytes(info);
      if (bytes > before) tell(bytes);
      before = Math.max(before, bytes);
    }
  };
  const watching = watch();
  try {
    return await work();
  } finally {
    ended.abort();
    await watching;
  }
}

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];
/** Of memory and of disks, as virsh tells it to people: `Data processed:   12.345 MiB`. */
export function processedBytes(info: string): number {
  const [, number = "0", unit = "B"] = /^Data processed:\s+([0-9.]+) (\w+)$/m.exec(info) ?? [];
  return Math.round(Number(number) * 1024 ** Math.max(0, UNITS.indexOf(unit)));
}

/** A virsh that is killed leaves a job that nobody follows: libvirt is told to end it, and virsh then ends by itself. */
async function untilCalledOff(
  host: KvmHost,
  { vmId }: VmRef,
  command: readonly string[],
  signal: AbortSignal | undefined,
): Promise<void> {
  const ended = new AbortController();
  const callOff = async () => {
    while (!ended.signal.aborted) {
      await host.libvirt.run(["domjobabort", vmId]).catch((error: unknown) => {
        host.log.info("live_move_call_off_failed", { vm_id: vmId, error: String(error) });
      });
      await host.clock.sleep(CALL_OFF_EVERY_MS, ended.signal).catch(() => undefined);
    }
  };
  let calling: Promise<void> | undefined;
  const begin = () => (calling = callOff());
  signal?.addEventListener("abort", begin, { once: true });
  try {
    await host.libvirt.run(command, { timeoutMs: COPY_TIMEOUT_MS });
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  } finally {
    signal?.removeEventListener("abort", begin);
    ended.abort();
    await calling;
  }
}

/** As the source measured it. That nobody knows it is no failure of the move. */
export async function pauseOf(
  host: KvmHost,
  { vmId }: VmRef,
  signal?: AbortSignal,
): Promise<number | null> {
  const stats = await host.libvirt
    .run(["domjobinfo", vmId, "--completed"], { signal })
    .catch(() => "");
  const ms = /^Total downtime:\s+(\d+)\s+ms/m.exec(stats)?.[1];
  return ms === undefined ? null : Number(ms);
}

const SHUT_OFF_UNKNOWN = 0;
const SHUT_OFF_MIGRATED = 4;

/**
 * One process for the domain, and one for what libvirt is about to do with it. A destination whose guest is on its way answers the
 * second question as one that is asked of the wrong end.
 */
export async function seenLive(host: KvmHost, ref: VmRef, signal?: AbortSignal): Promise<LiveEnd> {
  const domain = await host.owned(ref, signal);
  if (domain === null) return "none";
  const { power, persistent, reason } = domain;
  if (!isActive(power)) {
    if (reason === SHUT_OFF_MIGRATED) return "left";
    return reason === SHUT_OFF_UNKNOWN ? "unknown" : "off";
  }
  // It has a definition from when all of it has come.
  if (!persistent || (await isBeingMoved(host, ref, signal))) return "moving";
  return power === "running" || power === "stopping" ? "running" : "paused";
}

async function isBeingMoved(
  host: KvmHost,
  { vmId }: VmRef,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const [info = ""] = await host.libvirt.read([["domjobinfo", vmId]], { signal });
  return !/^Job type:\s+None\s*$/m.test(info);
}

/** Each process of virsh's is a part of the guest's pause: one look, and one call. */
export async function takeLive(host: KvmHost, ref: VmRef, signal?: AbortSignal): Promise<void> {
  const domain = await host.owned(ref, signal);
  if (domain === null || (isActive(domain.power) && !domain.persistent))
    throw new DriverError("driver_failed", `${ref.vmId} is not here whole`);
  await startFound(host, ref, domain, signal);
}

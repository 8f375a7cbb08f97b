import { readFile } from "node:fs/promises";
import path from "node:path";
import { createSlots } from "#host-agent/time-limit.ts";
import { readKernelFile } from "./read-kernel-file.ts";
import { domainName } from "./tag.ts";

/**
 * Names the QEMU process of a running VM: the host's boot, the process's id and the tick it started at. It is
 * read from the kernel, so that it survives restarts of the agent and of libvirt, changes with each start whoever
 * did it (also after a host's reboot), and needs no stamp of ours that could be lost.
 * libvirt keeps the process's id beside the domain's status in `runDir` (/run/libvirt/qemu).
 */
export async function readBootEpoch(runDir: string, vmId: string): Promise<string | null> {
  try {
    const pid = (await readFile(path.join(runDir, `${domainName(vmId)}.pid`), "utf8")).trim();
    if (!/^[0-9]{1,10}$/.test(pid)) return null;
    const [stat, command, bootId] = await Promise.all([
      readKernelFile(`/proc/${pid}/stat`),
      readKernelFile(`/proc/${pid}/cmdline`),
      readKernelFile("/proc/sys/kernel/random/boot_id"),
    ]);
    // A pid file may outlive its process, and the number be another's by now.
    if (!command.split("\0").includes(vmId)) return null;
    // proc(5): the name in parentheses may hold anything; `starttime` is field 22, the 20th after it.
    const startTick = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
    return startTick === undefined ? null : `${bootId.slice(0, 8)}-${pid}-${startTick}`;
  } catch {
    // No such process any more: the VM has gone off meanwhile, and the next look says so.
    return null;
  }
}

/** More are not read any sooner: Node reads with four threads. What waits for them open takes memory. */
const AT_ONCE = 8;

/** Of each of these VMs. */
export async function readBootEpochs(
  runDir: string,
  vmIds: readonly string[],
): Promise<ReadonlyMap<string, string | null>> {
  const slot = createSlots(() => AT_ONCE);
  const epochs = vmIds.map((vmId) =>
    slot(async () => [vmId, await readBootEpoch(runDir, vmId)] as const),
  );
  return new Map(await Promise.all(epochs));
}

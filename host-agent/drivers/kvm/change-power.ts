import type { OneShotAction, StopMode } from "#core/vms/vm.ts";
import { DriverError, type VmRef } from "../driver.ts";
import { readBootEpoch } from "./boot-epoch.ts";
import { filesOf } from "./files.ts";
import type { KvmHost } from "./host.ts";
import type { Owned } from "./look.ts";
import { isActive } from "./parse-domain.ts";
import { dropBrokenState } from "./saved-state.ts";
import { refuseReleased } from "./tag.ts";

const START_TIMEOUT_MS = 120_000;
const STOP_TIMEOUT_MS = 60_000;

/** Powers a VM on, or resumes it. */
export async function startVm(host: KvmHost, ref: VmRef, signal?: AbortSignal): Promise<void> {
  await startFound(host, ref, await defined(host, ref, signal), signal);
}

/** The same, of one that was just looked at. */
export async function startFound(
  host: KvmHost,
  ref: VmRef,
  domain: Owned,
  signal?: AbortSignal,
): Promise<void> {
  refuseReleased(domain.own);
  if (domain.power === "running" || domain.power === "starting") return;
  const verb = isActive(domain.power) ? "resume" : "start";
  const start = () =>
    untilTrue(host, ref, [verb, ref.vmId], (found) => found?.power === "running", {
      signal,
      timeoutMs: START_TIMEOUT_MS,
    });
  try {
    await start();
  } catch (error) {
    if (signal?.aborted || !(await dropBrokenState(host, ref, error, signal))) throw error;
    await start();
  }
  host.restoreFailures.delete(ref.vmId);
}

/** Asks the guest to power off, or cuts its power. */
export async function stopVm(
  host: KvmHost,
  ref: VmRef,
  mode: StopMode,
  signal?: AbortSignal,
): Promise<void> {
  const domain = await defined(host, ref, signal);
  if (!isActive(domain.power)) return;
  if (mode === "graceful")
    await untilTrue(host, ref, ["shutdown", ref.vmId, "--mode", "agent,acpi"], isOff, { signal });
  else await powerOff(host, ref, signal);
}

/** Cuts the power: lets QEMU flush what it holds first, and kills it when it does not end. */
export async function powerOff(host: KvmHost, ref: VmRef, signal?: AbortSignal): Promise<void> {
  const call = { signal, timeoutMs: STOP_TIMEOUT_MS };
  try {
    await untilTrue(host, ref, ["destroy", ref.vmId, "--graceful"], isOff, call);
  } catch (error) {
    if (signal?.aborted) throw error;
    await untilTrue(host, ref, ["destroy", ref.vmId], isOff, call);
  }
}

/** The reset button, or a reboot that the guest does itself. Both keep the QEMU process, and so its counters. */
export async function doOnce(
  host: KvmHost,
  ref: VmRef,
  action: OneShotAction,
  signal?: AbortSignal,
): Promise<void> {
  const domain = await defined(host, ref, signal);
  if (domain.power !== "running")
    throw new DriverError("unsupported", `${ref.vmId} is ${domain.power}: nothing to ${action}`);
  const bootEpoch = await readBootEpoch(host.runDir, ref.vmId);
  if (bootEpoch !== null)
    await host.evidence.beginBoot({ files: filesOf(host.folders, ref), bootEpoch });
  await host.libvirt.run(
    action === "reset" ? ["reset", ref.vmId] : ["reboot", ref.vmId, "--mode", "agent,acpi"],
    { signal },
  );
}

const isOff = (found: Owned | null): boolean => found === null || !isActive(found.power);

async function defined(host: KvmHost, ref: VmRef, signal: AbortSignal | undefined): Promise<Owned> {
  const domain = await host.owned(ref, signal);
  if (domain === null) throw new DriverError("driver_failed", `${ref.vmId} is not defined here`);
  return domain;
}

/** Runs a command; when it fails, looks whether what it was for has come true all the same. */
async function untilTrue(
  host: KvmHost,
  ref: VmRef,
  command: readonly string[],
  isTrue: (found: Owned | null) => boolean,
  call: { signal?: AbortSignal | undefined; timeoutMs?: number },
): Promise<void> {
  try {
    await host.libvirt.run(command, call);
  } catch (error) {
    if (call.signal?.aborted || !isTrue(await host.owned(ref, call.signal))) throw error;
  }
}

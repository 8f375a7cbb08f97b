import type { Clock, Log } from "#core/ports.ts";
import {
  ControlPlaneError,
  IdentityRevoked,
  type ControlPlane,
} from "#host-agent/channel/control-plane.ts";
import type { DesiredState } from "#host-agent/converge/desired.ts";
import { DriverError, type VmDriver } from "#host-agent/drivers/driver.ts";
import { namedIn } from "#host-agent/converge/read-document.ts";
import type { Look, Observer } from "#host-agent/converge/observer.ts";
import { SAMPLES_A_BATCH, type Spool } from "./spool.ts";
import { within } from "#host-agent/time-limit.ts";
import { firstMark, takeSample, type MeterMark } from "./usage.ts";

export interface Meter {
  /** Learns from a look when a VM was first seen running, and writes it down. */
  seen(look: Look): void;
  /** Samples every running VM of ours. Returns how many samples were spooled. */
  sample(): Promise<number>;
  /** Sends what is spooled. Returns how many samples were acknowledged. Throws what the control plane throws. */
  flush(): Promise<number>;
}

/**
 * So many samples wait at most: 50 VMs sampled each minute for almost three days, some 90 MB. A full spool takes
 * no more and keeps the oldest. Only detail is lost by it: a VM's next sample covers the time since its last one.
 */
const MOST_SAMPLES = 200_000;
const COUNTERS_LIMIT_MS = 60_000;

export function createMeter(ports: {
  driver: VmDriver;
  desired: DesiredState;
  observer: () => Observer;
  spool: Spool;
  controlPlane: ControlPlane;
  clock: Clock;
  log: Log;
  signal: AbortSignal;
  mostSamples?: number;
}): Meter {
  const { driver, desired, spool, controlPlane, clock, log, signal } = ports;
  const mostSamples = ports.mostSamples ?? MOST_SAMPLES;
  /** By VM, first marks that are on their way to the disk. */
  const marking = new Map<string, MeterMark>();
  let sampling: Promise<number> | null = null;
  let flushing: Promise<number> | null = null;

  /** VMs that are desired here, understood or not, under the epoch of their tag: nothing else is billed (invariant 17). */
  function isOurs(look: Look, vmId: string): boolean {
    const wanted = namedIn(desired.current()).find((vm) => vm.vmId === vmId);
    return wanted !== undefined && look.vms.get(vmId)?.ownerEpoch === wanted.ownerEpoch;
  }

  async function sampleNow(): Promise<number> {
    if (spool.size() >= mostSamples) {
      log.error("usage_spool_full", { samples: spool.size() });
      return 0;
    }
    const observer = ports.observer();
    const look = observer.latest() ?? (await observer.look());
    const late = () =>
      new DriverError("timed_out", "the hypervisor did not give its counters in time");
    const all = await within({ clock, ms: COUNTERS_LIMIT_MS, late, parent: signal }, (inner) =>
      driver.counters(inner),
    );
    const now = clock.now();
    const taken = all
      .filter((counters) => isOurs(look, counters.vmId))
      .map((counters) =>
        takeSample(
          spool.mark(counters.vmId) ??
            marking.get(counters.vmId) ??
            firstMark(counters.vmId, counters.bootEpoch, look.at),
          counters,
          now,
        ),
      )
      .filter((sample) => sample !== null);
    for (let at = 0; at < taken.length; at += SAMPLES_A_BATCH) {
      const page = taken.slice(at, at + SAMPLES_A_BATCH);
      await spool.add(
        page.map(({ sample }) => sample),
        page.map(({ mark }) => mark),
      );
    }
    return taken.length;
  }

  async function flushNow(): Promise<number> {
    const look = ports.observer().latest();
    const named = new Set(namedIn(desired.current()).map((vm) => vm.vmId));
    if (look !== null) spool.dropMarks((vmId) => !named.has(vmId) && !look.vms.has(vmId));
    let sent = 0;
    for (;;) {
      const batch = await spool.oldest();
      if (batch === null || signal.aborted) return sent;
      if (batch.samples.length > 0) {
        try {
          const receipt = await controlPlane.sendUsage({ samples: [...batch.samples] }, signal);
          for (const refusal of receipt.refused) {
            const sample = batch.samples[refusal.index];
            log.error("usage_sample_refused", { ...refusal, vm_id: sample?.vmId });
            if (sample && refusal.nextSeq !== undefined) spool.goOnFrom(sample, refusal.nextSeq);
          }
        } catch (error) {
          const final = error instanceof ControlPlaneError && error.isFinal;
          if (!final || error instanceof IdentityRevoked) throw error;
          log.error("usage_batch_refused", { samples: batch.samples.length, error: String(error) });
          await spool.forget(batch, true);
          continue;
        }
      }
      await spool.forget(batch, false);
      sent += batch.samples.length;
    }
  }

  return {
    // At once and not with the first sample: an agent that is away in between must know from when it counts.
    seen(look) {
      const marks = [...look.vms.values()].flatMap(({ vmId, bootEpoch }) =>
        bootEpoch !== null && spool.mark(vmId) === null && !marking.has(vmId) && isOurs(look, vmId)
          ? [firstMark(vmId, bootEpoch, look.at)]
          : [],
      );
      if (marks.length === 0) return;
      for (const mark of marks) marking.set(mark.vmId, mark);
      spool
        .add([], marks)
        .catch((error: unknown) => log.error("first_mark_failed", { error: String(error) }))
        .finally(() => {
          for (const { vmId } of marks) marking.delete(vmId);
        });
    },
    // One at a time; who asks meanwhile shares it, as the counters are read for all VMs at once.
    sample: () => {
      sampling ??= sampleNow().finally(() => {
        sampling = null;
      });
      return sampling;
    },
    flush: () => {
      flushing ??= flushNow().finally(() => {
        flushing = null;
      });
      return flushing;
    },
  };
}

import type { Clock, Log } from "#core/ports.ts";
import type { ControlPlane } from "#host-agent/channel/control-plane.ts";
import type { DesiredState } from "#host-agent/converge/desired.ts";
import { DriverError, type VmDriver } from "#host-agent/drivers/driver.ts";
import { namedIn } from "#host-agent/converge/read-document.ts";
import type { Look, Observer } from "#host-agent/converge/observer.ts";
import { beginFlush, sendSamples, SPLITS_A_FLUSH, SPLITS_TO_ONE } from "./send-samples.ts";
import { SAMPLES_A_BATCH, type Spool } from "./spool.ts";
import { within } from "#host-agent/time-limit.ts";
import { epochOf, firstMark, takeSample, type MeterMark } from "./usage.ts";

export interface Meter {
  /** Learns from a look when a VM was first seen running, and writes it down. */
  seen(look: Look): void;
  /** Samples every running VM of ours. Returns how many samples were spooled. */
  sample(): Promise<number>;
  /**
   * Sends what is spooled. Returns how many samples were acknowledged. Throws what the control plane throws, but for a
   * refusal of the samples: that puts aside what is refused alone, and costs no other.
   */
  flush(): Promise<number>;
}

/**
 * So many samples wait at most: 50 VMs sampled each minute for almost three days, some 90 MB. A full spool takes
 * no more and keeps the oldest. Only detail is lost by it: a VM's next sample covers the time since its last one.
 */
const MOST_SAMPLES = 200_000;
const COUNTERS_LIMIT_MS = 60_000;
const ASIDE_EVERY_MS = 24 * 3_600_000;
const ASIDE_PAGES_A_FLUSH = 20;

export function createMeter(ports: {
  driver: VmDriver;
  desired: Pick<DesiredState, "current">;
  observer: () => Observer;
  spool: Spool;
  controlPlane: ControlPlane;
  clock: Clock;
  log: Log;
  signal: AbortSignal;
  mostSamples?: number;
}): Meter {
  const { driver, desired, spool, clock, log, signal } = ports;
  const mostSamples = ports.mostSamples ?? MOST_SAMPLES;
  /** By VM, first marks that are on their way to the disk. */
  const marking = new Map<string, MeterMark>();
  let asideDueAt = 0;
  let asideDue: string[] = [];
  let tookNothing = false;
  let sampling: Promise<number> | null = null;
  let flushing: Promise<number> | null = null;

  /**
   * VMs that are desired here, understood or not, under the epoch of their tag: nothing else is billed (invariant 17). One that is moved here
   * is its source's until it is taken over, also where its guest runs here already: its process's counters have that time, too.
   */
  function oursIn(look: Look): (vmId: string) => boolean {
    const document = desired.current();
    const epochs = new Map(namedIn(document).map((vm) => [vm.vmId, vm.ownerEpoch]));
    for (const { vmId, move } of document?.vms ?? [])
      if (move?.role === "destination") epochs.delete(vmId);
    return (vmId) => epochs.has(vmId) && look.vms.get(vmId)?.ownerEpoch === epochs.get(vmId);
  }

  /** From where the VM is counted now. A mark of an epoch that is over is none: another host owned the VM since, and counted it. */
  function markIn(look: Look, vmId: string): MeterMark | null {
    const ownerEpoch = look.vms.get(vmId)?.ownerEpoch;
    const marks = [spool.mark(vmId), marking.get(vmId)];
    return marks.find((mark) => mark && epochOf(mark) === ownerEpoch) ?? null;
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
    const isOurs = oursIn(look);
    const taken = all
      .filter((counters) => isOurs(counters.vmId))
      .map((counters) =>
        takeSample(
          markIn(look, counters.vmId) ??
            firstMark(
              counters.vmId,
              counters.bootEpoch,
              look.at,
              look.vms.get(counters.vmId)?.ownerEpoch,
            ),
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
    // Before this flush puts more aside, which need not be asked about twice.
    const now = clock.now().getTime();
    if (now >= asideDueAt) {
      asideDueAt = now + ASIDE_EVERY_MS;
      asideDue = [...spool.aside()];
    }
    // Where nothing was taken the last time, one way down to a single sample shows whether anything is now.
    const flush = beginFlush(tookNothing ? SPLITS_TO_ONE : SPLITS_A_FLUSH);
    tookNothing = false;
    for (;;) {
      const batch = await spool.oldest();
      if (batch === null || signal.aborted) break;
      const left = await sendSamples(ports, batch.samples, flush);
      // It takes nothing at all, not even of the newest: the samples are not what is wrong. All of it waits.
      if (flush.taken === 0 && batch.samples.length > 0 && !(await takesTheNewest())) {
        log.error("usage_not_taken", { samples: spool.size() });
        tookNothing = true;
        return 0;
      }
      await spool.settle(batch, left);
      if (left.waiting.length > 0) break;
    }
    const { taken } = flush;
    await sendAside();
    return taken;
  }

  /** Whether anything is taken of a VM that came after those that are refused. What is sent twice counts once. */
  async function takesTheNewest(): Promise<boolean> {
    const probe = beginFlush(SPLITS_TO_ONE);
    await sendSamples(ports, await spool.newest(), probe);
    return probe.taken > 0;
  }

  /** What was refused once is asked about again: at the agent's start, and once a day; some pages a flush. */
  async function sendAside(): Promise<void> {
    const flush = beginFlush();
    for (let pages = 0; pages < ASIDE_PAGES_A_FLUSH && !signal.aborted; pages++) {
      const [name] = asideDue;
      if (name === undefined) break;
      const samples = await spool.readAside(name);
      if (samples !== null) {
        const { refused, waiting } = await sendSamples(ports, samples, flush);
        await spool.settleAside(name, [...refused, ...waiting]);
      }
      asideDue.shift();
    }
    if (flush.taken > 0) log.info("usage_taken_after_all", { samples: flush.taken });
  }

  return {
    // At once and not with the first sample: an agent that is away in between must know from when it counts.
    seen(look) {
      const isOurs = oursIn(look);
      const marks = [...look.vms.values()].flatMap(({ vmId, bootEpoch, ownerEpoch }) =>
        bootEpoch !== null && markIn(look, vmId) === null && isOurs(vmId)
          ? [firstMark(vmId, bootEpoch, look.at, ownerEpoch)]
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

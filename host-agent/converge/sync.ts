import type { HostFacts } from "#core/contracts/agent/report.ts";
import type { DesiredVm } from "#core/contracts/agent/desired.ts";
import { limitsOf } from "#core/hosts/limits.ts";
import { isInMovesHands } from "#core/moves/part.ts";
import type { Clock, Log } from "#core/ports.ts";
import { IdentityRevoked } from "#host-agent/channel/control-plane.ts";
import type { DesiredState } from "./desired.ts";
import { DriverError, type VmDriver, type VmRef } from "#host-agent/drivers/driver.ts";
import { countError } from "#host-agent/metrics.ts";
import type { Movers } from "#host-agent/moves/movers.ts";
import { within } from "#host-agent/time-limit.ts";
import type { Look, Observer } from "./observer.ts";
import { namedIn, type ReadDocument, type RefusedVm } from "./read-document.ts";
import { agentError, driverError } from "./vm-step.ts";
import { createVmWorker, type VmWorker, type WorkerPorts } from "./vm-worker.ts";

export type PassRequest = Readonly<{
  /** Report every VM, also what the control plane has acknowledged already. */
  full: boolean;
  /** The generation that a doorbell named. */
  atLeast: number | null;
}>;

/** Pulls what is desired, looks at the host once, and hands every VM to its worker. */
export interface Sync {
  /**
   * Ends when the work is handed out. true: it holds what the control plane says now, and the host was seen.
   * Throws `IdentityRevoked`.
   */
  pass(request: PassRequest): Promise<boolean>;
  /** Looks at what keeps this host's VMs from sending from foreign addresses, puts back what is missing, and tells of it. */
  guard(): Promise<number>;
  /** Resolves when no worker has a step to do. */
  idle(): Promise<void>;
}

const FACTS_EVERY_MS = 5 * 60_000;
const AWAY_TOLD_AFTER_MS = 2 * 60_000;
const GUARD_LIMIT_MS = 120_000;

export type SyncPorts = Omit<WorkerPorts, "capabilities" | "limits" | "entitlementGraceSeconds"> & {
  desired: DesiredState;
  driver: VmDriver;
  observer: Observer;
  movers: Movers;
  clock: Clock;
  log: Log;
};

export function createSync(ports: SyncPorts): Sync {
  const { desired, driver, observer, reporter, journal, movers } = ports;
  const { clock, log, metrics, signal } = ports;
  const workers = new Map<string, VmWorker>();
  /** VMs that are given to their workers when a move has let go of them. */
  const later = new Map<string, Promise<void>>();
  let facts: HostFacts | null = null;
  let factsAt = 0;
  /** Since when the host could not be looked at. */
  let awaySince: number | null = null;

  async function pull(atLeast: number | null): Promise<boolean> {
    const refusedBefore = desired.refused();
    try {
      const taken = await desired.pull(atLeast, signal);
      if (desired.refused() !== refusedBefore) reporter.sign();
      return taken;
    } catch (error) {
      if (error instanceof IdentityRevoked) throw error;
      if (!signal.aborted) log.error("pull_failed", { error: String(error) });
      return false;
    }
  }

  async function knowHost(): Promise<void> {
    const now = clock.now().getTime();
    if (facts !== null && now - factsAt < FACTS_EVERY_MS) return;
    try {
      facts = await movers.withMoves(await driver.facts(signal));
      factsAt = now;
      reporter.facts(facts);
    } catch (error) {
      // What was known a while ago still holds; the first time there is nothing to go by.
      if (facts === null) throw error;
      log.error("facts_failed", { error: String(error) });
    }
  }

  /** A hypervisor that is restarted comes back; one that stays away is told, and staff hear of it. */
  function tellAway(error: unknown): void {
    const now = clock.now().getTime();
    awaySince ??= now;
    if (now - awaySince < AWAY_TOLD_AFTER_MS) return;
    const { code, message } = driverError(error);
    const { detail } = agentError({ code, detail: message });
    reporter.away({ code, detail });
  }

  function knownFacts(): HostFacts {
    if (facts === null) throw new Error("no work is handed out before the host's facts are known");
    return facts;
  }

  const workerFor = (vmId: string): VmWorker => {
    const worker =
      workers.get(vmId) ??
      createVmWorker(vmId, {
        ...ports,
        capabilities: () => knownFacts().capabilities,
        limits: () => limitsOf(knownFacts()),
        entitlementGraceSeconds: () => desired.current()?.entitlementGraceSeconds ?? 0,
      });
    workers.set(vmId, worker);
    return worker;
  };

  /** A VM that is named again while its worker still ends a step gets that same worker, never a second one. */
  function releaseUnnamed(named: ReadonlySet<string>): void {
    movers.releaseUnnamed(named);
    for (const [vmId, worker] of workers) {
      if (named.has(vmId)) continue;
      worker.release();
      reporter.forget(vmId);
      if (!worker.isWorking()) workers.delete(vmId);
    }
  }

  /** It stays as it is, and what is seen of it is told. */
  function refuse({ vmId, generation, ownerEpoch, why }: RefusedVm, look: Look, full: boolean) {
    workers.get(vmId)?.release();
    movers.release(vmId);
    const observed = look.vms.get(vmId) ?? null;
    const error = agentError({ code: "unsupported_by_agent", detail: why });
    reporter.vm({ vmId, generation, ownerEpoch, observed, settled: false, error }, full);
  }

  /** To its own worker, unless it is in the hands of its move, or was, and is not out of them yet. */
  function give(vm: DesiredVm, look: Look, full: boolean): void {
    const { vmId } = vm;
    movers.give(vm, full, {
      ended: async () => workers.get(vmId)?.ended(),
      atRest: async () => {
        await later.get(vmId);
        await workers.get(vmId)?.idle();
      },
    });
    if (isInHands(vm)) {
      workers.get(vmId)?.release();
      tellInHands(vm, look, full);
      return;
    }
    const free = movers.untilFree(vmId, look);
    if (free === null) workerFor(vmId).give(vm, look, full);
    else giveWhen(free, vmId);
  }

  /** By a look that knows what the move has done, and by what is wanted then. Where that fails, the next pass does it. */
  function giveWhen(free: Promise<void>, vmId: string): void {
    if (later.has(vmId)) return;
    const given = free
      .then(() => observer.look())
      .then((look) => {
        later.delete(vmId);
        const vm = desired.current()?.vms.find((each) => each.vmId === vmId);
        if (vm !== undefined && !signal.aborted) give(vm, look, false);
      })
      .catch((error: unknown) => {
        later.delete(vmId);
        if (!signal.aborted) log.error("look_failed", { error: String(error) });
      });
    later.set(vmId, given);
  }

  /** The source's is shown as it is. What lies at the destination is nobody's VM yet. */
  function tellInHands(vm: DesiredVm, look: Look, full: boolean): void {
    if (vm.move?.role !== "source") return;
    const { vmId, generation, ownerEpoch } = vm;
    const observed = look.vms.get(vmId) ?? null;
    const missing = {
      code: "vm_missing",
      detail: "it was here, to be moved, and is gone",
    } as const;
    const error = observed === null ? agentError(missing) : null;
    reporter.vm({ vmId, generation, ownerEpoch, observed, settled: false, error }, full);
  }

  /** What of the journal is asked for still. Of a VM that cannot be read it is not known, so all of it stays. */
  function stillWanted(document: ReadDocument): (actionId: string, vmId: string) => boolean {
    const pending = document.vms.flatMap((vm) => vm.pendingActions.map((action) => action.id));
    const actions = new Set(pending);
    const refused = new Set(document.refused.map((vm) => vm.vmId));
    return (id, vmId) => actions.has(id) || refused.has(vmId) || document.nameless > 0;
  }

  /** VMs of before tags bore an installation get it, so that another Berth on this host can tell them from its own. */
  async function claim(vms: readonly VmRef[]): Promise<void> {
    const late = () => new DriverError("timed_out", "the host's VMs were not claimed in time");
    try {
      await within({ clock, ms: GUARD_LIMIT_MS, late, parent: signal }, (inner) =>
        driver.claim(vms, inner),
      );
    } catch (error) {
      if (!signal.aborted) log.error("claim_failed", { error: String(error) });
    }
  }

  return {
    async pass({ full, atLeast }) {
      // The look may begin before the answer comes: nothing is done in between, except by workers, who know.
      const looking = Promise.all([observer.look(), knowHost()]).then(
        ([look]) => look,
        (error: unknown) => {
          if (signal.aborted) return null;
          countError(metrics, error);
          log.error("look_failed", { error: String(error) });
          tellAway(error);
          return null;
        },
      );
      const [taken, look] = await Promise.all([pull(atLeast), looking]);
      const document = desired.current();
      if (look === null || signal.aborted) return false;
      awaySince = null;
      reporter.away(null);
      if (document === null) return taken;
      const named = new Set(namedIn(document).map((vm) => vm.vmId));
      const strangers = [...look.vms.values()]
        .filter((vm) => !named.has(vm.vmId))
        .map(({ vmId, ownerEpoch, power }) => {
          const was = desired.lastNamed(vmId);
          return { vmId, ownerEpoch, power, ...(was && { was }) };
        });
      reporter.strangers(strangers, full);
      releaseUnnamed(named);
      for (const vm of document.vms) give(vm, look, full);
      for (const vm of document.refused) refuse(vm, look, full);
      movers.tidy(document);
      // When every worker has the new document: one with the old would take a forgotten action for a new one.
      await journal.keepOnly(stillWanted(document));
      return taken;
    },
    async guard() {
      const vms = (desired.current()?.vms ?? []).filter(
        (vm) => vm.presence === "present" && !isInHands(vm),
      );
      const late = () => new DriverError("timed_out", "the host's network was not seen in time");
      try {
        await within({ clock, ms: GUARD_LIMIT_MS, late, parent: signal }, (inner) =>
          driver.guard(vms, inner),
        );
      } finally {
        // What was found before it failed counts too.
        const found = driver.takeFindings();
        reporter.findings(found);
      }
      await claim(vms);
      return vms.length;
    },
    async idle() {
      do {
        await Promise.all([...workers.values()].map((worker) => worker.idle()));
        await movers.idle();
        await Promise.all(later.values());
      } while (later.size > 0);
    },
  };
}

const isInHands = ({ move }: DesiredVm): boolean => move !== undefined && isInMovesHands(move);

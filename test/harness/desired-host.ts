import type { DesiredVm } from "#core/contracts/agent/desired.ts";
import { announcement, readAnnouncement } from "#core/contracts/agent/protocol.ts";
import type { VmReport } from "#core/contracts/agent/report.ts";
import { createDesiredReader } from "#commands/vms/read-desired.ts";
import { recordReport } from "#commands/moves/record-report.ts";
import { createDesiredState } from "#host-agent/converge/desired.ts";
import { anAgentReport, anObservedVm, aVmReport } from "#test/builders.ts";
import type { ControlPlane } from "./control-plane.ts";
import { GUEST, valueOf } from "./world.ts";

/**
 * A host whose agent takes and keeps documents as the real one does, by its own code, and brings each VM about at once.
 */
export type DesiredHost = Readonly<{
  /** VMs that are there, with their power. */
  vms: Map<string, { power: "running" | "off"; ownerEpoch: number }>;
  /** What it made and destroyed, in order. */
  did: string[];
  /** How many documents it was given and would not take. */
  refused: () => number;
  /** The generation of the document that it holds. */
  generation: () => number;
  /** One resync: pulls, converges, reports. */
  pass: () => Promise<void>;
  /** Reports what it has, by the document that it holds. */
  report: () => Promise<{ accepted: number; ignored: number }>;
}>;

export function aDesiredHost(cp: ControlPlane, hostId: string): DesiredHost {
  const files = new Map<string, string>();
  const vms: DesiredHost["vms"] = new Map();
  const did: string[] = [];
  let refused = 0;
  // A new reader each time, as a new Lambda has: one remembers for some seconds what it said.
  const announced = readAnnouncement(
    (name) => Object.entries(announcement()).find(([n]) => n === name)?.[1],
  );
  const none = () => Promise.reject(new Error("this host asks for documents only"));
  const desired = createDesiredState({
    hostId,
    store: {
      read: async (name) => files.get(name) ?? null,
      write: async (name, text) => void files.set(name, text),
      remove: async (name) => void files.delete(name),
      list: async () => [...files.keys()],
    },
    controlPlane: {
      enroll: none,
      session: none,
      report: none,
      sendUsage: none,
      initialPassword: none,
      images: none,
      desired: async ({ etag, atLeast }) => {
        const read = createDesiredReader(cp.deps);
        const poll = {
          etag: etag === null ? undefined : `"${etag}"`,
          atLeast: atLeast ?? 0,
          announced,
        };
        const answer = await read(hostId, poll);
        return answer.kind === "unchanged" ? null : answer.document;
      },
    },
    log: { info: () => undefined, error: () => undefined },
  });

  function bringAbout(vm: DesiredVm): VmReport {
    const there = vms.get(vm.vmId);
    const tell = (more: Parameters<typeof aVmReport>[0]) =>
      aVmReport({ vmId: vm.vmId, generation: vm.generation, ownerEpoch: vm.ownerEpoch, ...more });
    if (vm.presence === "absent") {
      if (vms.delete(vm.vmId)) did.push(`destroy ${vm.vmId}`);
      return tell({ observed: null });
    }
    if (!there && !vm.mayCreate)
      return tell({
        observed: null,
        settled: false,
        error: { code: "vm_missing", detail: "gone" },
      });
    if (!there) did.push(`create ${vm.vmId}`);
    vms.set(vm.vmId, { power: vm.power, ownerEpoch: vm.ownerEpoch });
    return tell({ observed: seenAs(vm) });
  }

  const seenAs = ({ vmId, ownerEpoch, size, power }: DesiredVm) =>
    anObservedVm({
      vmId,
      ownerEpoch,
      size,
      power,
      bootEpoch: power === "off" ? null : "boot-1",
      guest: power === "off" ? null : GUEST,
    });

  const report: DesiredHost["report"] = async () => {
    const document = desired.current();
    const named = new Set(document?.vms.map((vm) => vm.vmId));
    const strangers = [...vms]
      .filter(([vmId]) => !named.has(vmId))
      .map(([vmId, { power, ownerEpoch }]) => {
        const was = desired.lastNamed(vmId);
        return { vmId, ownerEpoch, power, ...(was && { was }) };
      });
    const told = (document?.vms ?? []).map(bringAbout);
    const refusedDesired = desired.refused();
    return valueOf(
      await recordReport(
        cp.deps,
        hostId,
        anAgentReport({
          desiredGeneration: document?.generation ?? 0,
          vms: told,
          strangers,
          ...(refusedDesired && { refusedDesired }),
        }),
      ),
    );
  };
  return {
    vms,
    did,
    refused: () => refused,
    generation: () => desired.current()?.generation ?? 0,
    report,
    pass: async () => {
      if (!(await desired.pull(null, new AbortController().signal))) refused++;
      await report();
    },
  };
}
